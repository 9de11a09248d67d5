"""What people ask of a case: one transaction each, the case locked, the answer the case as it is after.

Invariant: who may not see the store does not learn that the case is there; what was obeyed already changes nothing and says nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, get_args
from uuid import UUID

from services.escalation import store
from services.escalation.domain import anew, clock, commands
from services.escalation.domain.case import Case, Store
from services.escalation.usecases import words
from services.escalation.usecases.desk import Asker, Changes, Desk
from services.escalation.usecases.stores import stores
from services.escalation.usecases.words import Story
from shared import reference
from shared.calendars import local_date
from shared.contracts.cases import ActionKind, RootCause
from shared.kernel.decision import Decision
from shared.kernel.errors import Rejected
from shared.kernel.ids import normal_reference
from shared.messaging import Transaction

ACTION_CODES: Final = frozenset(get_args(ActionKind))
Rule = Callable[[Case, Store], Decision[Case]]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which case (`name`: id or reference), who asks, and `check`: refuses a version that the asker did not mean."""

    name: str
    by: Asker
    check: Callable[[int], None]

    @property
    def who(self) -> str:
        """The person, or the machine's key where there is none."""
        return self.by.staff_id or self.by.actor


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case with its story in plain words."""

    case: Case
    story: Story = field(default_factory=Story)


async def acknowledge(desk: Desk, tx: Transaction, asked: Asked) -> CaseView:
    """Somebody takes it."""
    return await obey(
        desk, tx, asked, "acknowledge", lambda case, place: commands.acknowledge(case, place, tx.now, asked.who, asked.by.staff_id)
    )


async def assign(desk: Desk, tx: Transaction, asked: Asked, staff_id: str) -> CaseView:
    """Another owner, of this store or its region."""
    person = (await reference.staff(tx.conn, [staff_id])).get(staff_id)

    def rule(case: Case, place: Store) -> Decision[Case]:
        works_here = person is not None and person.active and (case.location_id in person.locations or case.region in person.regions)
        if not works_here:
            raise Rejected("unknown-staff", f"Nobody of that name works at {case.location_id}.", pointer="/staff_id")
        return commands.assign(case, staff_id, place, tx.now, asked.who)

    return await obey(desk, tx, asked, "assign", rule, data={"staff_id": staff_id})


async def tell_story(
    desk: Desk, tx: Transaction, asked: Asked, verbatim: str | None, wished_outcome: str | None, read_back_confirmed: bool
) -> CaseView:
    """The patient's words; confirmed once they were read back. What is left out stays as it was."""
    case = await found(tx, asked)
    known = (await words.stories(desk, tx.conn, [case]))[case.case_id]
    given = {"verbatim": (verbatim, known.verbatim), "wished_outcome": (wished_outcome, known.wished_outcome)}
    new = {name: text for name, (text, old) in given.items() if text and text.strip() and text != old}

    def rule(case: Case, place: Store) -> Decision[Case]:
        has_words = bool(known.verbatim or new.get("verbatim"))
        return commands.tell_story(case, place, tx.now, asked.who, has_words=has_words, is_new=bool(new), read_back=read_back_confirmed)

    return await obey(desk, tx, asked, "story", rule, said=new, data={"confirmed": read_back_confirmed})


async def record_action(
    desk: Desk, tx: Transaction, asked: Asked, kind: ActionKind, note: str | None, then_pause: str | None = None
) -> CaseView:
    """What a person did for the patient; with a reason, the clock stands after it."""

    def rule(case: Case, place: Store) -> Decision[Case]:
        if then_pause is None:
            return commands.act(case, kind, place, tx.now, asked.who)
        return commands.act_then_pause(case, kind, then_pause, place, tx.now, asked.who)

    data = {"kind": kind} if then_pause is None else {"kind": kind, "then_pause": then_pause}
    return await obey(desk, tx, asked, "action", rule, said={"action": note} if note else {}, data=data)


async def add_note(desk: Desk, tx: Transaction, asked: Asked, text: str) -> CaseView:
    """A note for colleagues."""
    return await obey(desk, tx, asked, "note", lambda case, place: commands.add_note(case, place, tx.now, asked.who), said={"note": text})


async def pause(desk: Desk, tx: Transaction, asked: Asked, reason: str) -> CaseView:
    """The clock stands, for a reason with a budget."""
    return await obey(
        desk, tx, asked, "pause", lambda case, place: clock.pause(case, reason, place, tx.now, asked.who), data={"reason": reason}
    )


