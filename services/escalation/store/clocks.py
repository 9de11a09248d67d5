"""What a clock is explained, checked and counted anew from: histories, the hours as they were, the timers that are set."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from services.escalation.domain.explain import Recorded
from services.escalation.store.rows import columns
from shared.db import Connection

HISTORY: Final = "select version, at, by, type, data from case_events where case_id = $1 order by version"
HISTORIES: Final = """
-- What happened to these cases, each in order.
select case_id, version, at, by, type, data from case_events where case_id = any($1::uuid[]) order by case_id, version
"""
KEEP_HOURS: Final = """
-- The hours of stores as they were told.
insert into location_hours (location_id, version, hours) select * from unnest($1::text[], $2::int[], $3::jsonb[]) on conflict do nothing
"""
HOURS: Final = """
-- The hours of a store as they were at these versions of what the directory told.
select distinct on (w.version) w.version, h.hours
from unnest($2::int[]) as w(version) join location_hours h on h.location_id = $1 and h.version <= w.version
order by w.version, h.version desc
"""
UNFIT_TIMERS: Final = """
-- Of the next cases: timers that their state waits for and that are not set, or not for that time; and timers that nobody waits for.
-- When a warning comes is not in the state (it takes the hours of the store), but that it stands while its target does.
with slice as (select * from cases where case_id > $1 order by case_id limit $2),
live as (select * from slice where status in ('open', 'acknowledged')),
owed as (
    select case_id, t ->> 'milestone' as milestone, coalesce(nullif((t ->> 'round')::int, 0), segment) as generation,
           (t ->> 'due_at')::timestamptz as due_at, t ->> 'next_warning' as next_warning
    from live, jsonb_array_elements(targets) t where (t ->> 'segment')::int = segment and t ->> 'state' in ('running', 'paused')
),
ought as (
    select case_id, 'target' as kind, milestone as name, generation, due_at, true as is_told from owed
    union all select case_id, 'warning', next_warning, generation, null, due_at is null from owed where next_warning is not null
    union all select case_id, 'step', (step + 1)::text, generation, step_due_at, true from live where step_due_at is not null
    union all select case_id, 'hand_over', to_char(hand_over_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI'), generation, hand_over_at, true
    from live where hand_over_at is not null and status = 'open'
    union all select case_id, 'ack_expiry', 'ack', generation, case when paused_reason is null then expires_at end, true
    from live where expires_at is not null
    union all select case_id, 'pause_end', paused_reason, jsonb_array_length(pauses) + 1, paused_until, true
    from live where paused_until is not null
    union all select case_id, 'promise', p ->> 'what', (p ->> 'number')::int, (p ->> 'promised_by')::timestamptz, true
    from live, jsonb_array_elements(promises) p where p ->> 'state' = 'open'
    union all select case_id, 'promise_aim', p ->> 'what', (p ->> 'number')::int, (p ->> 'aim_by')::timestamptz, true
    from live, jsonb_array_elements(promises) p where p ->> 'state' = 'open' and not (p ->> 'is_warned')::boolean
)
select case when t.kind is null then 'missing' else 'wrong_due' end as fault, o.*, t.due_at as set_for
from ought o left join timers t on (t.kind, t.subject, t.name, t.generation) = (o.kind, o.case_id::text, o.name, o.generation)
where t.kind is null or (o.is_told and t.due_at is distinct from o.due_at and (o.due_at is null or o.due_at > $3))
union all
select 'left_over', s.case_id, t.kind, t.name, t.generation, t.due_at, true, t.due_at
from slice s join timers t on t.subject = s.case_id::text
    left join ought o on (o.kind, o.case_id, o.name, o.generation) = (t.kind, s.case_id, t.name, t.generation)
-- What is due is about to be taken, and a change of shifts that an earlier roster had set wakes nobody.
where s.status not in ('open', 'acknowledged') or (o.kind is null and t.kind <> 'hand_over' and (t.due_at is null or t.due_at > $3))
"""
LAST_OF_SLICE: Final = "select case_id from cases where case_id > $1 order by case_id offset $2 limit 1"


async def history(conn: Connection, case_id: UUID) -> list[Recorded]:
    """What happened to a case, in order."""
    return [Recorded(**row) for row in await conn.fetch(HISTORY, case_id)]


async def histories(conn: Connection, case_ids: Iterable[UUID]) -> dict[UUID, list[Recorded]]:
    """What happened to these cases, in order."""
    found: dict[UUID, list[Recorded]] = {}
    for row in await conn.fetch(HISTORIES, list(case_ids)):
        found.setdefault(row["case_id"], []).append(Recorded(row["version"], row["at"], row["by"], row["type"], row["data"]))
    return found


async def keep_hours(conn: Connection, rows: Sequence[tuple[str, int, Mapping[str, Any]]]) -> None:
    """Hours by location and version; what is kept stays."""
    if rows:
        await conn.execute(KEEP_HOURS, *columns(rows))


async def hours(conn: Connection, location_id: str, versions: Collection[int]) -> dict[int, Mapping[str, Any]]:
    """A store's hours by the versions asked for; what was not kept is left out."""
    return {row["version"]: row["hours"] for row in await conn.fetch(HOURS, location_id, list(versions))} if versions else {}


async def unfit_timers(conn: Connection, after: UUID, limit: int, now: datetime) -> tuple[list[asyncpg.Record], UUID | None]:
    """What does not fit among the next cases, and the last of them where more follow."""
    last: UUID | None = await conn.fetchval(LAST_OF_SLICE, after, limit - 1)
    return await conn.fetch(UNFIT_TIMERS, after, limit, now), last
