"""Whether each subject of a kind of timer has the timer that its state waits for, and no other: the auditor's look at what a service knows.

Called by services that say in SQL what their subjects wait for. Invariant: a slice is cut where both sides, what waits and what is set,
were read whole, and is compared in one statement, so that a decision that is committed meanwhile is seen with its timers or not at all.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from shared.db import Connection
from shared.timers.audit import SLICE, Check, Finding

CUT: Final = """
-- Up to which subject the slice goes, and whether something is behind it.
with cut as (
    select least((select subject from ({waits}) w where subject > $1 order by subject offset $2 limit 1),
                 (select subject from timers where kind = $3 and subject > $1 order by subject offset $2 limit 1)) as subject
)
select coalesce(subject, greatest((select max(subject) from ({waits}) w), (select max(subject) from timers where kind = $3))) as upto,
       subject is not null as goes_on
from cut
"""
UNFIT: Final = """
-- Of the subjects after $1 up to $2: what they wait for and is not set, or not for that time; what is set and nobody waits for.
with ought as (select * from ({waits}) w where subject > $1 and subject <= $2)
select case when t.subject is null then 'missing' else 'wrong_due' end as fault, o.subject, o.name,
       coalesce(o.generation, t.generation, 1) as generation, o.due_at, t.due_at as set_for
from ought o left join timers t
    on t.kind = $3 and t.subject = o.subject and t.name = o.name and t.generation = coalesce(o.generation, t.generation)
where t.subject is null or (t.due_at is distinct from o.due_at and o.due_at > $4)
union all
select 'left_over', t.subject, t.name, t.generation, t.due_at, t.due_at from timers t
where t.kind = $3 and t.subject > $1 and t.subject <= $2 and not exists (
    select from ought o where o.subject = t.subject and o.name = t.name and t.generation = coalesce(o.generation, t.generation)
)
"""


def check_of(kind: str, waits: str, at_once: int = SLICE) -> Check:
    """The check of one kind of timer. `waits`: a select of `subject` (text, an index in its order), `name`, `generation` (null: any) and
    `due_at` (null: any) of every subject that waits, `at_once` of which are looked at in a slice."""
    cut, unfit = CUT.format(waits=waits), UNFIT.format(waits=waits)

    async def check(conn: Connection, cursor: str, now: datetime) -> tuple[Sequence[Finding], str]:
        ends = await conn.fetchrow(cut, cursor, at_once, kind)
        if ends is None or ends["upto"] is None:
            return [], ""
        rows = await conn.fetch(unfit, cursor, ends["upto"], kind, now)
        found = [
            Finding(
                row["fault"], kind, row["subject"], row["name"], row["generation"], _detail(row["fault"], row["set_for"]), row["due_at"]
            )
            for row in rows
        ]
        return found, ends["upto"] if ends["goes_on"] else ""

    return check


def _detail(fault: str, set_for: datetime | None) -> str:
    if fault != "wrong_due":
        return ""
    return f"set for {set_for.isoformat() if set_for else 'no time'}"
