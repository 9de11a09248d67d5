"""How cases are kept. Sets in, sets out; a case is locked before it is decided on, in the order of case ids.

Called by the use cases and queries. Invariant: the columns of `cases` are the fields of `Case`, so nothing of a case is lost on the way.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
from pydantic import TypeAdapter

from services.escalation.domain.case import Case
from services.escalation.domain.explain import Recorded
from services.escalation.domain.plan import Facts
from shared.contracts.cases import CaseEvent, CaseOpened, IncidentAttached, Paging
from shared.contracts.incidents import Incident
from shared.db import Connection, Pool
from shared.kernel.errors import Transient

_NAMES: Final = tuple(field.name for field in fields(Case))
_COLUMNS: Final = ", ".join(_NAMES)
_CASE: Final = TypeAdapter(Case)
_FACTS: Final = TypeAdapter(Facts)
# What every event repeats and the case's own row has; the targets stay, for they are what the clock is explained from.
_REPEATED: Final = (set(CaseEvent.model_fields) | {"incident"}) - {"targets"}

LOCK_OPEN: Final = f"""
-- The cases that are not closed of these patients or orders, locked.
select {_COLUMNS} from cases where belongs_to = any($1::text[]) and status <> 'closed' order by case_id for update
"""
LOCK: Final = f"""
-- These cases, locked.
select {_COLUMNS} from cases where case_id = any($1::uuid[]) order by case_id for update
"""
LOCK_ONE: Final = f"""
-- One case by its id or its reference, locked.
select {_COLUMNS} from cases where case_id = $1 or reference = $2 for update
"""
READ_ONE: Final = f"""
-- One case by its id or its reference.
select {_COLUMNS} from cases where case_id = $1 or reference = $2
"""
LIST: Final = f"""
-- A page of cases, newest first; $5 and $6 are the walls of who asks (null: none).
select {_COLUMNS} from cases
where ($1::text is null or patient_ref = $1) and ($2::text is null or location_id = $2) and ($3::text is null or status = $3)
  and ($4::timestamptz is null or (opened_at, case_id) < ($4, $7::uuid))
  and ($5::text[] is null or location_id = any($5) or region = any($6::text[]))
