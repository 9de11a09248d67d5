"""Whose cases are whose: the load of people, cases that are nobody's, whose turn it is, how everything stands."""

from collections.abc import Collection, Mapping
from typing import Final

import asyncpg

from services.escalation.domain.case import Case
from services.escalation.store.rows import COLUMNS, case_of
from shared.db import Connection, Pool

LOAD: Final = """
-- How many live cases each person owns at these locations, as they were counted when cases changed.
select location_id, staff_id, sum(cases)::int as cases from case_loads where location_id = any($1::text[]) group by 1, 2
"""
STANDING: Final = """
-- The live cases by status and severity, those without an owner, those with a target that is over and not met.
select status, severity, count(*)::int as cases, (count(*) filter (where owner_staff_id is null))::int as unowned,
    (count(*) filter (where targets @> '[{"state": "breached"}]'))::int as breached
from cases where status in ('open', 'acknowledged') group by status, severity
"""
LOCK_UNOWNED: Final = f"""
-- Live cases without an owner or with one who has left, locked; those another process looks at are left out.
select {COLUMNS} from cases where case_id in (
    select case_id from cases where status in ('open', 'acknowledged') and owner_staff_id is null
    union
    select c.case_id from reference_staff s
        join cases c on c.owner_staff_id = s.staff_id and c.status in ('open', 'acknowledged') and c.owner_staff_id is not null
    where not s.active
) order by case_id limit $1 for update skip locked
"""
TURNS: Final = "select staff_id, turn from turns"
TAKE_TURNS: Final = """
-- Who was paged in turn last; the highest is the last.
insert into turns (staff_id, turn) select * from unnest($1::text[], $2::bigint[])
on conflict (staff_id) do update set turn = greatest(turns.turn, excluded.turn)
"""


async def standing(pool: Pool) -> list[asyncpg.Record]:
    """How the live cases stand: `status`, `severity`, `cases`, `unowned`, `breached`."""
    return await pool.fetch(STANDING)


async def load(conn: Connection, location_ids: Collection[str]) -> dict[str, dict[str, int]]:
    """Live cases by location and owner."""
    found: dict[str, dict[str, int]] = {location_id: {} for location_id in location_ids}
    for row in await conn.fetch(LOAD, sorted(location_ids)):
        found[row["location_id"]][row["staff_id"]] = row["cases"]
    return found


async def lock_unowned(conn: Connection, most: int) -> list[Case]:
    """Up to `most` live cases that are nobody's, locked."""
    return [case_of(row) for row in await conn.fetch(LOCK_UNOWNED, most)]


async def turns(conn: Connection) -> dict[str, int]:
    """Who was paged in turn so far: the higher, the later."""
    return {row["staff_id"]: row["turn"] for row in await conn.fetch(TURNS)}


async def take_turns(conn: Connection, turns: Mapping[str, int]) -> None:
    """Keep who was paged in turn."""
    if turns:
        await conn.execute(TAKE_TURNS, list(turns), list(turns.values()))
