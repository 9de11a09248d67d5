"""Typed inputs and the conditions ("cells") that rows put on them.

Owns: `Input` (type, domain, whether it may be unknown), `Cell` and its kinds, how each is read, tried and said in words.
Called by: `table`, `proof`, `explain`.
Invariant: a cell answers for every value of its input's domain; a row without a cell for an input takes any value, unknown too;
an unknown value (None) satisfies only the cell "unknown".
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, Protocol

InputType = Literal["enum", "bool", "int", "decimal", "date", "set"]
INPUT_TYPES: tuple[InputType, ...] = ("enum", "bool", "int", "decimal", "date", "set")
ORDERED = ("int", "decimal", "date")
UNKNOWN = "unknown"
DIGITS_MAX = 30  # before and after the point: past that a number is a slip, and writing it out would fill a page
BOUNDS = ("from", "above", "to", "below")

# What an input holds once read: str, bool, int, Decimal, date, frozenset of str, or None for unknown.
Value = str | bool | int | Decimal | date | frozenset[str] | None


class PolicyError(ValueError):
    """A table or its inputs cannot be used; the message is written for the person who keeps the policy."""


class MissingInput(PolicyError):
    """An input that the table names was not given."""

    def __init__(self, table: str, name: str) -> None:
        super().__init__(f"table {table} needs the input {name}, and it was not given")
        self.name = name


class BadTable(PolicyError):
    """A table cannot be read. `problems` has one sentence for each mistake, all of them at once."""

    def __init__(self, name: str, problems: list[str]) -> None:
        super().__init__(f"table {name}: " + "; ".join(problems))
        self.name, self.problems = name, tuple(problems)


class BadInput(PolicyError):
    """A value is not what the input allows."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"input {name}: {detail}")
        self.name, self.detail = name, detail


@dataclass(frozen=True, slots=True)
class Input:
    """One typed input. `values` for enum and set; `low`, `high` (inclusive, None for none) for int, decimal and date."""

    name: str
    type: InputType
    values: tuple[str, ...] = ()
    low: Any = None
    high: Any = None
    may_be_unknown: bool = False
    about: str = ""

    def read(self, raw: object) -> Value:
        """The value as the table compares it, else BadInput.

        Decimals and dates may come as text, so that a kept record can be tried again; sets as lists.
        """
        if raw is None:
            if self.may_be_unknown:
                return None
            raise BadInput(self.name, "it is unknown, and the table does not allow for that (may_be_unknown)")
        value: Value = _READ[self.type](self, raw)
        if self.type in ORDERED and not self.holds(value):
            raise BadInput(self.name, f"{say(value)} is outside {self.range_words()}")
        return value

    def holds(self, value: Any) -> bool:
        """Whether an ordered value lies inside the domain."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def range_words(self) -> str:
        """The domain in words."""
        if self.low is not None and self.high is not None:
            return f"{say(self.low)} to {say(self.high)}"
        if self.low is not None:
            return f"{say(self.low)} and up"
        return f"up to {say(self.high)}" if self.high is not None else "any"


class Cell(Protocol):
    """A condition on one input."""

    def matches(self, value: Value) -> bool:
        """Whether a value that `Input.read` gave satisfies the condition."""
        ...

    def words(self) -> str:
        """The condition as the end of a sentence that begins with the input's name: "is from 3 to 5"."""
        ...


@dataclass(frozen=True, slots=True)
class OneOf:
    """Equal to one of the values, or to none of them where `negated`. None among the values stands for unknown."""

    values: frozenset[Value]
    negated: bool = False

    def matches(self, value: Value) -> bool:
        if self.negated:
            return value is not None and value not in self.values
        return value in self.values

    def words(self) -> str:
        said = sorted(say(value) for value in self.values)
        if len(said) == 1:
            return f"is not {said[0]}" if self.negated else f"is {said[0]}"
        return f"is {'none' if self.negated else 'one'} of {', '.join(said)}"


@dataclass(frozen=True, slots=True)
class Between:
    """Within bounds; None where there is none. `low_in` and `high_in`: whether the bound itself counts."""

    low: Any
    low_in: bool
    high: Any
    high_in: bool

    def matches(self, value: Any) -> bool:
        if value is None:
            return False
        if self.low is not None and not (value >= self.low if self.low_in else value > self.low):
            return False
        return self.high is None or bool(value <= self.high if self.high_in else value < self.high)

    def words(self) -> str:
        parts = []
        if self.low is not None:
            parts.append(f"{'from' if self.low_in else 'above'} {say(self.low)}")
        if self.high is not None:
            parts.append(f"{'to' if self.high_in else 'below'} {say(self.high)}")
        return "is " + " ".join(parts)


@dataclass(frozen=True, slots=True)
class Members:
    """A set that has all of `has` and none of `lacks`."""

    has: frozenset[str]
    lacks: frozenset[str]

    def matches(self, value: Any) -> bool:
        return value is not None and self.has <= value and not self.lacks & value

    def words(self) -> str:
        parts = [f"{verb} {', '.join(sorted(labels))}" for verb, labels in (("has", self.has), ("lacks", self.lacks)) if labels]
        return " and ".join(parts)


@dataclass(frozen=True, slots=True)
class Row:
    """One rule: when all cells match, these outputs. `why` is the sentence that a person is shown."""

    id: str
    when: Mapping[str, Cell]
    then: Mapping[str, Any]
    why: str = ""

    def matches(self, inputs: Mapping[str, Value]) -> bool:
        """Whether every condition holds."""
        return all(cell.matches(inputs[name]) for name, cell in self.when.items())


