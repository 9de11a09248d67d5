"""Taking many cases at once: all of them locked, decided and saved together, each with an answer of its own.

Invariant: one that is refused changes nothing for its neighbours, and who may not see a store does not learn of its cases.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.escalation import store
from services.escalation.domain import commands
from services.escalation.domain.case import Case
from services.escalation.usecases import words
from services.escalation.usecases.act import CaseView, named
from services.escalation.usecases.desk import Asker, Changes, Desk
from services.escalation.usecases.stores import stores
from shared.kernel.errors import Rejected
from shared.messaging import Transaction


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one that was named: the case as it is now and whether that changed anything, or why not."""

    name: str
    view: CaseView | None = None
    has_changed: bool = False
    refusal: Rejected | None = None


async def acknowledge_many(desk: Desk, tx: Transaction, names: Sequence[str], by: Asker) -> list[Answered]:
    """Somebody takes these (ids or references); an answer for each, in their order. A name that comes twice is taken once."""
    keys = {name: named(name) for name in names}
    ids, references = [key for key, _ in keys.values() if key], [reference for _, reference in keys.values() if reference]
    cases = await store.lock_named(tx.conn, ids, references)
    seen = {case.case_id: case for case in cases if by.sees(case.location_id, case.region)}
    by_reference = {case.reference: case.case_id for case in seen.values()}
    known = await stores(tx.conn, seen.values())
    changes = Changes(tx, known)
    before, refused = dict(seen), dict[UUID, Rejected]()
    for case_id, case in before.items():
        try:
            decision = commands.acknowledge(case, known.at(case.location_id, tx.now), tx.now, by.staff_id or by.actor, by.staff_id)
        except Rejected as refusal:
            refused[case_id] = refusal
            continue
        if decision.state != case:
            changes.keep(case, decision)
            seen[case_id] = decision.state
            tx.audit(by.actor, "case.acknowledge", str(case_id), None)
    await changes.write()
    told = await words.stories(desk, tx.conn, list(seen.values())) if seen else {}

    def answer(name: str) -> Answered:
        key, reference = keys[name]
        case_id = key if key in seen else by_reference.get(reference or "")
        if case_id is None:
            return Answered(name, refusal=Rejected("not-found", "There is no such case."))
        if case_id in refused:
            return Answered(name, refusal=refused[case_id])
        return Answered(name, CaseView(seen[case_id], told[case_id]), _has_changed(before[case_id], seen[case_id]))

    return [answer(name) for name in names]


def _has_changed(before: Case, after: Case) -> bool:
    return before.version != after.version
