"""A decision table: typed inputs, rows, one answer.

Owns: `Table`, its answers `Match` and `NoRule`, deciding.
Called by: the domains; `proof` and `explain`.
Invariant: a decision can be cited and repeated: it carries table, version, row, outputs and the inputs as the table read them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Self

from shared.policy.cells import Input, MissingInput, PolicyError, Row, Value, say
from shared.policy.reading import read


class TwoRules(PolicyError):
    """Two rows apply to the same inputs, and the table allows one."""

    def __init__(self, table: "Table", rows: tuple[str, ...], inputs: Mapping[str, Value]) -> None:
        super().__init__(
            f"table {table.name} version {table.version}: rows {' and '.join(rows)} both apply to {words_of(inputs)}; exactly one may"
        )
        self.table, self.version, self.rows, self.inputs = table.name, table.version, rows, inputs


@dataclass(frozen=True, slots=True)
class Match:
    """The one row that applies. `inputs` are those the table names, as it read them."""

    table: str
    version: int
    row: str
    outputs: Mapping[str, Any]
    inputs: Mapping[str, Value]
    why: str = ""

    def record(self) -> dict[str, Any]:
        """What a decision keeps, as plain JSON: table, version, row, inputs (decimals and dates as text, sets as sorted lists)."""
        return _record(self.table, self.version, self.row, self.inputs)


@dataclass(frozen=True, slots=True)
class NoRule:
    """No row applies: a human decides. Never to be read as zero or as no."""

    table: str
    version: int
    inputs: Mapping[str, Value]

    def record(self) -> dict[str, Any]:
        """What a decision keeps, as plain JSON; the row is null."""
        return _record(self.table, self.version, None, self.inputs)

    def words(self) -> str:
        """The sentence for the human who decides."""
        return f"no rule of table {self.table} version {self.version} covers {words_of(self.inputs)}: a person decides"


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A decision table with hit policy UNIQUE. Build it with `load`."""

    name: str
    version: int
    inputs: Mapping[str, Input]
    outputs: Mapping[str, str]
    rows: tuple[Row, ...]
    about: str = ""
    source: str = ""
    # The first day of its force, on the wall of the store it decides for; None where one version alone is kept.
    effective_from: date | None = None

    @classmethod
    def load(cls, toml: str) -> Self:
        """The table written as TOML text, else BadTable with every mistake. Gaps and overlaps are `check`'s to find.

            name = "goodwill"
            version = 1
            effective_from = 2026-01-01                       # optional; `versions.Versions` asks for it
            about = "…"                                       # optional
            [inputs]
            payer = { type = "enum", values = ["self", "medicare"] }
            trips = { type = "int", min = 0, max = 50 }
            miles = { type = "decimal", min = 0, may_be_unknown = true }
            on    = { type = "date" }
            late  = { type = "bool" }
            flags = { type = "set", values = ["vip", "minor"] }
            [outputs]
            approve = "bool"                                  # bool, int, decimal, text, date, list
            [[rows]]
            id = "near"
            when = { payer = ["self"], trips = { from = 3 }, miles = { above = 0, to = 40 }, flags = { lacks = "minor" } }
            then = { approve = true }
            why = "…"                                         # optional

        A condition left out takes any value, unknown too. `cells.read_cell` lists the forms of a condition.
        """
        return cls(**read(toml))

    def read_inputs(self, given: Mapping[str, object]) -> dict[str, Value]:
        """The table's own inputs out of the given ones. MissingInput or BadInput; what the table does not name is left out."""
        values: dict[str, Value] = {}
        for name, spec in self.inputs.items():
            if name not in given:
                raise MissingInput(self.name, name)
            values[name] = spec.read(given[name])
        return values

    def decide(self, inputs: Mapping[str, object]) -> Match | NoRule:
        """The row that applies, or NoRule. Raises MissingInput, BadInput, TwoRules (which names both rows)."""
        values = MappingProxyType(self.read_inputs(inputs))
        hits = [row for row in self.rows if row.matches(values)]
        if len(hits) > 1:
            raise TwoRules(self, tuple(row.id for row in hits), values)
        if not hits:
            return NoRule(self.name, self.version, values)
        return Match(self.name, self.version, hits[0].id, hits[0].then, values, hits[0].why)


def decide(table: Table, inputs: Mapping[str, object]) -> Match | NoRule:
    """`table.decide(inputs)`."""
    return table.decide(inputs)


def words_of(inputs: Mapping[str, Value]) -> str:
    """Inputs as a list of "name = value"."""
    return ", ".join(f"{name} = {say(value)}" for name, value in inputs.items())


def _record(table: str, version: int, row: str | None, inputs: Mapping[str, Value]) -> dict[str, Any]:
    return {"table": table, "version": version, "row": row, "inputs": {name: _plain(value) for name, value in inputs.items()}}


def _plain(value: Value) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, frozenset):
        return sorted(value)
    return value.isoformat() if isinstance(value, date) else value
