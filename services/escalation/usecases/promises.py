"""Promises: made, moved and kept by people; how often they were kept, by store and month.

Invariant: how long promises took and what became of them is written in the transaction in which it happens, and read from there only.
"""

from datetime import datetime

from services.escalation import store
from services.escalation.domain import promises
from services.escalation.domain.case import Case, Store
from services.escalation.store import Tally, TallyWanted
from services.escalation.usecases.act import Asked, CaseView, found, obey
from services.escalation.usecases.desk import Desk
from shared.calendars import local_date
from shared.contracts.cases import PromiseKind
from shared.kernel.decision import Decision
from shared.messaging import Transaction


async def make_promise(desk: Desk, tx: Transaction, asked: Asked, what: PromiseKind, estimate_at: datetime | None) -> CaseView:
    """Promise something, or move what is promised to a later time."""
    before = await found(tx, asked)
    past = await store.past(tx.conn, before, what)

    def rule(case: Case, place: Store) -> Decision[Case]:
        policy = desk.policies.promise_rule(what, local_date(place.calendar, tx.now))
        return promises.promise(case, what, estimate_at, policy, past, place, tx.now, asked.who)

    data = {"what": what, "estimate_at": estimate_at.isoformat() if estimate_at else None}
    return await obey(desk, tx, asked, "promise", rule, data=data)


async def keep_promise(desk: Desk, tx: Transaction, asked: Asked, what: PromiseKind) -> CaseView:
    """What was promised is done."""
    return await obey(
        desk, tx, asked, "keep-promise", lambda case, place: promises.keep(case, what, place, tx.now, asked.who), data={"what": what}
    )


async def kept_promises(desk: Desk, wanted: TallyWanted) -> list[Tally]:
    """What became of promises in a month, by store and kind."""
    async with desk.engine.pool.acquire() as conn:
        return await store.tallies(conn, wanted)