order by opened_at desc, case_id desc limit $8
"""
SAVE: Final = f"""
-- Write whole cases, new or changed.
insert into cases ({_COLUMNS}) select {_COLUMNS} from jsonb_populate_recordset(null::cases, $1)
on conflict (case_id) do update set ({_COLUMNS}) = ({", ".join(f"excluded.{name}" for name in _NAMES)})
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
LOAD: Final = """
-- How many live cases each person of these locations owns there.
select location_id, owner_staff_id, count(*)::int as cases from cases
where location_id = any($1::text[]) and status in ('open', 'acknowledged') and owner_staff_id is not null group by 1, 2
"""
STANDING: Final = """
-- The live cases by status and severity, those without an owner, those with a target that is over and not met.
select status, severity, count(*)::int as cases, (count(*) filter (where owner_staff_id is null))::int as unowned,
    (count(*) filter (where targets @> '[{"state": "breached"}]'))::int as breached
from cases where status in ('open', 'acknowledged') group by status, severity
"""
ANOTHER_OPEN: Final = """
-- Another case of the same patient or order that is not closed.
select reference from cases where belongs_to = $1 and status <> 'closed' and case_id <> $2
"""
LOCK_UNOWNED: Final = f"""
-- Live cases without an owner or with one who has left, locked; those another process looks at are left out.
select {_COLUMNS} from cases where case_id in (
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
HISTORY: Final = "select version, at, by, type, data from case_events where case_id = $1 order by version"
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
IDS_AFTER: Final = """
-- The next cases, of one store or of all.
select case_id from cases where ($1::text is null or location_id = $1) and ($2::uuid is null or case_id > $2) order by case_id limit $3
"""
HISTORIES: Final = """
-- What happened to these cases, each in order.
select case_id, version, at, by, type, data from case_events where case_id = any($1::uuid[]) order by case_id, version
"""
UNFIT_TIMERS: Final = """
-- Of the next cases: timers that their state waits for and that are not set, or not for that time; and timers of cases that are over.
with slice as (select * from cases where case_id > $1 order by case_id limit $2),
live as (select * from slice where status in ('open', 'acknowledged')),
ought as (
    select case_id, 'target' as kind, t ->> 'milestone' as name, coalesce(nullif((t ->> 'round')::int, 0), segment) as generation,
           (t ->> 'due_at')::timestamptz as due_at
    from live, jsonb_array_elements(targets) t where (t ->> 'segment')::int = segment and t ->> 'state' in ('running', 'paused')
    union all select case_id, 'step', (step + 1)::text, generation, step_due_at from live where step_due_at is not null
    union all select case_id, 'ack_expiry', 'ack', generation, case when paused_reason is null then expires_at end
    from live where expires_at is not null
    union all select case_id, 'pause_end', paused_reason, jsonb_array_length(pauses) + 1, paused_until
    from live where paused_until is not null
)
select case when t.kind is null then 'missing' else 'wrong_due' end as fault, o.*, t.due_at as set_for
from ought o left join timers t on (t.kind, t.subject, t.name, t.generation) = (o.kind, o.case_id::text, o.name, o.generation)
where t.kind is null or (t.due_at is distinct from o.due_at and (o.due_at is null or o.due_at > $3))
union all
select 'left_over', s.case_id, t.kind, t.name, t.generation, t.due_at, t.due_at
from slice s join timers t on t.subject = s.case_id::text where s.status not in ('open', 'acknowledged')
"""
LAST_OF_SLICE: Final = "select case_id from cases where case_id > $1 order by case_id offset $2 limit 1"
LIVE_AFTER: Final = """
-- The next live cases of these stores, in the order of store and case.
select location_id, case_id from cases
where status in ('open', 'acknowledged') and location_id = any($1::text[]) and (location_id, case_id) > ($2, $3::uuid)
order by location_id, case_id limit $4
"""
PUT_PATIENTS: Final = """
-- Patients' keys; an older version never replaces a newer one.
insert into patients (patient_ref, wrapped_key, version) select * from unnest($1::text[], $2::bytea[], $3::int[])
on conflict (patient_ref) do update set wrapped_key = excluded.wrapped_key, version = excluded.version
where patients.version < excluded.version
"""
PATIENT_KEYS: Final = "select patient_ref, wrapped_key from patients where patient_ref = any($1::text[])"
CASE_KEYS: Final = "select case_id, wrapped_key from case_keys where case_id = any($1::uuid[])"
PUT_CASE_KEY: Final = "insert into case_keys (case_id, wrapped_key) values ($1, $2)"
PUT_WORDS: Final = """
-- Words, sealed.
insert into case_words (word_id, case_id, field, sealed, patient_ref, at, by)
select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::timestamptz[], $7::text[])
"""
STORIES: Final = """
-- The newest words of the story of each of these cases.
select distinct on (case_id, field) word_id, case_id, field, sealed, patient_ref, at, by from case_words
where case_id = any($1::uuid[]) and field in ('verbatim', 'wished_outcome') order by case_id, field, at desc, word_id desc
"""
NOTES: Final = """
-- The notes of a case, oldest first.
select word_id, case_id, field, sealed, patient_ref, at, by from case_words
where case_id = $1 and field not in ('verbatim', 'wished_outcome') order by at, word_id limit 500
"""


@dataclass(frozen=True, slots=True)
class Sealed:
    """Words as they are kept: under the key of `patient_ref`, else of the case."""

    word_id: UUID
    case_id: UUID
    field: str
    sealed: bytes
    patient_ref: str | None
    at: datetime
    by: str


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
    return {case.belongs_to: case for case in map(_case, await conn.fetch(LOCK_OPEN, sorted(belongs_to)))}


async def lock(conn: Connection, case_ids: Iterable[UUID]) -> dict[UUID, Case]:
    """These cases, as far as they exist."""
    return {case.case_id: case for case in map(_case, await conn.fetch(LOCK, sorted(case_ids)))}


async def lock_one(conn: Connection, case_id: UUID | None, reference: str | None) -> Case | None:
    """One case, by id or reference."""
    row = await conn.fetchrow(LOCK_ONE, case_id, reference)
    return _case(row) if row else None


async def read_one(conn: Connection, case_id: UUID | None, reference: str | None) -> Case | None:
    """One case, by id or reference, to look at."""
    row = await conn.fetchrow(READ_ONE, case_id, reference)
    return _case(row) if row else None


async def page(conn: Connection, wanted: Wanted) -> list[Case]:
    """Up to `limit` + 1 cases, newest first."""
    at, case_id = wanted.after or (None, None)
    walls = (wanted.locations, wanted.regions)
    rows = await conn.fetch(LIST, wanted.patient_ref, wanted.location_id, wanted.status, at, *walls, case_id, wanted.limit + 1)
    return [_case(row) for row in rows]


async def save(conn: Connection, cases: Collection[Case], events: Sequence[CaseEvent]) -> None:
    """Write cases and what was said of them. Raises Transient where somebody else opened a case for the same patient meanwhile."""
    if not cases:
        return
    try:
        await conn.execute(SAVE, [_CASE.dump_python(case, mode="json") for case in cases])
    except asyncpg.UniqueViolationError as error:
        raise Transient("another case was opened for the same patient meanwhile", retry_in=0.1) from error
    if events:
        rows = [(e.case_id, e.version, e.type_name, e.at, e.by, _told(e)) for e in events]
        await conn.execute(ADD_EVENTS, *_columns(rows))
    incidents = [
        (e.incident.incident_id, e.case_id, e.incident.incident_type, e.at, _FACTS.dump_python(Facts.of(e.incident), mode="json"))
        for e in events
        if isinstance(e, CaseOpened | IncidentAttached)
    ]
    if incidents:
        await conn.execute(ADD_INCIDENTS, *_columns(incidents))


async def known_incidents(conn: Connection, incidents: Iterable[Incident]) -> set[UUID]:
    """Which of these are in a case already."""
    return {row["incident_id"] for row in await conn.fetch(KNOWN_INCIDENTS, [incident.incident_id for incident in incidents])}


async def facts(conn: Connection, case_id: UUID) -> list[Facts]:
    """What the case's incidents said, the first one first; without those of a time when it was not kept."""
    return [_FACTS.validate_python(row["facts"]) for row in await conn.fetch(FACTS, case_id)]


