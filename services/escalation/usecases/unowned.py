"""Cases that are nobody's: an alarm until somebody is there, then theirs by a recorded act.

A case has no owner where the directory named nobody for its store and region when it was opened, and loses the one it has when they leave.
What must stay true: such a case is found whatever the directory said and whenever, so it is looked for, every few seconds of machine time.
"""

import asyncio
from typing import Final

from services.escalation import store
from services.escalation.domain import ladder
from services.escalation.domain.case import Case
from services.escalation.usecases.desk import Changes, Desk
from services.escalation.usecases.stores import stores
from shared.db import DATABASE_DOWN
from shared.kernel.errors import Transient
from shared.messaging import Transaction
from shared.telemetry import logs

LOOK_EVERY_SECONDS: Final = 2.0
AT_ONCE: Final = 200
NOTE: Final = "unowned"
DOWN: Final[tuple[type[BaseException], ...]] = (Transient, *DATABASE_DOWN)
_log = logs.get("escalation")


async def watch_unowned(desk: Desk, notes: dict[str, str]) -> None:
    """For ever. `notes` says how many cases nobody answers for, while there are any."""
    while True:
        try:
            async with desk.engine.transaction() as tx:
                left = await find_owners(desk, tx)
            _note(notes, left)
        except DOWN as error:
            _log.warning("cases without an owner wait", error=type(error).__name__)
        await asyncio.sleep(LOOK_EVERY_SECONDS)


async def find_owners(desk: Desk, tx: Transaction) -> int:
    """Give each case that is nobody's to whoever is there now, who is paged; gives how many are nobody's still."""
    cases = await store.lock_unowned(tx.conn, AT_ONCE)
    if not cases:
        return 0
    known = await stores(tx.conn, cases)
    load = await store.load(tx.conn, {case.location_id for case in cases})
    changes = Changes(tx, known)
    left = 0

    for case in cases:
        place, loads = known.at(case.location_id, tx.now), load[case.location_id]
        decision = ladder.find_owner(case, case.owner_staff_id is not None, place, loads, tx.now)
        owner = decision.state.owner_staff_id
        if decision.is_empty or owner is None:
            left += 1
            continue
        loads[owner] = loads.get(owner, 0) + 1
        changes.keep(case, decision)
        tx.audit("system", "case.assign", str(case.case_id), _said(case, owner))
    await changes.write()
    return left


def _said(case: Case, owner: str) -> dict[str, str | None]:
    return {"staff_id": owner, "was": case.owner_staff_id}


def _note(notes: dict[str, str], left: int) -> None:
    if left:
        count = f"{left} cases have" if left > 1 else "1 case has"
        notes[NOTE] = f"{count} no owner: nobody works at the store, and the region has no manager"
    else:
        notes.pop(NOTE, None)