async def resume(desk: Desk, tx: Transaction, asked: Asked) -> CaseView:
    """The clock runs again."""
    return await obey(desk, tx, asked, "resume", lambda case, place: clock.resume(case, place, tx.now, asked.who))


async def replan(desk: Desk, tx: Transaction, asked: Asked, reason: str) -> CaseView:
    """The plan that the tables in force now give the case with all its incidents. Raises Rejected(facts-unknown) where none was kept."""
    before = await found(tx, asked)
    told = await store.facts(tx.conn, before.case_id)

    def rule(case: Case, place: Store) -> Decision[Case]:
        if not told:
            raise Rejected("facts-unknown", "What this case was planned by was not kept at its time.")
        known = [replace(facts, payer=case.payer_class) if facts.payer == "unknown" else facts for facts in told]
        plan = desk.policies.plan_by_worst(known, local_date(place.calendar, tx.now))
        return anew.on_new_plan(case, plan, place, tx.now, asked.who, asked.by.role)

    return await obey(desk, tx, asked, "re-plan", rule, said={"re-planning": reason})


async def resolve(desk: Desk, tx: Transaction, asked: Asked, root_cause: RootCause, action: str, note: str | None) -> CaseView:
    """The recovery is done. Only a known code of what was done goes out on the topic; other words are kept here."""
    code = action if action in ACTION_CODES else "other"
    text = "\n".join(part for part in (action if code != action else "", note or "") if part)
    said = {"resolution": text} if text else {}

    def rule(case: Case, place: Store) -> Decision[Case]:
        return commands.resolve(case, root_cause, code, place, tx.now, asked.who)

    return await obey(desk, tx, asked, "resolve", rule, said=said, data={"root_cause": root_cause, "action": code})


async def close(desk: Desk, tx: Transaction, asked: Asked) -> CaseView:
    """After the resolution."""
    return await obey(desk, tx, asked, "close", lambda case, place: commands.close(case, place, tx.now, asked.who))


async def reopen(desk: Desk, tx: Transaction, asked: Asked, reason: str) -> CaseView:
    """It was not over after all."""
    other = await store.another_open(tx.conn, await found(tx, asked))

    def rule(case: Case, place: Store) -> Decision[Case]:
        if other is not None and case.status == "closed":
            raise Rejected("another-case-open", f"The patient has another open case, {other}; work on that one.", reference=other)
        return commands.reopen(case, place, tx.now, asked.who)

    return await obey(desk, tx, asked, "reopen", rule, said={"reopening": reason})


async def find(tx_conn: Any, name: str, by: Asker, *, lock: bool = False) -> Case:
    """The case of an id or reference, for who may see its store. Raises Rejected(not-found), the same for both reasons."""
    read = store.lock_one if lock else store.read_one
    case_id, name_of_case = named(name)
    case = await read(tx_conn, case_id, name_of_case) if case_id or name_of_case else None
    if case is None or not by.sees(case.location_id, case.region):
        raise Rejected("not-found", "There is no such case.")
    return case


async def found(tx: Transaction, asked: Asked) -> Case:
    """The case that is asked for, locked."""
    return await find(tx.conn, asked.name, asked.by, lock=True)


async def obey(
    desk: Desk,
    tx: Transaction,
    asked: Asked,
    action: str,
    rule: Rule,
    *,
    said: Mapping[str, str] | None = None,
    data: Mapping[str, Any] | None = None,
) -> CaseView:
    """Lock the case, hold it against what the asker meant, decide, keep the words and the act."""
    before = await found(tx, asked)
    asked.check(before.version)
    known = await stores(tx.conn, [before])
    decision = rule(before, known.at(before.location_id, tx.now))
    if decision.state != before:
        changes = Changes(tx, known)
        changes.keep(before, decision)
        await changes.write()
        await words.keep(desk, tx, decision.state, said or {}, asked.who)
        tx.audit(asked.by.actor, f"case.{action}", str(before.case_id), data)
    return CaseView(decision.state, (await words.stories(desk, tx.conn, [before]))[before.case_id])


def named(name: str) -> tuple[UUID | None, str | None]:
    """A case's id or its reference, as typed."""
    try:
        return UUID(name), None
    except ValueError:
        return None, normal_reference(name)
