"""What people decide over HTTP: one transaction each. Called by the API.

`admit` is the door's: it is shown the restitution under its lock, and refuses who may not see it or holds an older version.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from services.restitution import domain, store
from services.restitution.domain import IN_KIND, CaseCopy, Restitution
from services.restitution.usecases.desk import Asker, Book, Desk, by
from shared import reference
from shared.contracts.restitutions import Kind
from shared.kernel.decision import Decision
from shared.kernel.errors import Rejected, Unready
from shared.kernel.ids import new_id
from shared.messaging import Transaction

Admit = Callable[[Restitution], None]


async def request(
    desk: Desk, tx: Transaction, case_id: UUID, kind: Kind, amount_minor: int, reason: str, asker: Asker, admit: Callable[[CaseCopy], None]
) -> Restitution:
    """A person asks for something; another person will decide."""
    case = (await store.lock_cases(tx.conn, [case_id])).get(case_id)
    if case is None:
        raise Rejected("unknown-case", "There is no such case.", pointer="/case_id")
    admit(case)
    gifts = 0
    if kind in IN_KIND and case.patient_ref is not None:
        await store.lock_patient(tx.conn, case.patient_ref)
        gifts = await store.gifts_minor(tx.conn, case.patient_ref, _year(tx.now), IN_KIND)
    month, total = await _month(tx, case.location_id)
    restitution_id = new_id()
    decision = domain.request(
        case, kind, amount_minor, desk.seal(reason, restitution_id), desk.policies,
        restitution_id=restitution_id, by=by(asker), now=tx.now, month=month, month_total_minor=total, gifts_minor=gifts,
        absent=await _absent(tx, case.location_id, asker),
    )  # fmt: skip
    return await _close(tx, Book(), decision, asker, "restitution.requested", {"kind": kind, "amount_minor": amount_minor})


async def approve(
    desk: Desk, tx: Transaction, restitution_id: UUID, asker: Asker, admit: Admit, amount_minor: int | None = None
) -> Restitution:
    """One person's yes. The row's lock lets one of many at once through; the others find it decided."""
    book, state, case = await _open(tx, restitution_id, admit)
    month, total = await _month(tx, state.location_id)
    decision = domain.approve(
        state, case, asker, desk.policies, now=tx.now, month=month, month_total_minor=total, amount_minor=amount_minor
    )
    return await _close(tx, book, decision, asker, "restitution.approved", {"amount_minor": decision.state.amount_minor})


async def decline(desk: Desk, tx: Transaction, restitution_id: UUID, asker: Asker, admit: Admit, reason: str) -> Restitution:
    """A person's no; their words stay in this service, sealed."""
    book, state, _ = await _open(tx, restitution_id, admit)
    decision = domain.decline(state, asker, desk.policies, by=by(asker), words=desk.seal(reason, restitution_id), now=tx.now)
    return await _close(tx, book, decision, asker, "restitution.declined")


async def offer(desk: Desk, tx: Transaction, restitution_id: UUID, asker: Asker, admit: Admit) -> Restitution:
    """The patient is told; refused before the story is confirmed."""
    book, state, case = await _open(tx, restitution_id, admit)
    return await _close(tx, book, domain.offer(state, case, by=by(asker), now=tx.now), asker, "restitution.offered")


async def accept(desk: Desk, tx: Transaction, restitution_id: UUID, asker: Asker, admit: Admit) -> Restitution:
    """The patient chose it, themselves or through a person."""
    book, state, _ = await _open(tx, restitution_id, admit)
    return await _close(tx, book, domain.accept(state, by=by(asker), now=tx.now), asker, "restitution.accepted")


async def settle_in_kind(desk: Desk, tx: Transaction, restitution_id: UUID, asker: Asker, admit: Admit) -> Restitution:
    """An accepted gesture was given."""
    book, state, _ = await _open(tx, restitution_id, admit)
    return await _close(tx, book, domain.settle_in_kind(state, by=by(asker), now=tx.now), asker, "restitution.settled")


async def reverse(desk: Desk, tx: Transaction, restitution_id: UUID, asker: Asker, admit: Admit, reason: str) -> Restitution:
    """Taken back; a code that was issued buys nothing any more."""
    book, state, _ = await _open(tx, restitution_id, admit)
    decision = domain.reverse(state, asker, desk.policies, by=by(asker), words=desk.seal(reason, restitution_id), now=tx.now)
    if not decision.is_empty:
        await store.void_codes(tx.conn, [restitution_id])
    return await _close(tx, book, decision, asker, "restitution.reversed")


async def _open(tx: Transaction, restitution_id: UUID, admit: Admit) -> tuple[Book, Restitution, CaseCopy]:
    """The restitution under its lock, with its case: the case's row first, as whoever hears of the story takes them."""
    known = await store.one(tx.conn, restitution_id)
    if known is None:
        raise Rejected("not-found", "There is no such restitution.")
    cases = await store.lock_cases(tx.conn, [known.case_id])
    book = Book.of((await store.lock(tx.conn, [restitution_id])).values())
    state = book.states[restitution_id]
    admit(state)
    return book, state, cases[known.case_id]


async def _close(
    tx: Transaction, book: Book, decision: Decision[Restitution], asker: Asker, action: str, data: Mapping[str, Any] | None = None
) -> Restitution:
    if not decision.is_empty:
        book.keep(tx, decision)
        await book.save(tx)
        tx.audit(asker.actor, action, str(decision.state.restitution_id), {"version": decision.state.version, **(data or {})})
    return decision.state


async def _month(tx: Transaction, location_id: str) -> tuple[str, int]:
    """The month it is at the store and what is reserved and posted in it, locked."""
    places = await reference.locations(tx.conn, [location_id])
    if location_id not in places:
        raise Unready(f"location {location_id}")
    month = domain.month_of(tx.now, places[location_id].timezone)
    return month, (await store.lock_budgets(tx.conn, [(location_id, month)]))[location_id, month]


async def _absent(tx: Transaction, location_id: str, asker: Asker) -> set[str]:
    """The roles that only the asker has at this place: they cannot be asked to approve."""
    people = (await reference.people_of(tx.conn, [location_id])).get(location_id)
    if people is None or asker.staff_id is None:
        return set()
    held = {"store_manager": people.managers, "regional_manager": people.regional_managers}
    return {role for role, staff in held.items() if not set(staff) - {asker.staff_id}}


def _year(now: datetime) -> datetime:
    return now.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
