"""Projections are written here: set-based, and a lower version than the one kept changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from services.console.domain.queue import QueueRow
from shared.db import Connection

SAVE_ROWS = """
-- The newest version of each case wins; the first promise is kept.
insert into queue_rows as q
    (case_id, version, reference, status, level, severity, catalyst, location_id, region, patient_ref, root_order_id, owner_staff_id,
     incidents, opened_at, changed_at, story_confirmed, policy, next_milestone, next_due_at, urgent_at, breached, targets, contact_by,
     promises)
select case_id, version, reference, status, level, severity, catalyst, location_id, region, patient_ref, root_order_id, owner_staff_id,
     incidents, opened_at, changed_at, story_confirmed, policy, next_milestone, next_due_at, urgent_at, breached, targets, contact_by,
     promises
from jsonb_populate_recordset(null::queue_rows, $1) order by case_id
on conflict (case_id) do update set version = excluded.version, reference = excluded.reference, status = excluded.status,
    level = excluded.level, severity = excluded.severity, catalyst = excluded.catalyst, location_id = excluded.location_id,
    region = excluded.region, patient_ref = excluded.patient_ref, root_order_id = excluded.root_order_id,
    owner_staff_id = excluded.owner_staff_id, incidents = excluded.incidents, opened_at = excluded.opened_at,
    changed_at = excluded.changed_at, story_confirmed = excluded.story_confirmed, policy = excluded.policy,
    next_milestone = excluded.next_milestone, next_due_at = excluded.next_due_at, urgent_at = excluded.urgent_at,
    breached = excluded.breached, targets = excluded.targets, promises = excluded.promises,
    contact_by = coalesce(q.contact_by, excluded.contact_by)
where q.version < excluded.version
"""
ADD_ENTRIES = """
-- Each event once.
insert into entries (event_id, case_id, at, version, type, data)
select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::int[], $5::text[], $6::jsonb[])
on conflict do nothing
"""
SAVE_INCIDENTS = """
-- What was reported, as the case that took it up tells it; a row from before may lack its case.
insert into incidents as i (incident_id, case_id, incident_type, catalyst, location_id, channel, has_words, occurred_at)
select incident_id, case_id, incident_type, catalyst, location_id, channel, has_words, occurred_at
from jsonb_populate_recordset(null::incidents, $1) order by incident_id
on conflict (incident_id) do update set case_id = coalesce(excluded.case_id, i.case_id)
"""
SAVE_RESTITUTIONS = """
-- The newest version of each restitution wins.
insert into restitutions as r (restitution_id, case_id, version, kind, amount_minor, currency, status, reason, needs, decision, changed_at)
select restitution_id, case_id, version, kind, amount_minor, currency, status, reason, needs, decision, changed_at
from jsonb_populate_recordset(null::restitutions, $1) order by restitution_id
on conflict (restitution_id) do update set version = excluded.version, amount_minor = excluded.amount_minor,
    currency = excluded.currency, status = excluded.status, reason = excluded.reason, needs = excluded.needs,
    decision = excluded.decision, changed_at = excluded.changed_at
where r.version < excluded.version
"""
SAVE_NOTICES = """
-- The newest version of each notice wins.
insert into notices as n (notice_id, case_id, version, status, audience, template, staff_id, reason, changed_at)
select notice_id, case_id, version, status, audience, template, staff_id, reason, changed_at
from jsonb_populate_recordset(null::notices, $1) order by notice_id
on conflict (notice_id) do update set version = excluded.version, status = excluded.status, reason = excluded.reason,
    changed_at = excluded.changed_at
where n.version < excluded.version
"""
SAVE_PATIENTS = """
-- The newest version of each patient wins.
insert into patients as p (patient_ref, version, wrapped_key, name, phone, language, payer_class)
select * from unnest($1::text[], $2::int[], $3::bytea[], $4::bytea[], $5::bytea[], $6::text[], $7::text[])
on conflict (patient_ref) do update set version = excluded.version, wrapped_key = excluded.wrapped_key, name = excluded.name,
    phone = excluded.phone, language = excluded.language, payer_class = excluded.payer_class
where p.version < excluded.version
"""
SAVE_LINKS = """
-- Links by the hash of their secret.
insert into links (token_hash, case_id, expires_at) select * from unnest($1::text[], $2::uuid[], $3::timestamptz[])
on conflict do nothing
"""


@dataclass(frozen=True, slots=True)
class NewEntry:
    """One event of a case as it is to be kept; `data` is a JSON object."""

    event_id: UUID
    case_id: UUID
    at: datetime
    version: int
    type: str
    data: bytes


async def save_rows(conn: Connection, rows: Sequence[QueueRow]) -> None:
    """Queue rows, one per case at most."""
    if rows:
        await conn.execute(SAVE_ROWS, rows)


async def add_entries(conn: Connection, entries: Sequence[NewEntry]) -> None:
    """Timeline rows."""
    if entries:
        columns = zip(*((e.event_id, e.case_id, e.at, e.version, e.type, msgspec.Raw(e.data)) for e in entries), strict=True)
        await conn.execute(ADD_ENTRIES, *(list(column) for column in columns))


async def save_incidents(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Incidents, one row each at most."""
    if rows:
        await conn.execute(SAVE_INCIDENTS, list({row["incident_id"]: row for row in rows}.values()))


async def save_restitutions(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Restitutions in any order; the highest version of each is taken."""
    if rows:
        await conn.execute(SAVE_RESTITUTIONS, _highest(rows, "restitution_id"))


async def save_notices(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Notices in any order; the highest version of each is taken."""
    if rows:
        await conn.execute(SAVE_NOTICES, _highest(rows, "notice_id"))


async def save_patients(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Patients in any order; the highest version of each is taken."""
    if rows:
        names = ("patient_ref", "version", "wrapped_key", "name", "phone", "language", "payer_class")
        found = _highest(rows, "patient_ref")
        await conn.execute(SAVE_PATIENTS, *([row[name] for row in found] for name in names))


async def save_links(conn: Connection, rows: Sequence[tuple[str, UUID, Any]]) -> None:
    """(hash, case, expiry) of links."""
    if rows:
        await conn.execute(SAVE_LINKS, *(list(column) for column in zip(*rows, strict=True)))


def _highest(rows: Sequence[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    found: dict[Any, dict[str, Any]] = {}
    for row in rows:
        if row[key] not in found or found[row[key]]["version"] < row["version"]:
            found[row[key]] = row
    return [found[name] for name in sorted(found, key=str)]
