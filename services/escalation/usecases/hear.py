"""What other services told: incidents, patients, restitutions, notices. One transaction a batch: lock, decide each, save all."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.escalation import store
from services.escalation.domain import commands, take
from services.escalation.domain.case import Case, Store
from services.escalation.domain.plan import Facts
from services.escalation.usecases.desk import Changes, Desk
from services.escalation.usecases.stores import Stores, stores
from shared.calendars import local_date
from shared.contracts.envelope import Event, Fact
from shared.contracts.incidents import Incident, IncidentReported
from shared.contracts.notices import NoticeDelivered, ReplyUnderstood
from shared.contracts.patients import PatientChanged
from shared.contracts.restitutions import RestitutionOffered
from shared.kernel.decision import Decision
from shared.kernel.errors import Rejected
from shared.kernel.ids import new_id, reference
from shared.messaging import Transaction


@dataclass
class Book:
    """The open cases of a batch of incidents, by patient or order, and what opening further ones needs."""

    open: dict[str, Case]
    fresh: dict[str, tuple[UUID, str]]
    known: set[UUID]
    load: dict[str, dict[str, int]]
    stores: Stores


async def take_incidents(desk: Desk, tx: Transaction, facts: Sequence[Fact[Event]]) -> None:
    """Attach each incident to the case that is not closed of its patient (or root order), or open one."""
    reported = [(fact, fact.event.incident) for fact in facts if isinstance(fact.event, IncidentReported)]
    if not reported:
        return
    book = await _open_book(desk, tx, [incident for _, incident in reported])
    incident_of = {id(fact): incident for fact, incident in reported}
    changes = Changes(tx, book.stores)

    def decide(fact: Fact[Event]) -> None:
        incident = incident_of[id(fact)]
        if incident.incident_id in book.known:
            return
        before = book.open.get(incident.belongs_to)
        decision = _decide(desk, tx, book, before, incident)
        changes.keep(before, decision, cause=fact)
        book.known.add(incident.incident_id)
        book.open[incident.belongs_to] = decision.state
        if before is None and decision.state.owner_staff_id is not None:
            loads = book.load.setdefault(decision.state.location_id, {})
            loads[decision.state.owner_staff_id] = loads.get(decision.state.owner_staff_id, 0) + 1

    tx.decide_each([fact for fact, _ in reported], decide)
    await changes.write()


async def take_patients(desk: Desk, tx: Transaction, facts: Sequence[Fact[Event]]) -> None:
    """Keep the wrapped key of each patient: their words are sealed under it."""
    newest: dict[str, PatientChanged] = {}
    for fact in facts:
        event = fact.event
        if isinstance(event, PatientChanged) and (event.patient_ref not in newest or newest[event.patient_ref].version < event.version):
            newest[event.patient_ref] = event
    keys = {ref: (base64.b64decode(event.wrapped_key), event.version) for ref, event in sorted(newest.items())}
    if keys:
        await store.put_patients(tx.conn, keys)


async def take_restitutions(desk: Desk, tx: Transaction, facts: Sequence[Fact[Event]]) -> None:
    """An offer to the patient meets the action milestone; what comes after the resolution meets nothing."""

    def offered(case: Case, event: RestitutionOffered, place: Store) -> Decision[Case]:
        return commands.act(case, "offer", place, tx.now, event.by) if case.is_live else Decision(case)

    await _each_case(tx, [(fact, fact.event) for fact in facts if isinstance(fact.event, RestitutionOffered)], offered)


async def take_notices(desk: Desk, tx: Transaction, facts: Sequence[Fact[Event]]) -> None:
    """A text that a person typed and that was delivered is a contact; an ACK from a paged number is an acknowledgement."""

    def heard(case: Case, event: NoticeDelivered | ReplyUnderstood, place: Store) -> Decision[Case]:
        if isinstance(event, ReplyUnderstood):
            return commands.acknowledge(case, place, tx.now, event.staff_id, event.staff_id)
        return commands.act(case, "text", place, tx.now, event.typed_by) if case.is_live else Decision(case)

    def counts(event: Event) -> bool:
        if isinstance(event, ReplyUnderstood):
            return event.kind == "acknowledge" and event.staff_id is not None and event.case_id is not None
        return (
            isinstance(event, NoticeDelivered) and event.audience == "patient" and event.typed_by is not None and event.case_id is not None
        )

    await _each_case(tx, [(fact, fact.event) for fact in facts if counts(fact.event)], heard)


async def _open_book(desk: Desk, tx: Transaction, incidents: Sequence[Incident]) -> Book:
    """Everything the batch needs, in so many reads however many incidents there are. Who has how many cases is asked where it matters."""
    open_cases = await store.lock_open(tx.conn, {incident.belongs_to for incident in incidents})
    missing = {incident.belongs_to for incident in incidents} - open_cases.keys()
    numbers = await store.numbers(tx.conn, len(missing))
    places = await stores(tx.conn, open_cases.values(), {incident.location_id for incident in incidents}, desk.policies.ladders.all())
    chosen_at = {i.location_id for i in incidents if i.belongs_to in missing and places.leaves_a_choice(i.location_id, tx.now)}
    return Book(
        open=open_cases,
        fresh={name: (new_id(), reference(number)) for name, number in zip(sorted(missing), numbers, strict=True)},
        known=await store.known_incidents(tx.conn, incidents),
        load=await store.load(tx.conn, chosen_at) if chosen_at else {},
        stores=places,
    )


def _decide(desk: Desk, tx: Transaction, book: Book, before: Case | None, incident: Incident) -> Decision[Case]:
    facts = Facts.of(incident)
    if before is not None:
        place = book.stores.at(before.location_id, tx.now)
        plan = desk.policies.plan_for(facts, local_date(place.calendar, before.opened_at))
        return take.attach(before, incident, plan, place, tx.now)
    case_id, name = book.fresh[incident.belongs_to]
    place = book.stores.at(incident.location_id, tx.now)
    plan = desk.policies.plan_for(facts, local_date(place.calendar, tx.now))
    return take.open_case(incident, plan, case_id, name, place, book.load.get(incident.location_id, {}), tx.now)


async def _each_case(
    tx: Transaction, heard: Sequence[tuple[Fact[Event], Any]], decide: Callable[[Case, Any, Store], Decision[Case]]
) -> None:
    """Lock the cases these events speak of, decide each event, save all."""
    if not heard:
        return
    event_of = {id(fact): event for fact, event in heard}
    cases = await store.lock(tx.conn, {event.case_id for _, event in heard})
    places = await stores(tx.conn, cases.values())
    changes = Changes(tx, places)

    def each(fact: Fact[Event]) -> None:
        event = event_of[id(fact)]
        before = cases.get(event.case_id)
        if before is None:
            raise Rejected("unknown-case", f"There is no case {event.case_id}.")
        decision = decide(before, event, places.at(before.location_id, tx.now))
        changes.keep(before, decision, cause=fact)
        cases[before.case_id] = decision.state

    tx.decide_each([fact for fact, _ in heard], each)
    await changes.write()
