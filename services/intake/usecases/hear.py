"""What intake hears: POS events on Kafka, which case an incident went to, notices; and what it is woken for.

Called by the handlers and the timers.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from services.intake import domain, store
from services.intake.domain import Arrival, Problem
from services.intake.usecases import patients as people
from services.intake.usecases.desk import Desk
from services.intake.usecases.report import calendars_of, lock_book, report, save_book
from shared import reference, timers
from shared.contracts.cases import CaseOpened, IncidentAttached
from shared.contracts.envelope import Event, Fact
from shared.kernel.errors import Poison, Unready
from shared.kernel.ids import new_id
from shared.messaging import Record, Transaction
from shared.messaging.wire import are_text
from shared.timers import Due


async def take_ingress(desk: Desk, tx: Transaction, records: Sequence[Record]) -> None:
    """CloudEvents in Kafka's binary mode, with the same rules and the same row as over HTTP; a bad one is parked with its reason."""
    read = {id(record): replace(_read(record), traceparent=record.traceparent) for record in records}
    places = await reference.locations(tx.conn, {a.event.data.location_id for a in read.values() if a.event})
    good: list[Arrival] = []

    def admit(record: Record) -> None:
        arrival = domain.judge(read[id(record)], tx.now, places)
        if arrival.problem is not None and arrival.problem.code == "unknown-location":
            # Another topic may still bring it; the sender is not there to be told.
            raise Unready("the location of a POS event")
        if arrival.problem is not None:
            raise Poison(arrival.problem.code, arrival.problem.detail)
        good.append(arrival)

    tx.decide_each(records, admit)
    await report(desk, tx, good, places)


async def take_cases(desk: Desk, tx: Transaction, facts: Sequence[Fact[Event]]) -> None:
    """Note which case each incident went to."""
    heard = [fact.event for fact in facts if isinstance(fact.event, CaseOpened | IncidentAttached)]
    await store.incidents_went_to(tx.conn, [(event.incident.incident_id, event.case_id, event.reference) for event in heard])


async def take_notices(desk: Desk, tx: Transaction, facts: Sequence[Fact[Event]]) -> None:
    """Answers by text: their words and consents stay with notification, so there is nothing to keep here yet."""


async def close_watch(desk: Desk, tx: Transaction, due: Sequence[Due]) -> None:
    """Promised days that have closed: an order that is not ready is late."""
    book = await lock_book(tx, {timer.subject for timer in due})
    fired = await timers.fire(tx, due)
    patients = people.Patients(desk.vault)
    await people.look_at(patients, tx, {history.patient_ref for history in book.histories.values() if history.patient_ref})
    calendars = await calendars_of(tx, book, {})

    def decide(timer: Due) -> None:
        history = book.history_of(timer.subject)
        patient = patients.whom(history.patient_ref)
        order = history.orders[timer.subject]
        if timer.due_at is None or order.generation != timer.generation:
            return
        decision = domain.when_late(desk.rules, history, order, timer.due_at, new_id(), calendars=calendars, patient=patient)
        tx.apply(decision)
        book.keep(decision.state)

    tx.decide_each(fired, decide)
    await save_book(tx, book)


def _read(record: Record) -> Arrival:
    """The arrival in a record; never raises."""
    if not are_text(name for name, _ in record.headers):
        return Arrival(None, None, problem=Problem("invalid-event", "The name of a header is not UTF-8."))
    attributes: dict[str, str] = {}
    for name, value in record.headers:
        if name.startswith("ce_") and value is not None:
            try:
                attributes[name.removeprefix("ce_")] = value.decode()
            except UnicodeDecodeError:
                return Arrival(None, None, problem=Problem("invalid-event", f"The header {name} is not UTF-8."))
    content_type = record.header("content-type")
    if content_type is not None:
        attributes["datacontenttype"] = content_type
    try:
        data = domain.read_json(record.value or b"")
    except ValueError as error:
        return Arrival(None, None, problem=Problem("malformed-json", f"The body is no JSON this reads: {error}"))
    return domain.read_binary(attributes, data)
