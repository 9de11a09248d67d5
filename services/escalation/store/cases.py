"""Cases and what was said of them: found, locked, saved. A case is locked before it is decided on, in the order of case ids."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from pydantic import TypeAdapter

from services.escalation.domain.case import Case
from services.escalation.domain.plan import Facts
from services.escalation.store.rows import COLUMNS, NAMES, case_of, columns
from shared.contracts.cases import CaseEvent, CaseOpened, IncidentAttached, Paging
from shared.contracts.incidents import Incident
from shared.db import Connection
from shared.kernel.errors import Transient

_FACTS: Final = TypeAdapter(Facts)
_JSON: Final = msgspec.json.Encoder()
# What every event repeats and the case's own row has; the targets stay, for they are what the clock is explained from.
_REPEATED: Final = (set(CaseEvent.model_fields) | {"incident"}) - {"targets"}
_REPEATED_AND_PAGE: Final = _REPEATED | {"page"}
LOCK_OPEN: Final = f"""
-- The cases that are not closed of these patients or orders, locked.
select {COLUMNS} from cases where belongs_to = any($1::text[]) and status <> 'closed' order by case_id for update
"""
LOCK: Final = f"""
-- These cases, locked.
select {COLUMNS} from cases where case_id = any($1::uuid[]) order by case_id for update
"""
LOCK_ONE: Final = f"""
-- One case by its id or its reference, locked.
select {COLUMNS} from cases where case_id = $1 or reference = $2 for update
"""
LOCK_NAMED: Final = f"""
-- Cases by their ids or their references, locked.
select {COLUMNS} from cases where case_id = any($1::uuid[]) or reference = any($2::text[]) order by case_id for update
"""
READ_ONE: Final = f"""
-- One case by its id or its reference.
select {COLUMNS} from cases where case_id = $1 or reference = $2
"""
LIST: Final = f"""
-- A page of cases, newest first; $5 and $6 are the walls of who asks (null: none).
select {COLUMNS} from cases
where ($1::text is null or patient_ref = $1) and ($2::text is null or location_id = $2) and ($3::text is null or status = $3)
  and ($4::timestamptz is null or (opened_at, case_id) < ($4, $7::uuid))
  and ($5::text[] is null or location_id = any($5) or region = any($6::text[]))
