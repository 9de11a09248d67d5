"""Set, move, pause and cancel timers: what the decisions of a transaction ask for, in two statements.

Called by the engine at commit. Invariant: within a transaction the last word on a timer counts, and a cancelled timer leaves its reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shared.kernel.decision import Cancel, Schedule, Timer
from shared.messaging.transaction import Transaction

CANCEL: Final = """
-- Take away every timer that matches, and keep why.
with asked as (
    select * from unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[]) as a(kind, subject, name, generation, reason)
), gone as (
    delete from timers t using asked a
    where t.kind = a.kind and t.subject = a.subject and (a.name is null or t.name = a.name)
      and (a.generation is null or t.generation = a.generation)
    returning t.kind, t.subject, t.name, t.generation, t.due_at, a.reason
)
insert into timers_done (kind, subject, name, generation, outcome, reason, due_at, fired_at)
select kind, subject, name, generation, 'cancelled', reason, due_at, $6 from gone
"""
SET: Final = """
-- A timer's row: new, moved, or paused (no due time).
insert into timers (kind, subject, name, generation, due_at, data, traceparent)
select * from unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::timestamptz[], $6::jsonb[], $7::text[])
on conflict (kind, subject, name, generation) do update
    set due_at = excluded.due_at, data = excluded.data, parked_reason = null,
        traceparent = coalesce(excluded.traceparent, timers.traceparent)
where (timers.due_at, timers.data, timers.parked_reason) is distinct from (excluded.due_at, excluded.data, null)
"""


@dataclass(frozen=True, slots=True)
class Due:
    """A timer whose time has come. What follows from it counts from `due_at`, not from now, and belongs to the trace of what set it."""

    kind: str
    subject: str
    name: str
    generation: int
    due_at: datetime
    data: Mapping[str, Any]
    traceparent: str | None = None


async def write(tx: Transaction) -> None:
    """Write what `tx.timers` collected, in order per timer."""
    if not tx.timers:
        return
    cancels, schedules = collapse(tx.timers)
    if cancels:
        rows = [(c.kind, c.subject, c.name, c.generation, c.reason) for c in cancels]
        await tx.conn.execute(CANCEL, *_columns(rows), tx.now)
    if schedules:
        kept = [(*(key := (s.kind, s.subject, s.name, s.generation)), s.due_at, dict(s.data), tx.traces.get(key)) for s in schedules]
        await tx.conn.execute(SET, *_columns(kept))


def collapse(timers: list[Timer]) -> tuple[list[Cancel], list[Schedule]]:
    """All cancellations first, then the schedules that no later cancellation took back: the same end state as one by one."""
    cancels: dict[tuple[str, str, str | None, int | None], Cancel] = {}
    # By kind and subject, so that a batch of thousands of timers costs no more per timer than one of ten.
    schedules: dict[tuple[str, str], dict[tuple[str, int], Schedule]] = {}
    for timer in timers:
        set_so_far = schedules.setdefault((timer.kind, timer.subject), {})
        if isinstance(timer, Schedule):
            set_so_far[timer.name, timer.generation] = timer
            continue
        cancels.setdefault((timer.kind, timer.subject, timer.name, timer.generation), timer)
        for name, generation in list(set_so_far):
            if timer.name in (None, name) and timer.generation in (None, generation):
                del set_so_far[name, generation]
    return list(cancels.values()), [schedule for some in schedules.values() for schedule in some.values()]


def _columns(rows: list[Any]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
