"""What promises leave behind: how long they took, and how often they were kept. Written as it happens, read in bounded pieces."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from services.escalation.domain.case import Case
from services.escalation.domain.promises import Outcome, Past
from services.escalation.domain.promises.rules import SAMPLE_MAX
from services.escalation.store.rows import columns
from shared.contracts.cases import PromiseKind
from shared.db import Connection

OUTCOMES: Final[tuple[Outcome, ...]] = ("made", "kept", "early", "late", "moved")

PAST: Final = """
-- How long the newest promises of a kind took: of the lab for the store, of the store, of the group; the p90 by nearest rank.
with newest as (
    (select 'lab' as level, seconds from promise_durations
     where what = $1 and catalyst = $2 and lab = $3 and location_id = $4 order by fulfilled_at desc limit $5)
    union all
    (select 'location', seconds from promise_durations where what = $1 and catalyst = $2 and location_id = $4
     order by fulfilled_at desc limit $5)
    union all
    (select 'catalyst', seconds from promise_durations where what = $1 and catalyst = $2 order by fulfilled_at desc limit $5)
)
select level, count(*)::int as count, percentile_disc(0.9) within group (order by seconds) as p90_seconds from newest group by level
"""
ADD_DURATIONS: Final = """
-- How long promises took.
insert into promise_durations (case_id, number, what, catalyst, lab, location_id, seconds, fulfilled_at)
select * from unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::timestamptz[])
on conflict do nothing
"""
COUNT: Final = """
-- What became of promises, added to what is counted; rows in one order, so that no two transactions wait for each other.
insert into promise_counts as c (location_id, month, what, made, kept, early, late, moved)
select * from unnest($1::text[], $2::date[], $3::text[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[])
on conflict (month, location_id, what) do update set made = c.made + excluded.made, kept = c.kept + excluded.kept,
    early = c.early + excluded.early, late = c.late + excluded.late, moved = c.moved + excluded.moved
"""
TALLIES: Final = """
-- A month of a page of stores, inside the walls of who asks ($3 null: none), by kind.
with shown as (
    select distinct c.location_id from promise_counts c left join reference_locations r using (location_id)
    where c.month = $1 and ($2::text is null or c.location_id = $2) and c.location_id > $5
        and ($3::text[] is null or c.location_id = any($3) or r.region = any($4::text[]))
    order by c.location_id limit $6
)
select c.location_id, c.what, c.made, c.kept, c.early, c.late, c.moved from shown join promise_counts c using (location_id)
where c.month = $1 order by c.location_id, c.what
"""


@dataclass(frozen=True, slots=True)
class Duration:
    """How long one promise of a case took, in seconds."""

    case: Case
    number: int
    what: PromiseKind
    seconds: int
    fulfilled_at: datetime


@dataclass(frozen=True, slots=True)
class Count:
    """One thing to be counted, in a month on the wall of the store."""

    location_id: str
    month: date
    what: PromiseKind
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of a kind of promise at a store in a month."""

    location_id: str
    what: PromiseKind
    made: int
    kept: int
    early: int
    late: int
    moved: int


@dataclass(frozen=True, slots=True)
class TallyWanted:
    """Which stores of which month. `locations` and `regions` are the walls of who asks, both None where there are none."""

    month: date
    location_id: str | None
    locations: Sequence[str] | None
    regions: Sequence[str] | None
    after: str
    limit: int


async def past(conn: Connection, case: Case, what: PromiseKind) -> list[Past]:
    """What history says of a kind of promise for the cause, lab and store of a case, at each level that has any."""
    rows = await conn.fetch(PAST, what, case.catalyst, case.lab, case.location_id, SAMPLE_MAX)
    return [Past(row["level"], row["count"], row["p90_seconds"]) for row in rows]


async def add_durations(conn: Connection, found: Iterable[Duration]) -> None:
    """Keep how long promises took."""
    rows = [(d.case.case_id, d.number, d.what, d.case.catalyst, d.case.lab, d.case.location_id, d.seconds, d.fulfilled_at) for d in found]
    if rows:
        await conn.execute(ADD_DURATIONS, *columns(rows))


async def count(conn: Connection, found: Iterable[Count]) -> None:
    """Add to what is counted."""
    sums = Counter(found)
    keys = sorted({(one.month, one.location_id, one.what) for one in sums})
    rows = [
        (location_id, month, what, *(sums[Count(location_id, month, what, outcome)] for outcome in OUTCOMES))
        for month, location_id, what in keys
    ]
    if rows:
        await conn.execute(COUNT, *columns(rows))


async def tallies(conn: Connection, wanted: TallyWanted) -> list[Tally]:
    """By store, then by kind; one store more than the limit where more follow."""
    walls = (wanted.locations, wanted.regions)
    rows = await conn.fetch(TALLIES, wanted.month, wanted.location_id, *walls, wanted.after, wanted.limit + 1)
    return [Tally(**row) for row in rows]
