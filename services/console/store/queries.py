"""What the pages show, read from the projections. Every read is bounded and goes by an index; nothing is counted over all rows."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from services.console.domain.queue import QueueRow
from services.console.domain.timeline import Entry
from shared.db import Connection

ENTRIES_MAX = 500

QUEUE = """
-- A page of the queue, most urgent first, inside the walls of who looks ($1 null: everything).
select * from queue_rows
where status = any($3::text[]) and ($1::text[] is null or location_id = any($1) or region = any($2::text[]))
  and ($4::text is null or region = $4) and ($5::text is null or location_id = $5) and ($6::int is null or severity = $6)
  and ($7::timestamptz is null or urgent_at < $7)
  and ($8::timestamptz is null or (urgent_at, severity, case_id) > ($8, $9::int, $10::uuid))
order by urgent_at, severity, case_id limit $11
"""
QUEUE_ACTIVE = QUEUE.replace("where status = any", "where status in ('open', 'acknowledged', 'resolved') and status = any")
ONE_BY_ID = """
-- One case.
select * from queue_rows where case_id = $1
"""
ONE_BY_REFERENCE = """
-- One case by its reference.
select * from queue_rows where reference = $1
"""
SOME = """
-- These cases inside the walls of who looks ($1 null: everything), most urgent first.
select * from queue_rows where case_id = any($3::uuid[]) and ($1::text[] is null or location_id = any($1) or region = any($2::text[]))
order by urgent_at, severity, case_id
"""
ENTRIES = """
-- The newest events of a case; of one instant by the millisecond of the id, then by version.
select event_id, case_id, at, version, type, data from entries where case_id = $1
order by at desc, left(event_id::text, 13) desc, version desc, event_id desc limit $2
"""
INCIDENTS = """
-- What was reported about a case.
select * from incidents where case_id = $1 order by occurred_at limit 50
"""
RESTITUTIONS = """
-- What is given back in a case, oldest first.
select * from restitutions where case_id = $1 order by created_at limit 50
"""
NOTICES = """
-- Texts of a case, newest first.
select * from notices where case_id = $1 order by changed_at desc limit 100
"""
PATIENTS = """
-- Patients by reference.
select * from patients where patient_ref = any($1::text[])
"""
LINK = """
-- A link that has not expired.
select token_hash, case_id from links where token_hash = $1 and expires_at > $2
"""
TRENDS = """
-- Live cases per location, inside the walls of who looks; what is live is small by nature.
select region, location_id, count(*) as open, count(*) filter (where urgent_at <= $3) as overdue,
    count(*) filter (where breached > 0) as breached, count(*) filter (where severity = 1) as critical, min(opened_at) as oldest_opened_at
from queue_rows
where status in ('open', 'acknowledged') and ($1::text[] is null or location_id = any($1) or region = any($2::text[]))
group by region, location_id order by open desc, location_id limit 500
"""
ZONE = """
-- The zone of somebody's first store, of any store for who has none.
select data ->> 'timezone' from reference_locations
order by (location_id = any($1::text[]) or region = any($2::text[])) desc, location_id limit 1
"""
VERSION = """
-- How far the projection of a case, or of one of its restitutions, has come.
select coalesce((select version from restitutions where case_id = $1 and restitution_id::text = $2),
                (select version from queue_rows where case_id = $1 and case_id::text = $2))
"""
LOCATIONS = """
-- Every location that the local copy of the directory knows.
select location_id from reference_locations order by location_id limit 2000
"""
STAFF = """
-- Everybody whom the local copy of the directory knows.
select staff_id from reference_staff order by staff_id limit 5000
"""

_FIELDS = tuple(field.name for field in fields(QueueRow))


@dataclass(frozen=True, slots=True)
class Walls:
    """What somebody may see; `locations` None for everything."""

    locations: list[str] | None
    regions: list[str] | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of the queue. `after`: the last row of the page before."""

    statuses: tuple[str, ...]
    region: str | None = None
    location_id: str | None = None
    severity: int | None = None
    due_before: datetime | None = None
    after: tuple[datetime, int, UUID] | None = None
    limit: int = 50