order by opened_at desc, case_id desc limit $8
"""
# Of these many cases of a batch have the same one, and reading it takes the database nearly half of what a case costs it.
_SHARED: Final = ("plan", "targets")
_OWN: Final = tuple(name for name in NAMES if name not in _SHARED)
SAVE: Final = f"""
-- Write whole cases, new or changed. In place of what cases share ($2, each once) they have its number there.
insert into cases ({COLUMNS})
select {", ".join(f"($2::jsonb[])[{name}::int]" if name in _SHARED else name for name in NAMES)}
from jsonb_populate_recordset(null::cases, $1)
on conflict (case_id) do update set ({COLUMNS}) = ({", ".join(f"excluded.{name}" for name in NAMES)})
"""
ADD_EVENTS: Final = """
-- What was said of each case, by its version.
insert into case_events (case_id, version, type, at, by, data)
select * from unnest($1::uuid[], $2::int[], $3::text[], $4::timestamptz[], $5::text[], $6::jsonb[])
"""
ADD_INCIDENTS: Final = """
-- Which incident went to which case, and what of it the case is planned by.
insert into case_incidents (incident_id, case_id, incident_type, at, facts)
select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::jsonb[])
"""
FACTS: Final = """
-- What the incidents of a case said that it is planned by, the first one first.
select facts from case_incidents where case_id = $1 and facts is not null order by at, created_at, incident_id
"""
KNOWN_INCIDENTS: Final = "select incident_id from case_incidents where incident_id = any($1::uuid[])"
NUMBERS: Final = """
-- As many numbers for new cases.
select nextval('case_numbers')::int as number from generate_series(1, $1)
"""
ANOTHER_OPEN: Final = """
-- Another case of the same patient or order that is not closed.
select reference from cases where belongs_to = $1 and status <> 'closed' and case_id <> $2
"""
IDS_AFTER: Final = """
-- The next cases, of one store or of all.
select case_id from cases where ($1::text is null or location_id = $1) and ($2::uuid is null or case_id > $2) order by case_id limit $3
"""
LIVE_AFTER: Final = """
-- The next live cases of these stores, in the order of store and case.
select location_id, case_id from cases
where status in ('open', 'acknowledged') and location_id = any($1::text[]) and (location_id, case_id) > ($2, $3::uuid)
order by location_id, case_id limit $4
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which cases a page shows. `locations` and `regions` are the walls of who asks, both None where there are none."""

    patient_ref: str | None
    location_id: str | None
    status: str | None
    locations: Sequence[str] | None
    regions: Sequence[str] | None
    after: tuple[datetime, UUID] | None
    limit: int


async def lock_open(conn: Connection, belongs_to: Collection[str]) -> dict[str, Case]:
    """Cases that are not closed, by what they are open for."""
    return {case.belongs_to: case for case in map(case_of, await conn.fetch(LOCK_OPEN, sorted(belongs_to)))}


async def lock(conn: Connection, case_ids: Iterable[UUID]) -> dict[UUID, Case]:
    """These cases, as far as they exist."""
    return {case.case_id: case for case in map(case_of, await conn.fetch(LOCK, sorted(case_ids)))}


async def lock_one(conn: Connection, case_id: UUID | None, reference: str | None) -> Case | None:
    """One case, by id or reference."""
    row = await conn.fetchrow(LOCK_ONE, case_id, reference)
    return case_of(row) if row else None


async def lock_named(conn: Connection, case_ids: Collection[UUID], references: Collection[str]) -> list[Case]:
    """Cases by id or reference, as far as they exist."""
    return [case_of(row) for row in await conn.fetch(LOCK_NAMED, list(case_ids), list(references))]


async def read_one(conn: Connection, case_id: UUID | None, reference: str | None) -> Case | None:
    """One case, by id or reference, to look at."""
    row = await conn.fetchrow(READ_ONE, case_id, reference)
    return case_of(row) if row else None


async def page(conn: Connection, wanted: Wanted) -> list[Case]:
    """Up to `limit` + 1 cases, newest first."""
    at, case_id = wanted.after or (None, None)
    walls = (wanted.locations, wanted.regions)
    rows = await conn.fetch(LIST, wanted.patient_ref, wanted.location_id, wanted.status, at, *walls, case_id, wanted.limit + 1)
    return [case_of(row) for row in rows]


async def save(conn: Connection, cases: Collection[Case], events: Sequence[CaseEvent]) -> None:
    """Write cases and what was said of them. Raises Transient where somebody else opened a case for the same patient meanwhile."""
    if not cases:
        return
    try:
        await conn.execute(SAVE, *_written(cases))
    except asyncpg.UniqueViolationError as error:
        raise Transient("another case was opened for the same patient meanwhile", retry_in=0.1) from error
    if events:
        rows = [(e.case_id, e.version, e.type_name, e.at, e.by, _told(e)) for e in events]
        await conn.execute(ADD_EVENTS, *columns(rows))
    incidents = [
        (e.incident.incident_id, e.case_id, e.incident.incident_type, e.at, Facts.of(e.incident))
        for e in events
        if isinstance(e, CaseOpened | IncidentAttached)
    ]
    if incidents:
        await conn.execute(ADD_INCIDENTS, *columns(incidents))


async def known_incidents(conn: Connection, incidents: Iterable[Incident]) -> set[UUID]:
    """Which of these are in a case already."""
    return {row["incident_id"] for row in await conn.fetch(KNOWN_INCIDENTS, [incident.incident_id for incident in incidents])}


async def facts(conn: Connection, case_id: UUID) -> list[Facts]:
    """What the case's incidents said, the first one first; without those of a time when it was not kept."""
    return [_FACTS.validate_python(row["facts"]) for row in await conn.fetch(FACTS, case_id)]


async def numbers(conn: Connection, count: int) -> list[int]:
    """Numbers for `count` new cases."""
    return [row["number"] for row in await conn.fetch(NUMBERS, count)] if count else []


async def another_open(conn: Connection, case: Case) -> str | None:
    """The reference of another case of the same patient that is not closed."""
    found: str | None = await conn.fetchval(ANOTHER_OPEN, case.belongs_to, case.case_id)
    return found


async def ids_after(conn: Connection, location_id: str | None, after: UUID | None, limit: int) -> list[UUID]:
    """Up to `limit` cases that come after `after`."""
    return [row["case_id"] for row in await conn.fetch(IDS_AFTER, location_id, after, limit)]


async def live_after(conn: Connection, locations: Sequence[str], after: tuple[str, UUID], limit: int) -> list[tuple[str, UUID]]:
    """(location, case) of up to `limit` live cases of these locations that come after `after`; not locked."""
    return [(row["location_id"], row["case_id"]) for row in await conn.fetch(LIVE_AFTER, list(locations), *after, limit)]


def _written(cases: Collection[Case]) -> tuple[list[dict[str, Any]], list[msgspec.Raw]]:
    """The cases and what they share, as SAVE takes them."""
    numbers: dict[bytes, int] = {}
    # The cases hold these values meanwhile, so one that was written already is known by its identity.
    known: dict[int, int] = {}

    def number(value: Any) -> int:
        if id(value) not in known:
            known[id(value)] = numbers.setdefault(_JSON.encode(value), len(numbers) + 1)
        return known[id(value)]

    rows = []
    for case in cases:
        row = {name: value for name in _OWN if (value := getattr(case, name)) is not None}
        rows.append(row | {name: number(getattr(case, name)) for name in _SHARED})
    return rows, [msgspec.Raw(value) for value in numbers]


def _told(event: CaseEvent) -> msgspec.Raw:
    """What an event says besides what the case's row has. A page is told by whom it woke."""
    is_page = isinstance(event, Paging) and event.page
    return msgspec.Raw(event.model_dump_json(exclude=_REPEATED if is_page else _REPEATED_AND_PAGE).encode())
