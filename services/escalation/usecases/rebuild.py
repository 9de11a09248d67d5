"""Clocks rebuilt from what was said of their cases: a batch is looked at, and mended where somebody asked for it.

Called by `amends clock rebuild`. Invariant: nothing changes without `apply`; what is mended is one event and one audit row a case.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from services.escalation import store
from services.escalation.domain import rebuild
from services.escalation.domain.case import Case
from services.escalation.domain.rebuild import Difference
from services.escalation.usecases.desk import Changes
from services.escalation.usecases.stores import stores
from shared import timers
from shared.kernel.errors import Rejected
from shared.kernel.ids import normal_reference
from shared.messaging import Transaction

CASES_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Looked:
    """A case that is not as its history says it ought to be."""

    case: Case
    differences: tuple[Difference, ...]


async def case_named(tx: Transaction, name: str) -> UUID:
    """The id of a case by its id or reference. Raises Rejected(not-found)."""
    try:
        case_id, reference = UUID(name), None
    except ValueError:
        case_id, reference = None, normal_reference(name)
    found = await store.read_one(tx.conn, case_id, reference) if case_id or reference else None
    if found is None:
        raise Rejected("not-found", f"There is no case {name}.")
    return found.case_id


async def next_cases(tx: Transaction, location_id: str | None, after: UUID | None) -> list[UUID]:
    """The next batch of cases, of one store or of all, in the order of their ids."""
    return await store.ids_after(tx.conn, location_id, after, CASES_AT_ONCE)


async def rebuild_clocks(tx: Transaction, case_ids: Sequence[UUID], *, apply: bool) -> list[Looked]:
    """Those of these cases whose targets or timers differ from what they ought to be; mended where `apply` says so."""
    cases = await store.lock(tx.conn, case_ids)
    known = await stores(tx.conn, cases.values())
    histories = await store.histories(tx.conn, cases)
    subjects = [str(case_id) for case_id in cases]
    pending, fired = await timers.pending(tx.conn, subjects), await timers.fired(tx.conn, subjects)
    found: list[Looked] = []
    changes = Changes(tx, known)
    for case in cases.values():
        subject = str(case.case_id)
        due = {key: row.due_at for key, row in pending.get(subject, {}).items() if row.parked_reason is None}
        place = known.at(case.location_id, tx.now)
        rebuilt = rebuild.rebuild(case, histories.get(case.case_id, []), due, fired.get(subject, set()), place, tx.now)
        if not rebuilt.differences:
            continue
        found.append(Looked(case, rebuilt.differences))
        if apply:
            changes.keep(case, rebuilt.decision)
            told = [f"{one.what} {one.name}: {one.is_now}, ought to be {one.ought}" for one in rebuilt.differences]
            tx.audit("command", "case.clock_rebuilt", subject, {"differences": told})
    await changes.write()
    return found
