"""What restitution hears: cases with their incidents and stories, and notices. Called by the handlers."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from services.restitution import domain, store
from services.restitution.domain import CaseCopy
from services.restitution.usecases.desk import Book, Desk
from shared import reference
from shared.contracts.cases import CaseEvent, CaseOpened, IncidentAttached
from shared.contracts.envelope import Event, Fact
from shared.contracts.incidents import Trip
from shared.kernel.errors import Unready
from shared.kernel.ids import new_id
from shared.messaging import Transaction


async def take_cases(desk: Desk, tx: Transaction, facts: Sequence[Fact[Event]]) -> None:
    """Keep what is heard of each case, propose gas money for its trips, and offer what waited for its story."""
    events = [fact.event for fact in facts if isinstance(fact.event, CaseEvent)]
    cases = await store.keep_cases(tx.conn, [CaseCopy.of(event) for event in events])
    book = Book.of(await store.lock_approved(tx.conn, [case.case_id for case in cases.values() if case.story_confirmed]))
    waiting: dict[UUID, list[UUID]] = {}
    for state in book.states.values():
        waiting.setdefault(state.case_id, []).append(state.restitution_id)
    trips = {id(fact): _trips(fact.event) for fact in facts}
    decided = await store.decided_trips(tx.conn, {trip.visit_id for some in trips.values() for trip in some})
    months, totals = await _months(tx, [cases[event.case_id].location_id for event in events if _trips(event)])
    claimed: dict[UUID, UUID] = {}

    def decide(fact: Fact[Any]) -> None:
        event = fact.event
        if not isinstance(event, CaseEvent):
            return
        case = cases[event.case_id]
        new = [trip for trip in trips[id(fact)] if trip.visit_id not in decided and trip.visit_id not in claimed]
        if new and case.location_id not in months:
            raise Unready(f"location {case.location_id}")
        for restitution_id in waiting.pop(case.case_id, []):
            book.keep(tx, domain.hear_case(book.states[restitution_id], case, tx.now), cause=fact)
        if new and isinstance(event, CaseOpened | IncidentAttached):
            month = months[case.location_id]
            proposed = domain.propose(
                case, event.incident, new, desk.policies,
                restitution_id=new_id(), now=tx.now, month=month, month_total_minor=totals[case.location_id, month],
            )  # fmt: skip
            if proposed is not None:
                book.keep(tx, proposed, cause=fact)
                claimed.update({trip.visit_id: proposed.state.restitution_id for trip in new})
                if proposed.state.money == "pending":
                    totals[case.location_id, month] += proposed.state.amount_minor

    tx.decide_each(facts, decide)
    await book.save(tx)
    await store.keep_trips(tx.conn, claimed)


async def take_notices(desk: Desk, tx: Transaction, facts: Sequence[Fact[Event]]) -> None:
    """Answers by text name no offer, so none of them accepts one: acceptance is asked for over HTTP. Nothing of a notice is kept."""


def _trips(event: Event) -> tuple[Trip, ...]:
    """The trips that an event may bring gas money for."""
    return domain.beyond_first(event.incident) if isinstance(event, CaseOpened | IncidentAttached) else ()


async def _months(tx: Transaction, location_ids: Iterable[str]) -> tuple[dict[str, str], dict[tuple[str, str], int]]:
    """The month it is at each known store, and what is reserved and posted in it (locked)."""
    wanted = set(location_ids)
    if not wanted:
        return {}, {}
    places = await reference.locations(tx.conn, wanted)
    months = {key: domain.month_of(tx.now, place.timezone) for key, place in places.items()}
    return months, await store.lock_budgets(tx.conn, months.items())
