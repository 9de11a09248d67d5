"""What notification hears, and what it says because of it: cases, restitutions, patients. One transaction, many facts.

What is due at once leaves with the transaction that queued it (`send.py:send_new`); what waits gets its timer.
"""

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from services.notification import store
from services.notification.domain import hear
from services.notification.domain import notice as rules
from services.notification.domain.hear import CaseCopy, Wish
from services.notification.domain.judge import GATHERS, PAGES, STORM, ConsentWord, Wait, Withhold, judge
from services.notification.domain.notice import Notice
from services.notification.store.people import Conversation, Patient
from services.notification.usecases.desk import Desk
from services.notification.usecases.instead import fall_back
from services.notification.usecases.recipients import Directory, look_up
from services.notification.usecases.send import send_new
from shared.contracts.cases import CaseAcknowledged, CaseEvent, Paging
from shared.contracts.envelope import Event, Fact
from shared.contracts.patients import PatientChanged
from shared.contracts.restitutions import RestitutionEvent
from shared.kernel.decision import Decision
from shared.kernel.errors import Unready
from shared.kernel.ids import new_id
from shared.messaging import Transaction


@dataclass
class Wanted:
    """What the facts of one batch came to."""

    cases: dict[UUID, CaseCopy]
    decisions: list[tuple[Decision[Notice], Fact[Event]]] = field(default_factory=list)
    acknowledged: dict[UUID, int] = field(default_factory=dict)
    changed: dict[UUID, CaseCopy] = field(default_factory=dict)
    leaving: dict[UUID, Fact[Event]] = field(default_factory=dict)
    conversations: dict[str, Conversation] = field(default_factory=dict)


async def take_cases(desk: Desk, tx: Transaction, facts: Sequence[Fact[Event]]) -> None:
    """Keep what cases tell, and queue what they make us say."""
    heard = [fact.event for fact in facts if isinstance(fact.event, CaseEvent)]
    wanted = Wanted(await store.people.cases(tx.conn, {e.case_id for e in heard}, locked=True))
    told = wanted.cases | {e.case_id: copy for e in heard if (copy := hear.copy_of(e, None))}
    staff = sorted(
        {person for e in heard if isinstance(e, Paging) for person in e.page} | {e.owner_staff_id for e in heard if e.owner_staff_id}
    )
    known = await look_up(desk, tx.conn, told, staff, [e.patient_ref for e in heard], tx.now)

    def decide(fact: Fact[Event]) -> None:
        event = fact.event
        if not isinstance(event, CaseEvent):
            return
        after = hear.copy_of(event, wanted.cases.get(event.case_id))
        if after is None:
            return
        owner = known.staff.get(event.owner_staff_id) if event.owner_staff_id else None
        wishes = hear.on_case(event, known.location(event.location_id).name, owner.role if owner else None, tx.now)
        decisions = [_first(known, wish, after, fact, tx.now) for wish in wishes]
        wanted.decisions += [(decision, fact) for decision in decisions]
        wanted.cases[event.case_id] = wanted.changed[event.case_id] = after
        if isinstance(event, CaseAcknowledged):
            wanted.acknowledged[event.case_id] = event.generation

    tx.decide_each(facts, decide)
    await store.people.save_cases(tx.conn, wanted.changed.values())
    complete = await _gather_storms(tx, wanted)
    await _save_new(tx, wanted)
    await fall_back(desk, tx, [decision.state for decision, _ in wanted.decisions])
    await _release(tx, complete)
    await _cancel_pages(tx, wanted.acknowledged)
    await _send_new(desk, tx, known, wanted)


async def take_restitutions(desk: Desk, tx: Transaction, facts: Sequence[Fact[Event]]) -> None:
    """Queue the text that tells a patient what is given."""
    heard = [fact.event for fact in facts if isinstance(fact.event, RestitutionEvent)]
    wanted = Wanted(await store.people.cases(tx.conn, {e.case_id for e in heard}))
    known = await look_up(desk, tx.conn, wanted.cases, (), [case.patient_ref for case in wanted.cases.values()], tx.now)

    def decide(fact: Fact[Event]) -> None:
        if not isinstance(fact.event, RestitutionEvent):
            return
        case = wanted.cases.get(fact.event.case_id)
        if case is None:
            raise Unready(f"case {fact.event.case_id}")
        decisions = [_first(known, wish, case, fact, tx.now) for wish in hear.on_restitution(fact.event, case)]
        wanted.decisions += [(decision, fact) for decision in decisions]

    tx.decide_each(facts, decide)
    await _save_new(tx, wanted)
    await _send_new(desk, tx, known, wanted)


async def take_patients(desk: Desk, tx: Transaction, facts: Sequence[Fact[Event]]) -> None:
    """Keep the patients intake tells of, and every word on consent that came with them."""
    newest: dict[str, Patient] = {}
    words: list[ConsentWord] = []

    def decide(fact: Fact[Event]) -> None:
        event = fact.event
        if not isinstance(event, PatientChanged):
            return
        patient = _patient(event)
        words.extend(ConsentWord(event.patient_ref, c.purpose, c.granted, c.at, c.source, "intake") for c in event.consents)
        if event.patient_ref not in newest or newest[event.patient_ref].version < event.version:
            newest[event.patient_ref] = patient

    tx.decide_each(facts, decide)
    await store.people.save_patients(tx.conn, list(newest.values()))
    await store.people.add_consents(tx.conn, words)