async def numbers(conn: Connection, count: int) -> list[int]:
    """Numbers for `count` new cases."""
    return [row["number"] for row in await conn.fetch(NUMBERS, count)] if count else []


async def standing(pool: Pool) -> list[asyncpg.Record]:
    """How the live cases stand: `status`, `severity`, `cases`, `unowned`, `breached`."""
    return await pool.fetch(STANDING)


async def load(conn: Connection, location_ids: Collection[str]) -> dict[str, dict[str, int]]:
    """Live cases by location and owner."""
    found: dict[str, dict[str, int]] = {location_id: {} for location_id in location_ids}
    for row in await conn.fetch(LOAD, sorted(location_ids)):
        found[row["location_id"]][row["owner_staff_id"]] = row["cases"]
    return found


async def another_open(conn: Connection, case: Case) -> str | None:
    """The reference of another case of the same patient that is not closed."""
    found: str | None = await conn.fetchval(ANOTHER_OPEN, case.belongs_to, case.case_id)
    return found


async def lock_unowned(conn: Connection, most: int) -> list[Case]:
    """Up to `most` live cases that are nobody's, locked."""
    return [_case(row) for row in await conn.fetch(LOCK_UNOWNED, most)]


async def turns(conn: Connection) -> dict[str, int]:
    """Who was paged in turn so far: the higher, the later."""
    return {row["staff_id"]: row["turn"] for row in await conn.fetch(TURNS)}


async def take_turns(conn: Connection, turns: Mapping[str, int]) -> None:
    """Keep who was paged in turn."""
    if turns:
        await conn.execute(TAKE_TURNS, list(turns), list(turns.values()))


async def history(conn: Connection, case_id: UUID) -> list[Recorded]:
    """What happened to a case, in order."""
    return [Recorded(**row) for row in await conn.fetch(HISTORY, case_id)]


