"""Taking POS events: the one use case behind both doors.

Called by the group commit (HTTP) and by `hear.take_ingress` (Kafka). Invariant: an event is stored, counted and told in one transaction or
not at all; a bad or repeated one changes nothing for its neighbours. Locks: patients, then events, then orders, each by id.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from msgspec import Struct

from services.intake import domain, store
from services.intake.domain import Arrival, History, Ids, Order, Problem, Verdict, Visit
from services.intake.store import Became, Received, SealedWords
from services.intake.usecases import patients as people
from services.intake.usecases.desk import Desk
from services.intake.usecases.patients import Patients
from shared import reference
from shared.calendars import Calendar
from shared.contracts.incidents import Incident
from shared.contracts.ingress import OrderPlaced, OrderRemade, PosEvent
from shared.kernel.decision import Decision
from shared.kernel.ids import new_id
from shared.messaging import Transaction


class Outcome(Struct, frozen=True, gc=False):
    """What became of one arrival: accepted, duplicate, or rejected with its problem."""

    arrival: Arrival
    status: str
    problem: Problem | None = None
    incident_id: UUID | None = None


@dataclass
class Book:
    """The histories of one transaction: as read, as they are now, and what is new in them."""

    histories: dict[str, History]
    root_of: dict[str, str]
    before: dict[str, Order]
    new: set[str] = field(default_factory=set)
    absorbed: dict[str, str] = field(default_factory=dict)
    visits: list[Visit] = field(default_factory=list)
    remakes: list[tuple[UUID, PosEvent]] = field(default_factory=list)
    incidents: list[tuple[Incident, str]] = field(default_factory=list)

    def history_of(self, order_id: str) -> History:
        """The history an order belongs to."""
        return self.histories[self.root_of[order_id]]

    def keep(self, verdict: Verdict, *, event: PosEvent | None = None, event_id: UUID | None = None) -> None:
        """Note what a decision changed."""
        if verdict.history is not None:
            self.histories[verdict.history.root_order_id] = verdict.history
        if verdict.visit is not None:
            self.visits.append(verdict.visit)
        if verdict.is_remake and event is not None and event_id is not None:
            self.remakes.append((event_id, event))
        if verdict.incident is not None:
            self.incidents.append((verdict.incident, "reported" if verdict.status == "accepted" else "unattributed"))

    def join(self, order_id: str, root_order_id: str) -> tuple[History, History] | None:
        """An order turned out to be of this root: one history from now on. The two that were, None where they were one already."""
        own, other = self.history_of(order_id), self.history_of(root_order_id)
        if own.root_order_id == other.root_order_id:
            return None
        if own.root_order_id != order_id:
            # Two roots are claimed for one order: both are kept as one, under the same name whoever came first.
            own, other = sorted((own, other), key=lambda history: history.root_order_id, reverse=True)
        merged = domain.merge(other, own)
        del self.histories[own.root_order_id]
        self.histories[other.root_order_id] = merged
        self.root_of |= dict.fromkeys(merged.orders, other.root_order_id) | {own.root_order_id: other.root_order_id}
        self.absorbed |= dict.fromkeys(merged.absorbed, other.root_order_id)
        return own, other


async def report(
    desk: Desk, tx: Transaction, arrivals: Sequence[Arrival], places: Mapping[str, reference.Location] | None = None
) -> list[Outcome]:
    """Take these arrivals; one outcome each, in their order. `places`: the locations they name, where the caller has them."""
    if places is None:
        places = await reference.locations(tx.conn, {a.event.data.location_id for a in arrivals if a.event})
    judged = [domain.judge(arrival, tx.now, places) for arrival in arrivals]
    homes = {a.event.data.patient.ref: a.event.data.location_id for a in judged if a.event and a.event.data.patient}
    patients = await people.lock(desk.vault, tx, homes)
    fresh = await _admit(tx, judged, patients)
    events = [(arrival, event_id) for arrival, event_id in zip(judged, fresh, strict=True) if event_id is not None]
    incidents = await _take(desk, tx, events, patients, places)
    await people.save(patients, tx)
    outcomes = [_outcome(arrival, event_id, incidents) for arrival, event_id in zip(judged, fresh, strict=True)]
    await _note_refusals(tx, outcomes)
    return outcomes


async def lock_book(tx: Transaction, order_ids: set[str], looked_back_at: Collection[str] = ()) -> Book:
    """The book of all histories these orders are part of, locked; with trips and remakes where they are `looked_back_at`."""
    by_order, new = await store.lock_histories(tx.conn, order_ids, looked_back_at)
    histories = {history.root_order_id: history for history in by_order.values()}
    before = {order.order_id: order for history in histories.values() for order in history.orders.values()}
    root_of = {order_id: order.root_order_id for order_id, order in before.items()}
    return Book(histories, root_of, before, new)


async def save_book(tx: Transaction, book: Book, words: Sequence[SealedWords] = ()) -> None:
    """Write what changed, set by set."""
    orders = [
        order
        for history in book.histories.values()
        for order in history.orders.values()
        if order is not book.before.get(order.order_id) or order.order_id in book.new
    ]
    await store.save_histories(tx.conn, orders, book.new, book.absorbed)
    await store.add_visits(tx.conn, [(book.root_of[visit.order_id], visit) for visit in book.visits])
    remakes = [(key, e.data.order_id, book.root_of[e.data.order_id], e.time) for key, e in book.remakes if isinstance(e.data, OrderRemade)]
    await store.add_remakes(tx.conn, remakes)
    await store.add_incidents(tx.conn, book.incidents, words)


async def calendars_of(tx: Transaction, book: Book, places: Mapping[str, reference.Location]) -> dict[str, Calendar]:
    """The calendars of all stores that these histories and events name."""
    named = {order.location_id for order in book.before.values() if order.location_id}
    further = await reference.locations(tx.conn, named - set(places)) if named - set(places) else {}
    return {place.location_id: place.calendar for place in (*places.values(), *further.values())}


async def _admit(tx: Transaction, judged: Sequence[Arrival], patients: Patients) -> list[UUID | None]:
    """Store what is new; for each arrival its event id, None for one refused or known, here or in the table."""
    first: dict[tuple[str, str], int] = {}
    for index, arrival in enumerate(judged):
        if arrival.event is not None:
            first.setdefault((arrival.event.source, arrival.event.id), index)
    rows = {index: _received(judged[index], patients) for index in first.values()}
    new = await store.admit(tx.conn, rows.values()) if rows else set()
    ids: list[UUID | None] = [None] * len(judged)
    for index, row in rows.items():
        ids[index] = row.event_id if row.event_id in new else None
    return ids


def _received(arrival: Arrival, patients: Patients) -> Received:
    event = arrival.event
    assert event is not None
    event_id, ref = new_id(), event.data.patient.ref if event.data.patient else None
    raw = patients.key_of(ref).seal_bytes(arrival.raw, "events_received", event_id, "raw")
    order_id = getattr(event.data, "order_id", None)
    return Received(event_id, event.source, event.id, event.type, event.data.location_id, ref, order_id, event.time, raw)


async def _take(
    desk: Desk, tx: Transaction, events: Sequence[tuple[Arrival, UUID]], patients: Patients, places: Mapping[str, reference.Location]
) -> dict[UUID, UUID]:
    """Decide each new event, save all; the incident each one became, by event id."""
    for arrival, _ in events:
        assert arrival.event is not None
        patients.hear(arrival)
    people.settle_households(patients)
    looking_back = [arrival for arrival, _ in events if arrival.event and domain.looks_back(arrival.event)]
    book = await lock_book(tx, _orders_named(arrival for arrival, _ in events), _orders_named(looking_back))
    await people.look_at(patients, tx, {history.patient_ref for history in book.histories.values() if history.patient_ref})
    calendars = await calendars_of(tx, book, places)
    became: list[Became] = []
    words: list[SealedWords] = []
    for arrival, event_id in events:
        assert arrival.event is not None
        decision = _decide(desk, tx, book, arrival.event, event_id, patients, calendars)
        tx.apply(decision, cause=arrival)
        verdict = decision.state
        book.keep(verdict, event=arrival.event, event_id=event_id)
        incident_id = verdict.incident.incident_id if verdict.incident else None
        if not verdict.is_ordinary:
            became.append(Became(event_id, verdict.status, incident_id, verdict.why))
        words += _sealed_words(verdict, arrival.event, patients)
    await save_book(tx, book, words)
    await store.save_outcomes(tx.conn, became)
    return {row.event_id: row.incident_id for row in became if row.incident_id}


def _decide(
    desk: Desk, tx: Transaction, book: Book, event: PosEvent, event_id: UUID, patients: Patients, calendars: Mapping[str, Calendar]
) -> Decision[Verdict]:
    order_id: str | None = getattr(event.data, "order_id", None)
    joined = None
    if isinstance(event.data, OrderPlaced | OrderRemade) and event.data.root_order_id:
        joined = book.join(event.data.order_id, event.data.root_order_id)
    history = book.history_of(order_id) if order_id else None
    patient = patients.whom(event.data.patient.ref if event.data.patient else history.patient_ref if history else None)
    ids = Ids(event_id, new_id())
    return domain.report(desk.rules, history, event, ids, now=tx.now, calendars=calendars, patient=patient, joined=joined)


def _orders_named(arrivals: Iterable[Arrival]) -> set[str]:
    told = [arrival.event.data for arrival in arrivals if arrival.event]
    return {name for data in told for name in (getattr(data, "order_id", None), getattr(data, "root_order_id", None)) if name}


def _sealed_words(verdict: Verdict, event: PosEvent, patients: Patients) -> list[SealedWords]:
    said = domain.complaint_words(event.data)
    if said is None or verdict.incident is None:
        return []
    incident, (text, wished) = verdict.incident, said
    key, row = patients.key_of(incident.patient_ref), str(incident.incident_id)
    sealed_wish = key.seal(wished, "words", row, "wished_outcome") if wished else None
    return [SealedWords(incident.incident_id, incident.patient_ref, key.seal(text, "words", row, "text"), sealed_wish)]


def _outcome(arrival: Arrival, event_id: UUID | None, incidents: Mapping[UUID, UUID]) -> Outcome:
    if arrival.problem is not None:
        return Outcome(arrival, "rejected", arrival.problem)
    if event_id is None:
        return Outcome(arrival, "duplicate")
    return Outcome(arrival, "accepted", incident_id=incidents.get(event_id))


async def _note_refusals(tx: Transaction, outcomes: Sequence[Outcome]) -> None:
    """Keep refusals where their sender can ask for them; an event that was accepted, now or before, is not refused."""
    refused = {(o.arrival.source, o.arrival.id): o.problem for o in outcomes if o.problem and o.arrival.source and o.arrival.id}
    names = {(source, name): problem for (source, name), problem in refused.items() if source and name and "\x00" not in source + name}
    if names:
        stored = await store.known(tx.conn, names)
        await store.refuse(tx.conn, {name: problem for name, problem in names.items() if name not in stored}, tx.now)
