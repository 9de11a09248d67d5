"""The auditor of timers: what was scheduled, what fired and what is due are held against one another, and what does not fit is kept.

Called by the runtime, for every service, every few seconds of machine time. Invariant: each look is bounded (the due by their index, what
fired since the last look, a slice of the rest, so that a round goes over everything), and nothing is mended: a finding is for a person.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from shared.db import Connection
from shared.kernel.clock import machine_now
from shared.kernel.ids import new_id
from shared.messaging.consumer import Engine
from shared.telemetry.metrics import TIMER_FINDINGS

ROWS: Final = 500
SLICE: Final = 1000
# A timer is late only once it is later than this; business time, at the pace that the clock goes.
LATE: Final = timedelta(seconds=60)
# What fired is looked at from here on at a start.
LOOK_BACK: Final = timedelta(hours=1)
FAULTS: Final = {
    "overdue": "it is due and has not fired",
    "parked": "it could not be handled and waits for a person",
    "early": "it fired before it was due",
    "twice": "it fired more than once",
    "armed_again": "it fired already and is set once more",
    "missing": "its subject waits for it, and it is not set",
    "wrong_due": "it is set for another time than its subject says",
    "left_over": "its subject does not wait for it, and it is still set",
}
# Found by a look at all there is, and so gone when that look does not find them.
AT_ONCE: Final = ("overdue", "parked")
# Found slice by slice, and so gone when a whole round has not found them.
BY_ROUND: Final = ("armed_again", "missing", "wrong_due", "left_over")
# Happened once and for all: only a person who took note of it ends it. Its row stays as long, for each start looks back for an hour.
FOR_GOOD: Final = ("early", "twice")
NOTED_STAYS: Final = timedelta(days=1)

OVERDUE: Final = """
-- What is due and does not fire.
select 'overdue' as fault, kind, subject, name, generation, '' as detail, due_at from timers
where due_at <= $1 and parked_reason is null order by due_at limit $2
"""
PARKED: Final = """
-- What waits for a person.
select 'parked' as fault, kind, subject, name, generation, parked_reason as detail, due_at from timers
where parked_reason is not null limit $1
"""
FIRED_WRONG: Final = """
-- Of what fired since the last look: what fired early, and what fired more than once.
with recent as (select * from timers_done where created_at > $1 and outcome = 'fired')
select 'early' as fault, kind, subject, name, generation, 'fired at ' || min(fired_at)::text as detail, min(due_at) as due_at
from recent where fired_at < due_at group by kind, subject, name, generation
union all
select 'twice', d.kind, d.subject, d.name, d.generation, 'fired ' || count(distinct d.ctid) || ' times', min(d.due_at)
from recent r join timers_done d using (kind, subject, name, generation) where d.outcome = 'fired'
group by d.kind, d.subject, d.name, d.generation having count(distinct d.ctid) > 1
limit $2
"""
ARMED_AGAIN: Final = """
-- A slice of what is set, by key, and which of it fired already.
with slice as (
    select kind, subject, name, generation, due_at from timers
    where (subject, kind, name, generation) > ($1, $2, $3, $4) order by subject, kind, name, generation limit $5
)
select s.*, exists (
    select from timers_done d where d.kind = s.kind and d.subject = s.subject and d.name = s.name and d.generation = s.generation
      and d.outcome = 'fired'
) as has_fired from slice s order by subject, kind, name, generation
"""
KEEP: Final = """
-- What was found, and when last; what a person took note of stays so unless it got worse.
insert into timer_findings as f (fault, kind, subject, name, generation, detail, due_at, finding_id, seen_at)
select distinct on (1, 2, 3, 4, 5) *, $9::timestamptz
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::timestamptz[], $8::uuid[])
on conflict (fault, kind, subject, name, generation) do update
    set detail = excluded.detail, due_at = excluded.due_at, seen_at = excluded.seen_at,
        noted_at = case when f.detail = excluded.detail then f.noted_at end