def _first(known: Directory, wish: Wish, case: CaseCopy, fact: Fact[Event], now: datetime) -> Decision[Notice]:
    """A wish as a notice that is queued, held, or withheld for a reason."""
    desk = known.desk
    patient_ref = case.patient_ref if wish.audience == "patient" else None
    draft = Notice(
        new_id(), case.case_id, wish.audience, wish.template, str(fact.envelope.id),
        f"patient:{patient_ref}" if patient_ref else _of_staff(wish), now, now,
        staff_id=wish.staff_id, patient_ref=patient_ref, generation=wish.generation, facts=wish.facts, is_answer=wish.is_answer,
        storm_id=wish.storm[0] if wish.storm else None, storm_size=wish.storm[1] if wish.storm else 0, channel=wish.channel,
    )  # fmt: skip
    number = known.number(draft)
    draft = replace(draft, number_index=desk.index(number) if number and wish.channel != "webhook" else None)
    verdict = judge(draft, desk.words[wish.template], None, known.recipient(draft, number), desk.rules, now)
    if isinstance(verdict, Withhold):
        return rules.withheld(draft, verdict.reason, now, is_new=True)
    if isinstance(verdict, Wait):
        return rules.queued(replace(draft, status="held", send_at=verdict.until, reason=verdict.reason))
    return rules.queued(draft, is_leaving=True)


def _of_staff(wish: Wish) -> str:
    """A person by one channel; texts without a word, as before there were others."""
    return f"staff:{wish.staff_id}" + ("" if wish.channel == "text" else f":{wish.channel}")


async def _gather_storms(tx: Transaction, wanted: Wanted) -> list[tuple[UUID, str]]:
    """Hold new pages whose storm is not complete yet, for a minute at most; gives the storms that are by now, by person."""
    storms = Counter(of for decision, _ in wanted.decisions if (of := _storm_of(decision.state)))
    if not storms:
        return []
    heard = await store.notices.heard_of_storms(tx.conn, sorted({storm_id for storm_id, _ in storms}))
    sizes = {of: decision.state.storm_size for decision, _ in wanted.decisions if (of := _storm_of(decision.state))}
    complete = {of for of, count in storms.items() if heard.get(of, 0) + count >= sizes[of]}

    def held_back(decision: Decision[Notice]) -> Decision[Notice]:
        page = decision.state
        of = _storm_of(page)
        if of is None or of in complete or page.status != "queued":
            return decision
        return rules.queued(replace(page, status="held", reason=STORM, send_at=tx.now + GATHERS))

    wanted.decisions = [(held_back(decision), fact) for decision, fact in wanted.decisions]
    return sorted(of for of in complete if of in heard)


async def _release(tx: Transaction, complete: Sequence[tuple[UUID, str]]) -> None:
    """The pages of these storms that waited leave now."""
    decisions = [rules.gathered(row.notice, tx.now) for row in await store.notices.lock_storm(tx.conn, complete)]
    for decision in decisions:
        tx.apply(decision)
    await store.notices.save(tx.conn, [decision.state for decision in decisions])


def _storm_of(page: Notice) -> tuple[UUID, str] | None:
    return (page.storm_id, page.recipient) if page.storm_id is not None else None


async def _save_new(tx: Transaction, wanted: Wanted) -> None:
    decided = [decision.state for decision, _ in wanted.decisions]
    # Numbers before notices, here as everywhere: what is due leaves in this transaction, which locks waiting pages before that.
    numbers = {notice.number_index for notice in decided if notice.status == "queued"}
    wanted.conversations = await store.people.conversations(tx.conn, numbers, locked=True)
    new = await store.notices.insert(tx.conn, decided)
    for decision, fact in wanted.decisions:
        if decision.state.notice_id in new:
            tx.apply(decision, cause=fact)
            if decision.state.status == "queued":
                wanted.leaving[decision.state.notice_id] = fact


async def _send_new(desk: Desk, tx: Transaction, known: Directory, wanted: Wanted) -> None:
    known = replace(known, cases=wanted.cases, conversations={**known.conversations, **wanted.conversations})
    await send_new(desk, tx, known, wanted.leaving)


async def _cancel_pages(tx: Transaction, acknowledged: dict[UUID, int]) -> None:
    """An acknowledgement takes back every page of its generation that has not left."""
    rows = await store.notices.lock_waiting_pages(tx.conn, sorted(acknowledged))
    changed = []
    for row in rows:
        page = row.notice
        if page.case_id is not None and (page.generation or 0) <= acknowledged[page.case_id] and page.template in PAGES:
            decision = rules.withheld(page, "acknowledged", tx.now)
            tx.apply(decision)
            changed.append(decision.state)
    await store.notices.save(tx.conn, changed)


def _patient(event: PatientChanged) -> Patient:
    def raw(text: str | None) -> bytes | None:
        return None if text is None else base64.b64decode(text)

    return Patient(
        event.patient_ref, event.version, base64.b64decode(event.wrapped_key), raw(event.name), raw(event.phone), event.phone_index,
        event.language, event.payer_class, event.location_id,
    )  # fmt: skip
