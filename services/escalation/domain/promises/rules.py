"""What the policy says of each kind of promise, read from a row of the table `promises`.

Called by `plan`, which finds the version of the day. Invariant: a buffer and a least of open time are always there, so that the internal
target has room before the promise.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from shared.contracts.cases import ActionKind, PromiseKind
from shared.policy import Match, Table

MINUTE = 60
SAMPLE_MAX = 200
KINDS: tuple[PromiseKind, ...] = get_args(PromiseKind)


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. `sample`: so many promises make a history."""

    version: int
    row: str
    default_seconds: int
    buffer_seconds: int
    least_open_seconds: int
    sample: int
    kept_by: tuple[ActionKind, ...]


def rule_of(found: Match) -> Rule:
    """A row as decided by the table."""
    told = found.outputs
    return Rule(
        version=found.version,
        row=found.row,
        default_seconds=told["default_minutes"] * MINUTE,
        buffer_seconds=told["buffer_minutes"] * MINUTE,
        least_open_seconds=told["least_open_minutes"] * MINUTE,
        sample=told["sample"],
        kept_by=tuple(told["kept_by"]),
    )


def mistakes(table: Table) -> Iterator[str]:
    """What the table's format cannot refuse and a promise cannot rest on."""
    if set(table.inputs["what"].values or ()) != set(KINDS):
        yield f"what is one of {', '.join(KINDS)}, each of them"
    for row in table.rows:
        for name in ("default_minutes", "buffer_minutes", "least_open_minutes", "sample"):
            if row.then[name] < 1:
                yield f"row {row.id}: {name} is at least 1"
        if row.then["sample"] > SAMPLE_MAX:
            yield f"row {row.id}: sample is at most {SAMPLE_MAX}, for that many of the newest are looked at"
        if not set(row.then["kept_by"]) <= set(get_args(ActionKind)):
            yield f"row {row.id}: kept_by names actions, of {', '.join(get_args(ActionKind))}"