def say(value: object) -> str:
    """A value as a person writes it."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, frozenset):
        return "{" + ", ".join(sorted(value)) + "}"
    return str(value)


def is_sane(value: Decimal) -> bool:
    """Whether a decimal is finite and can be written out in a line."""
    return value.is_finite() and abs(value.adjusted()) <= DIGITS_MAX and len(value.as_tuple().digits) <= 2 * DIGITS_MAX


def read_cell(spec: Input, raw: object) -> Cell:
    """The condition written in a row, else BadInput.

    A value or a list of values is equality, `{ not = … }` its opposite (an unknown value satisfies neither). `{ from, above, to,
    below }` for int, decimal, date: `from` and `to` include the bound, `above` and `below` do not. `{ has, lacks }` for sets.
    "unknown" stands for an unknown value where the input may be.
    """
    if isinstance(raw, Mapping):
        return _table_cell(spec, raw)
    if spec.type == "set" and raw != UNKNOWN:
        raise BadInput(spec.name, 'a condition on a set is written { has = "…" } or { lacks = "…" }')
    return OneOf(_values(spec, raw))


def _table_cell(spec: Input, raw: Mapping[str, object]) -> Cell:
    allowed = {"enum": ("not",), "set": ("has", "lacks"), "bool": ("not",)}.get(spec.type, ("not", *BOUNDS))
    strange = [key for key in raw if key not in allowed]
    if strange or not raw:
        said = f"{strange[0]!r} is no condition on it" if strange else "the condition is empty"
        raise BadInput(spec.name, f"{said}: use {', '.join(allowed)}")
    if "not" in raw:
        if len(raw) > 1:
            raise BadInput(spec.name, "not stands alone")
        return OneOf(_values(spec, raw["not"]), negated=True)
    if spec.type == "set":
        has, lacks = (_labels(spec, raw.get(key, [])) for key in ("has", "lacks"))
        if has & lacks or not has | lacks:
            raise BadInput(spec.name, "the condition must name labels, and none on both sides")
        return Members(has, lacks)
    return _between(spec, raw)


def _between(spec: Input, raw: Mapping[str, object]) -> Between:
    if ("from" in raw and "above" in raw) or ("to" in raw and "below" in raw):
        raise BadInput(spec.name, "one bound on each side: from or above, to or below")
    low, high = (next((_READ[spec.type](spec, raw[key]) for key in pair if key in raw), None) for pair in (BOUNDS[:2], BOUNDS[2:]))
    cell = Between(low, "from" in raw, high, "to" in raw)
    if low is not None and high is not None:
        ordered: Any = (low, high)
        if ordered[0] > ordered[1] or (ordered[0] == ordered[1] and not (cell.low_in and cell.high_in)):
            raise BadInput(spec.name, f"no value {cell.words()}")
    return cell


def _values(spec: Input, raw: object) -> frozenset[Value]:
    listed: Iterable[object] = raw if isinstance(raw, list | tuple) else [raw]
    values = frozenset(_equal_value(spec, item) for item in listed)
    if not values:
        raise BadInput(spec.name, "the list of values is empty")
    return values


def _equal_value(spec: Input, raw: object) -> Value:
    if raw == UNKNOWN and spec.may_be_unknown:
        return None
    return spec.read(raw)


def _labels(spec: Input, raw: object) -> frozenset[str]:
    return _read_set(spec, [raw] if isinstance(raw, str) else raw)


def _read_enum(spec: Input, raw: object) -> str:
    if isinstance(raw, str) and raw in spec.values:
        return str(raw)
    raise BadInput(spec.name, f"{raw!r} is not one of {', '.join(spec.values)}")


def _read_bool(spec: Input, raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    raise BadInput(spec.name, f"{raw!r} is not true or false")


def _read_int(spec: Input, raw: object) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    raise BadInput(spec.name, f"{raw!r} is no whole number")


def _read_decimal(spec: Input, raw: object) -> Decimal:
    if isinstance(raw, Decimal | int | str) and not isinstance(raw, bool):
        try:
            value = Decimal(raw)
        except InvalidOperation:
            value = Decimal("NaN")
        if is_sane(value):
            return value
    raise BadInput(spec.name, f"{raw!r} is no decimal number (binary fractions are not taken)")


def _read_date(spec: Input, raw: object) -> date:
    if isinstance(raw, date) and not isinstance(raw, datetime):
        return raw
    if isinstance(raw, str):
        try:
            return date.fromisoformat(raw)
        except ValueError:
            pass
    raise BadInput(spec.name, f"{raw!r} is no date: write it as 2026-12-24")


def _read_set(spec: Input, raw: object) -> frozenset[str]:
    if not isinstance(raw, list | tuple | set | frozenset):
        raise BadInput(spec.name, f"{raw!r} is no set of labels")
    strange = sorted(str(label) for label in raw if label not in spec.values)
    if strange:
        raise BadInput(spec.name, f"{strange[0]!r} is not one of {', '.join(spec.values)}")
    return frozenset(raw)


_READ: dict[InputType, Callable[[Input, object], Any]] = {
    "enum": _read_enum,
    "bool": _read_bool,
    "int": _read_int,
    "decimal": _read_decimal,
    "date": _read_date,
    "set": _read_set,
}