async def keep_hours(conn: Connection, rows: Sequence[tuple[str, int, Mapping[str, Any]]]) -> None:
    """Hours by location and version; what is kept stays."""
    if rows:
        await conn.execute(KEEP_HOURS, *_columns(rows))


async def hours(conn: Connection, location_id: str, versions: Collection[int]) -> dict[int, Mapping[str, Any]]:
    """A store's hours by the versions asked for; what was not kept is left out."""
    return {row["version"]: row["hours"] for row in await conn.fetch(HOURS, location_id, list(versions))} if versions else {}


async def ids_after(conn: Connection, location_id: str | None, after: UUID | None, limit: int) -> list[UUID]:
    """Up to `limit` cases that come after `after`."""
    return [row["case_id"] for row in await conn.fetch(IDS_AFTER, location_id, after, limit)]


async def histories(conn: Connection, case_ids: Iterable[UUID]) -> dict[UUID, list[Recorded]]:
    """What happened to these cases, in order."""
    found: dict[UUID, list[Recorded]] = {}
    for row in await conn.fetch(HISTORIES, list(case_ids)):
        found.setdefault(row["case_id"], []).append(Recorded(row["version"], row["at"], row["by"], row["type"], row["data"]))
    return found


async def unfit_timers(conn: Connection, after: UUID, limit: int, now: datetime) -> tuple[list[asyncpg.Record], UUID | None]:
    """What does not fit among the next cases, and the last of them where more follow."""
    last: UUID | None = await conn.fetchval(LAST_OF_SLICE, after, limit - 1)
    return await conn.fetch(UNFIT_TIMERS, after, limit, now), last


async def live_after(conn: Connection, locations: Sequence[str], after: tuple[str, UUID], limit: int) -> list[tuple[str, UUID]]:
    """(location, case) of up to `limit` live cases of these locations that come after `after`; not locked."""
    return [(row["location_id"], row["case_id"]) for row in await conn.fetch(LIVE_AFTER, list(locations), *after, limit)]


async def put_patients(conn: Connection, keys: Mapping[str, tuple[bytes, int]]) -> None:
    """Wrapped keys with their versions, by patient."""
    await conn.execute(PUT_PATIENTS, list(keys), *_columns(list(keys.values())))


async def patient_keys(conn: Connection, refs: Iterable[str]) -> dict[str, bytes]:
    """Wrapped keys of these patients, as far as they are known."""
    return {row["patient_ref"]: row["wrapped_key"] for row in await conn.fetch(PATIENT_KEYS, sorted(set(refs)))}


async def case_keys(conn: Connection, case_ids: Iterable[UUID]) -> dict[UUID, bytes]:
    """The cases' own wrapped keys, where they have one."""
    return {row["case_id"]: row["wrapped_key"] for row in await conn.fetch(CASE_KEYS, list(case_ids))}


async def put_case_key(conn: Connection, case_id: UUID, wrapped: bytes) -> None:
    """The own key of a case; the caller holds the case's lock."""
    await conn.execute(PUT_CASE_KEY, case_id, wrapped)


async def put_words(conn: Connection, words: Sequence[Sealed]) -> None:
    """Keep sealed words."""
    if words:
        await conn.execute(PUT_WORDS, *_columns([(w.word_id, w.case_id, w.field, w.sealed, w.patient_ref, w.at, w.by) for w in words]))


async def stories(conn: Connection, case_ids: Iterable[UUID]) -> list[Sealed]:
    """The story's newest words of these cases."""
    return [Sealed(**row) for row in await conn.fetch(STORIES, list(case_ids))]


async def notes(conn: Connection, case_id: UUID) -> list[Sealed]:
    """Notes, and what was written beside actions and resolutions."""
    return [Sealed(**row) for row in await conn.fetch(NOTES, case_id)]


def _case(row: asyncpg.Record) -> Case:
    return _CASE.validate_python(dict(row))


def _told(event: CaseEvent) -> dict[str, Any]:
    """What an event says besides what the case's row has. A page is told by whom it woke."""
    told = event.model_dump(mode="json", exclude=_REPEATED)
    return told if isinstance(event, Paging) and event.page else {name: value for name, value in told.items() if name != "page"}


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
