"""What became of an event, and an incident with its words: questions, nothing changes.

Called by the API, which asks who may know.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.intake import domain, store
from services.intake.usecases.desk import Desk
from shared import reference
from shared.vault import Unreadable


@dataclass(frozen=True, slots=True)
class IncidentView:
    """An incident as people see it, with the region of its location, on which depends who may."""

    body: dict[str, Any]
    location_id: str
    region: str | None
    case_id: str | None


async def event_status(desk: Desk, source: str, name: str) -> dict[str, Any] | None:
    """What became of the event (source, id): as accepted, else as refused; None where it is not known."""
    async with desk.engine.pool.acquire() as conn:
        row = await store.event_became(conn, source, name)
        if row is not None:
            return _accepted(row)
        refused = await store.event_refused(conn, source, name)
    if refused is None:
        return None
    errors = [{"pointer": pointer, "detail": detail} for pointer, detail in refused["errors"].items()]
    problem = {"code": refused["code"], "detail": refused["detail"], "errors": errors}
    return {
        "source": source,
        "id": name,
        "status": "rejected",
        "incident": None,
        "case": None,
        "why": refused["detail"],
        "problem": problem,
    }


def _accepted(row: Mapping[str, Any]) -> dict[str, Any]:
    incident = {"incident_id": str(row["incident_id"]), "type": row["incident_type"]} if row["incident_id"] else None
    case = {"case_id": str(row["case_id"]), "reference": row["case_reference"]} if row["case_id"] else None
    return {
        "source": row["source"],
        "id": row["id"],
        "type": row["type"],
        "location_id": row["location_id"],
        "time": row["at"],
        "received_at": row["created_at"],
        "status": row["status"],
        "incident": incident,
        "incident_id": incident and incident["incident_id"],
        "case": case,
        "case_id": case and case["case_id"],
        "why": row["why"] or (None if incident else domain.ORDINARY),
    }


async def incident_view(desk: Desk, incident_id: UUID) -> IncidentView | None:
    """An incident with its words in plain text; words whose patient was erased are gone. None where there is none."""
    async with desk.engine.pool.acquire() as conn:
        row = await store.incident(conn, incident_id)
        if row is None:
            return None
        places = await reference.locations(conn, {row["location_id"]})
    place = places.get(row["location_id"])
    case_id = str(row["case_id"]) if row["case_id"] else None
    body = {**row["facts"], "id": str(incident_id), "status": row["status"], "case_id": case_id, "case_reference": row["case_reference"]}
    return IncidentView(body | _words(desk, row), row["location_id"], place.region if place else None, case_id)


def _words(desk: Desk, row: Mapping[str, Any]) -> dict[str, Any]:
    if row["text"] is None:
        return {"text": None, "wished_outcome": None}
    name = str(row["incident_id"])
    try:
        if row["sealed_for"] and row["wrapped_key"] is None:
            return {"text": None, "wished_outcome": None}
        key = desk.vault.unwrap(row["wrapped_key"]) if row["sealed_for"] else desk.vault
        wished = row["wished_outcome"]
        return {
            "text": key.open(row["text"], "words", name, "text"),
            "wished_outcome": key.open(wished, "words", name, "wished_outcome") if wished is not None else None,
        }
    except Unreadable:
        return {"text": None, "wished_outcome": None}