"""
FORGET: Final = "delete from timer_findings where fault = any($1::text[]) and seen_at < $2"
FORGET_NOTED: Final = "delete from timer_findings where noted_at < $1"
COUNT: Final = """
-- What is found now, by fault.
select fault, count(*)::int as found from (select fault from timer_findings where noted_at is null limit 10000) f group by fault
"""
LOOKED: Final = """
-- When the auditor looked, and when it last had gone over everything.
insert into timer_audits (looked_at, went_round_at) values ($1, $2)
on conflict (the_one) do update set looked_at = excluded.looked_at,
    went_round_at = coalesce(excluded.went_round_at, timer_audits.went_round_at)
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One timer that is not as it ought to be; `fault` is one of FAULTS, `detail` says more where there is more to say."""

    fault: str
    kind: str
    subject: str
    name: str
    generation: int
    detail: str
    due_at: datetime | None


# A service's own look at a slice of its subjects after a cursor ("" begins): what does not fit, and the next cursor ("" after the last).
Check = Callable[[Connection, str, datetime], Awaitable[tuple[Sequence[Finding], str]]]


class Auditor:
    """One per service; `check` is what the service knows of its subjects, None where it looks at none."""

    def __init__(self, engine: Engine, check: Check | None = None) -> None:
        self._engine, self._check = engine, check
        self._since = machine_now() - LOOK_BACK
        self._after: tuple[str, str, str, int] = ("", "", "", -1)
        self._cursor = ""
        # When each kind of round began; its end takes away what it has not seen.
        self._timers_since = self._subjects_since = machine_now()
        # As of when each kind of round that is over saw things.
        self._rounds: dict[str, datetime] = {}

    async def look(self) -> None:
        """One look; keeps what it found and sets the gauge."""
        now, machine = self._engine.clock.now(), machine_now()
        late = LATE * max(getattr(self._engine.clock, "rate", 1.0), 1.0)
        async with self._engine.pool.acquire() as conn:
            found = [_finding(row) for row in await conn.fetch(OVERDUE, now - late, ROWS)]
            found += [_finding(row) for row in await conn.fetch(PARKED, ROWS)]
            found += [_finding(row) for row in await conn.fetch(FIRED_WRONG, self._since, ROWS)]
            gone: list[tuple[Sequence[str], datetime]] = [(AT_ONCE, machine)]
            found += await self._slice_of_timers(conn, gone, machine)
            found += await self._slice_of_subjects(conn, gone, now, machine)
            async with conn.transaction():
                if found:
                    columns = [list(c) for c in zip(*[_columns(one) for one in found], strict=True)]
                    await conn.execute(KEEP, *columns, machine)
                for faults, before in gone:
                    await conn.execute(FORGET, list(faults), before)
                await conn.execute(FORGET_NOTED, machine - NOTED_STAYS)
                await conn.execute(LOOKED, machine, min(self._rounds.values()) if len(self._rounds) == 2 else None)
            counts = {row["fault"]: row["found"] for row in await conn.fetch(COUNT)}
        # A transaction that was open at the last look may have written before it and committed after.
        self._since = machine - timedelta(seconds=60)
        for fault in FAULTS:
            TIMER_FINDINGS.labels(self._engine.name, fault).set(counts.get(fault, 0))

    async def _slice_of_timers(self, conn: Connection, gone: list[tuple[Sequence[str], datetime]], machine: datetime) -> list[Finding]:
        rows = await conn.fetch(ARMED_AGAIN, *self._after, SLICE)
        if len(rows) == SLICE:
            last = rows[-1]
            self._after = (last["subject"], last["kind"], last["name"], last["generation"])
        else:
            gone.append((BY_ROUND[:1], self._timers_since))
            self._rounds["timers"] = self._timers_since
            self._after, self._timers_since = ("", "", "", -1), machine
        return [
            Finding("armed_again", row["kind"], row["subject"], row["name"], row["generation"], "", row["due_at"])
            for row in rows
            if row["has_fired"]
        ]

    async def _slice_of_subjects(
        self, conn: Connection, gone: list[tuple[Sequence[str], datetime]], now: datetime, machine: datetime
    ) -> Sequence[Finding]:
        found: Sequence[Finding] = ()
        if self._check is not None:
            found, self._cursor = await self._check(conn, self._cursor, now)
        if not self._cursor:
            gone.append((BY_ROUND[1:], self._subjects_since))
            self._rounds["subjects"] = self._subjects_since
            self._subjects_since = machine
        return found


def _finding(row: Any) -> Finding:
    return Finding(row["fault"], row["kind"], row["subject"], row["name"], row["generation"], row["detail"], row["due_at"])


def _columns(one: Finding) -> tuple[Any, ...]:
    return one.fault, one.kind, one.subject, one.name, one.generation, one.detail, one.due_at, new_id()
