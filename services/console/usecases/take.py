"""Taking what is heard: each batch becomes upserts of projections, and open pages are woken once it is committed."""

import base64
from collections.abc import Sequence
from typing import Any, Protocol
from uuid import UUID

from services.console.domain import queue
from services.console.domain.timeline import kept
from services.console.store import projections
from services.console.store.projections import NewEntry
from services.console.usecases.desk import Bell
from shared.contracts.cases import CaseEvent, CaseOpened, IncidentAttached
from shared.contracts.envelope import Event, Fact
from shared.contracts.incidents import Incident
from shared.contracts.notices import (
    LinkIssued,
    NoticeDelivered,
    NoticeEvent,
    NoticeFailed,
    NoticeQueued,
    NoticeSent,
    NoticeUncertain,
    NoticeWithheld,
)
from shared.contracts.patients import PatientChanged
from shared.contracts.restitutions import RestitutionEvent
from shared.messaging import Transaction

Facts = Sequence[Fact[Event]]
STATUS_BY_EVENT: dict[type[Event], str] = {
    NoticeQueued: "queued",
    NoticeWithheld: "withheld",
    NoticeSent: "sent",
    NoticeDelivered: "delivered",
    NoticeFailed: "failed",
    NoticeUncertain: "uncertain",
}


class HasBell(Protocol):
    """All that these use cases may reach besides their transaction: nothing that sends, pays or asks others."""

    @property
    def bell(self) -> Bell: ...


async def take_cases(desk: HasBell, tx: Transaction, facts: Facts) -> None:
    """Queue rows, timeline, and what was reported: nobody looks at an incident before a case has taken it up."""
    events = [fact.event for fact in facts if isinstance(fact.event, CaseEvent)]
    await projections.save_rows(tx.conn, queue.newest(events))
    told = [(e.incident, e.case_id) for e in events if isinstance(e, CaseOpened | IncidentAttached)]
    await projections.save_incidents(tx.conn, [_incident(incident, case_id) for incident, case_id in told])
    await _remember(desk, tx, facts)


async def take_restitutions(desk: HasBell, tx: Transaction, facts: Facts) -> None:
    """What is given back."""
    events = [fact.event for fact in facts if isinstance(fact.event, RestitutionEvent)]
    await projections.save_restitutions(tx.conn, [_restitution(event) for event in events])
    await _remember(desk, tx, facts)


async def take_notices(desk: HasBell, tx: Transaction, facts: Facts) -> None:
    """What became of texts, and the links patients got."""
    events = [fact.event for fact in facts]
    await projections.save_notices(tx.conn, [_notice(event) for event in events if isinstance(event, NoticeEvent)])
    links = [(event.token_hash, event.case_id, event.expires_at) for event in events if isinstance(event, LinkIssued)]
    await projections.save_links(tx.conn, links)
    await _remember(desk, tx, facts)


async def take_patients(desk: HasBell, tx: Transaction, facts: Facts) -> None:
    """Names and numbers, as ciphertext."""
    events = [fact.event for fact in facts if isinstance(fact.event, PatientChanged)]
    await projections.save_patients(tx.conn, [_patient(event) for event in events])


async def _remember(desk: HasBell, tx: Transaction, facts: Facts) -> None:
    entries = [entry for fact in facts if (entry := _entry(fact)) is not None]
    await projections.add_entries(tx.conn, entries)

    async def ring() -> None:
        desk.bell.ring()

    if entries:
        tx.after_commit(ring)


def _entry(fact: Fact[Event]) -> NewEntry | None:
    case_id: UUID | None = getattr(fact.event, "case_id", None)
    if case_id is None:
        return None
    at = getattr(fact.event, "at", fact.envelope.time)
    return NewEntry(fact.envelope.id, case_id, at, fact.event.version, fact.event.type_name, kept(fact.event))


def _incident(incident: Incident, case_id: UUID) -> dict[str, Any]:
    names = ("incident_id", "incident_type", "catalyst", "location_id", "channel", "has_words", "occurred_at")
    return {name: getattr(incident, name) for name in names} | {"case_id": case_id}


def _restitution(event: RestitutionEvent) -> dict[str, Any]:
    names = ("restitution_id", "case_id", "version", "kind", "amount_minor", "currency", "status", "reason", "needs", "decision")
    return {name: getattr(event, name) for name in names} | {"changed_at": event.at}


def _notice(event: NoticeEvent) -> dict[str, Any]:
    names = ("notice_id", "case_id", "version", "audience", "template", "staff_id")
    status = STATUS_BY_EVENT.get(type(event), "queued")
    return {name: getattr(event, name) for name in names} | {
        "status": status,
        "reason": getattr(event, "reason", None),
        "changed_at": event.at,
    }


def _patient(event: PatientChanged) -> dict[str, Any]:
    return {
        "patient_ref": event.patient_ref,
        "version": event.version,
        "wrapped_key": base64.b64decode(event.wrapped_key),
        "name": base64.b64decode(event.name) if event.name else None,
        "phone": base64.b64decode(event.phone) if event.phone else None,
        "language": event.language,
        "payer_class": event.payer_class,
    }
