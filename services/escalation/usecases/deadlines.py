"""What the time that has come does to cases: breaches, warnings, steps, changes of shifts, stale acknowledgements, pauses that ran out,
promises that are due."""

from collections.abc import Callable, Sequence
from typing import cast
from uuid import UUID

from services.escalation import store
from services.escalation.domain import clock, ladder, promises, warning
from services.escalation.domain.case import Case, Store
from services.escalation.usecases.desk import Changes, Desk
from services.escalation.usecases.stores import stores
from shared import timers
from shared.contracts.cases import Milestone
from shared.kernel.decision import Decision
from shared.messaging import Transaction
from shared.timers import Due

Rule = Callable[[Case, Due, Store], Decision[Case]]


async def breach_targets(desk: Desk, tx: Transaction, due: Sequence[Due]) -> None:
    """Targets whose time is over; an acknowledgement that is owed climbs the ladder."""
    await _fire(tx, due, lambda case, d, place: ladder.breach(case, cast("Milestone", d.name), d.generation, place, d.due_at))


async def warn_owners(desk: Desk, tx: Transaction, due: Sequence[Due]) -> None:
    """Targets of which a good part is gone, or little is left."""

    def rule(case: Case, d: Due, place: Store) -> Decision[Case]:
        milestone, _, mark = d.name.partition(":")
        return warning.warn(case, cast("Milestone", milestone), mark, d.generation, place, d.due_at)

    await _fire(tx, due, rule)


async def climb(desk: Desk, tx: Transaction, due: Sequence[Due]) -> None:
    """The ladder's next steps."""
    await _fire(tx, due, lambda case, d, place: ladder.step(case, int(d.name), d.generation, place, d.due_at))


async def hand_over(desk: Desk, tx: Transaction, due: Sequence[Due]) -> None:
    """Changes of shifts, while nobody took the case."""
    await _fire(tx, due, lambda case, d, place: ladder.hand_over(case, d.generation, place, d.due_at))


async def expire_acknowledgements(desk: Desk, tx: Transaction, due: Sequence[Due]) -> None:
    """Acknowledgements that went stale."""
    await _fire(tx, due, lambda case, d, place: ladder.expire(case, d.generation, place, d.due_at))


async def end_pauses(desk: Desk, tx: Transaction, due: Sequence[Due]) -> None:
    """Pauses whose budget is used up."""
    await _fire(tx, due, lambda case, d, place: clock.pause_ran_out(case, d.name, d.generation, place, d.due_at))


async def lapse_promises(desk: Desk, tx: Transaction, due: Sequence[Due]) -> None:
    """Promises whose time came."""
    await _fire(tx, due, lambda case, d, place: promises.lapse(case, d.generation, place, d.due_at))


async def warn_of_promises(desk: Desk, tx: Transaction, due: Sequence[Due]) -> None:
    """Internal targets of promises that are not kept yet."""
    await _fire(tx, due, lambda case, d, place: promises.warn(case, d.generation, place, d.due_at))


async def _fire(tx: Transaction, due: Sequence[Due], rule: Rule) -> None:
    """Lock the cases, take the timers that are still there, decide each as of its due time, save all.

    Stores are looked up before anything fires: a timer that was taken cannot be put back. What is late counts from its due time, yet
    wakes who is there now: whoever was on duty when it was due may have gone home.
    """
    cases = await store.lock(tx.conn, {UUID(d.subject) for d in due})
    known = await stores(tx.conn, cases.values())
    places = {case.case_id: known.at(case.location_id, tx.now) for case in cases.values()}
    fired = await timers.fire(tx, due)
    changes = Changes(tx, known)

    def decide(d: Due) -> None:
        before = cases.get(UUID(d.subject))
        if before is None:
            return
        decision = rule(before, d, places[before.case_id])
        changes.keep(before, decision, cause=d)
        cases[before.case_id] = decision.state

    tx.decide_each(sorted(fired, key=lambda d: d.due_at), decide)
    await changes.write()