async def some(conn: Connection, walls: Walls, case_ids: Sequence[UUID]) -> list[QueueRow]:
    """These cases, as far as somebody sees them."""
    return [_row(row) for row in await conn.fetch(SOME, walls.locations, walls.regions, list(case_ids))]


async def queue(conn: Connection, walls: Walls, wanted: Wanted) -> list[QueueRow]:
    """Up to `limit + 1` rows, so that a next page shows."""
    query = QUEUE if "closed" in wanted.statuses else QUEUE_ACTIVE
    rows = await conn.fetch(
        query, walls.locations, walls.regions, list(wanted.statuses), wanted.region, wanted.location_id, wanted.severity,
        wanted.due_before, *(wanted.after or (None, None, None)), wanted.limit + 1,
    )  # fmt: skip
    return [_row(row) for row in rows]


async def one(conn: Connection, name: UUID | str) -> QueueRow | None:
    """A case by id, or by its reference in normal spelling."""
    row = await conn.fetchrow(ONE_BY_ID if isinstance(name, UUID) else ONE_BY_REFERENCE, name)
    return _row(row) if row else None


async def entries(conn: Connection, case_id: UUID, limit: int = ENTRIES_MAX) -> list[Entry]:
    """The newest events of a case, newest first."""
    rows = await conn.fetch(ENTRIES, case_id, limit)
    return [Entry(str(row["event_id"]), str(row["case_id"]), row["at"], row["type"], row["data"], row["version"]) for row in rows]


async def incidents(conn: Connection, case_id: UUID) -> list[dict[str, Any]]:
    """What was reported about a case, oldest first."""
    return [dict(row) for row in await conn.fetch(INCIDENTS, case_id)]


async def restitutions(conn: Connection, case_id: UUID) -> list[dict[str, Any]]:
    """What is given back in a case, oldest first."""
    return [dict(row) for row in await conn.fetch(RESTITUTIONS, case_id)]


async def notices(conn: Connection, case_id: UUID) -> list[dict[str, Any]]:
    """Texts of a case without their words, newest first."""
    return [dict(row) for row in await conn.fetch(NOTICES, case_id)]


async def patients(conn: Connection, refs: Collection[str | None]) -> dict[str, dict[str, Any]]:
    """Patients by reference, as ciphertext."""
    rows = await conn.fetch(PATIENTS, sorted({ref for ref in refs if ref is not None}))
    return {row["patient_ref"]: dict(row) for row in rows}


async def link(conn: Connection, token_hash: str, now: datetime) -> UUID | None:
    """The case of a link, or None: there is none, or it has expired."""
    row = await conn.fetchrow(LINK, token_hash, now)
    return row["case_id"] if row else None


async def trends(conn: Connection, walls: Walls, now: datetime) -> list[dict[str, Any]]:
    """Per location what is open, overdue now, and has ever missed a deadline."""
    return [dict(row) for row in await conn.fetch(TRENDS, walls.locations, walls.regions, now)]


async def zone_of(conn: Connection, locations: Collection[str], regions: Collection[str]) -> str | None:
    """The IANA zone that somebody's clock is shown in."""
    zone: str | None = await conn.fetchval(ZONE, list(locations), list(regions))
    return zone


async def version_of(conn: Connection, case_id: UUID, thing_id: str) -> int | None:
    """The version of a case or of one of its restitutions; None for anything else."""
    found: int | None = await conn.fetchval(VERSION, case_id, thing_id)
    return found


async def location_ids(conn: Connection) -> list[str]:
    """Every location's id."""
    return [row["location_id"] for row in await conn.fetch(LOCATIONS)]


async def staff_ids(conn: Connection) -> list[str]:
    """Everybody's id."""
    return [row["staff_id"] for row in await conn.fetch(STAFF)]


def _row(row: Any) -> QueueRow:
    return QueueRow(**{name: row[name] for name in _FIELDS})


__all__: Sequence[str] = (
    "Walls", "Wanted", "entries", "incidents", "link", "location_ids", "notices", "one", "patients", "queue", "restitutions", "staff_ids",
    "trends", "version_of", "zone_of",
)  # fmt: skip
