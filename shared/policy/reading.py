"""Reads a table from TOML and says all that is wrong with it at once.

Called by: `table.Table.load`.
Invariant: what comes out is whole: names unique, every row gives every output in its type, every cell fits its input.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from shared.policy.cells import INPUT_TYPES, ORDERED, UNKNOWN, BadInput, BadTable, Cell, Input, Row, is_sane, read_cell

NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*\Z")
ROWS_MAX = 1000
INPUTS_MAX = 24

_TOP = {"name", "version", "effective_from", "about", "hit_policy", "inputs", "outputs", "rows"}
_INPUT = {"type", "values", "min", "max", "may_be_unknown", "about"}
_ROW = {"id", "when", "then", "why"}


def read(toml: str) -> dict[str, Any]:
    """The fields of a Table, else BadTable."""
    try:
        document = tomllib.loads(toml, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError) as bad:  # absurd numbers and depths fail below the TOML reader
        raise BadTable("(unreadable)", [f"it is not TOML: {bad}"]) from bad
    problems: list[str] = []
    name = document.get("name")
    if not isinstance(name, str) or not NAME.match(name):
        problems.append("it needs a name in small letters, digits and hyphens")
    version = document.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        problems.append("it needs a version, a whole number from 1")
    effective_from = document.get("effective_from")
    if effective_from is not None and (not isinstance(effective_from, date) or isinstance(effective_from, datetime)):
        problems.append("its effective_from is a date: effective_from = 2026-01-01")
    if document.get("hit_policy", "UNIQUE") != "UNIQUE":
        problems.append("its hit policy must be UNIQUE: one row applies, or none")
    problems += _strange(document, _TOP, "the table")
    inputs = _inputs(document.get("inputs"), problems)
    rows_raw = document.get("rows")
    if not isinstance(rows_raw, list) or not rows_raw or len(rows_raw) > ROWS_MAX:
        problems.append(f"it needs rows ([[rows]]), 1 to {ROWS_MAX}")
        rows_raw = []
    outputs = _outputs(document.get("outputs"), problems)
    rows = tuple(_row(raw, n, inputs, outputs, problems) for n, raw in enumerate(rows_raw, 1))
    doubled = sorted({row.id for n, row in enumerate(rows) if row.id in {other.id for other in rows[:n]}})
    problems += [f"two rows are called {twice}" for twice in doubled]
    if problems:
        raise BadTable(name if isinstance(name, str) else "(unnamed)", problems)
    return {
        "name": name,
        "version": version,
        "inputs": MappingProxyType(inputs),
        "outputs": MappingProxyType(outputs),
        "rows": rows,
        "about": str(document.get("about", "")),
        "source": toml,
        "effective_from": effective_from,
    }


def _strange(found: Mapping[str, Any], known: set[str], where: str) -> list[str]:
    return [f"{where} has {key!r}, which means nothing here" for key in found if key not in known]


def _inputs(raw: object, problems: list[str]) -> dict[str, Input]:
    if not isinstance(raw, dict) or not raw or len(raw) > INPUTS_MAX:
        problems.append(f"it needs inputs ([inputs]), 1 to {INPUTS_MAX}")
        return {}
    found = {}
    for name, spec in raw.items():
        try:
            found[name] = _input(name, spec)
        except BadInput as bad:
            problems.append(str(bad))
    return found


def _input(name: str, raw: object) -> Input:
    if not NAME.match(name):
        raise BadInput(name, "an input's name is in small letters, digits and underscores")
    if not isinstance(raw, dict) or raw.get("type") not in INPUT_TYPES:
        raise BadInput(name, f"it needs a type: {', '.join(INPUT_TYPES)}")
    kind = raw["type"]
    strange = _strange(raw, _INPUT, "it")
    if strange:
        raise BadInput(name, strange[0])
    may_be_unknown = raw.get("may_be_unknown", False)
    if not isinstance(may_be_unknown, bool):
        raise BadInput(name, "may_be_unknown is true or false")
    values = _labels(name, kind, raw.get("values"))
    if may_be_unknown and UNKNOWN in values:
        raise BadInput(name, f"{UNKNOWN!r} is one of its values already: leave out may_be_unknown")
    if kind not in ORDERED and ("min" in raw or "max" in raw):
        raise BadInput(name, f"min and max are for {', '.join(ORDERED)}")
    bare = Input(name, kind, values)
    low, high = (bare.read(raw[key]) if key in raw else None for key in ("min", "max"))
    spec = Input(name, kind, values, low, high, may_be_unknown, str(raw.get("about", "")))
    if low is not None and high is not None and not spec.holds(low):
        raise BadInput(name, "its min is above its max")
    return spec


def _labels(name: str, kind: str, raw: object) -> tuple[str, ...]:
    if kind not in ("enum", "set"):
        if raw is not None:
            raise BadInput(name, f"values are for enum and set, not for {kind}")
        return ()
    if not isinstance(raw, list) or not raw or not all(isinstance(value, str) and value for value in raw) or len(set(raw)) < len(raw):
        raise BadInput(name, 'it needs its values, each once: values = ["a", "b"]')
    return tuple(raw)


def _outputs(raw: object, problems: list[str]) -> dict[str, str]:
    if not isinstance(raw, dict) or not raw or any(kind not in _OUTPUT for kind in raw.values() if isinstance(kind, str)):
        problems.append(f"it needs outputs ([outputs]), each with a type: {', '.join(_OUTPUT)}")
        return {}
    if not all(isinstance(kind, str) for kind in raw.values()):
        problems.append("the type of an output is a word")
        return {}
    return raw


def _row(raw: object, n: int, inputs: Mapping[str, Input], outputs: Mapping[str, str], problems: list[str]) -> Row:
    raw = raw if isinstance(raw, dict) else {}
    row_id = raw.get("id")
    if not isinstance(row_id, str) or not NAME.match(row_id):
        problems.append(f"row number {n} needs an id in small letters, digits and hyphens")
        row_id = f"number-{n}"
    problems += _strange(raw, _ROW, f"row {row_id}")
    return Row(
        row_id,
        MappingProxyType(_when(raw.get("when", {}), row_id, inputs, problems)),
        MappingProxyType(_then(raw.get("then"), row_id, outputs, problems)),
        str(raw.get("why", "")),
    )


def _when(raw: object, row_id: str, inputs: Mapping[str, Input], problems: list[str]) -> dict[str, Cell]:
    if not isinstance(raw, dict):
        problems.append(f"row {row_id}: when is a table of conditions")
        return {}
    cells = {}
    for name, condition in raw.items():
        if name not in inputs:
            problems.append(f"row {row_id}: {name} is no input of this table")
            continue
        try:
            cells[name] = read_cell(inputs[name], condition)
        except BadInput as bad:
            problems.append(f"row {row_id}, {bad}")
    return cells


def _then(raw: object, row_id: str, outputs: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    if not isinstance(raw, dict):
        problems.append(f"row {row_id}: then is a table of outputs")
        return {}
    problems += [f"row {row_id}: {name} is no output of this table" for name in raw if name not in outputs]
    found = {}
    for name, kind in outputs.items():
        if name not in raw:
            problems.append(f"row {row_id} gives no {name}")
            continue
        try:
            found[name] = _OUTPUT[kind](raw[name])
        except TypeError:
            problems.append(f"row {row_id}: {name} = {raw[name]!r} is not of type {kind}")
    return found


def _of(*types: type) -> Callable[[Any], Any]:
    def keep(value: Any) -> Any:
        # bool is a kind of int, datetime a kind of date: neither is meant
        if isinstance(value, types) and (bool in types or not isinstance(value, bool)) and not isinstance(value, datetime):
            return value
        raise TypeError

    return keep


def _decimal(value: Any) -> Decimal:
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        number = Decimal(value)
        if is_sane(number):
            return number
    raise TypeError


def _list(value: Any) -> tuple[Any, ...]:
    if isinstance(value, list) and all(isinstance(item, str | int) or (isinstance(item, Decimal) and is_sane(item)) for item in value):
        return tuple(value)
    raise TypeError


_OUTPUT: dict[str, Callable[[Any], Any]] = {
    "bool": _of(bool),
    "int": _of(int),
    "decimal": _decimal,
    "text": _of(str),
    "date": _of(date),
    "list": _list,
}
