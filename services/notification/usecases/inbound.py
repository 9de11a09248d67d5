"""Texts that come in: STOP, START and HELP; a paged person's ACK; a patient's own words. One transaction per text.

Called by the webhook once the signature held. What must stay true: a text is taken once (by the provider's id); nobody guesses which
case an answer is for; a patient's words rest as ciphertext and travel nowhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Literal
from uuid import UUID

from services.notification import store
from services.notification.domain import notice as rules
from services.notification.domain.notice import Notice
from services.notification.domain.replies import Meaning, Question, Understood, reads_as, understand_patient, understand_staff
from services.notification.store.people import Conversation
from services.notification.store.traffic import Message
from services.notification.usecases.desk import Desk
from services.notification.usecases.results import opt_out, said_of_number
from shared.contracts.notices import ReplyUnderstood
from shared.kernel.ids import new_id
from shared.messaging import Transaction

# A question that was not answered within this time (business) is closed: a late "1" is a message.
QUESTION_LIVES: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A text from `sender` (E.164). `is_answered`: the provider has answered the keyword itself."""

    sid: str
    sender: str
    body: str
    is_answered: bool = False


@dataclass(frozen=True, slots=True)
class Answerer:
    """Who a number belongs to, as far as we know: its open pages (case → reference, staff) or its patients' open cases."""

    pages: Mapping[str, tuple[str, str]]
    cases: Mapping[str, tuple[str, str]]
    staff_id: str | None
    patients: tuple[str, ...]

    @property
    def is_staff(self) -> bool:
        """Whether the text is read as that of a member of staff: they are paged, or nobody else has the number."""
        return bool(self.pages) or (self.staff_id is not None and not self.patients)


async def receive(desk: Desk, tx: Transaction, text: Incoming) -> None:
    """Take one text."""
    if await store.traffic.is_known(tx.conn, text.sid):
        return
    index = desk.index(text.sender)
    conversation = (await store.people.conversations(tx.conn, [index], locked=True))[index]
    who = await _who(tx, index)
    meaning = reads_as(text.body)
    if meaning is not None:
        await _keep(desk, tx, text, index, who, None, meaning)
        await _keyword(desk, tx, text, conversation, who, meaning)
        return
    question = conversation.question
    if conversation.question_at is not None and tx.now - conversation.question_at > QUESTION_LIVES:
        question = None
    if who.is_staff:
        understood = understand_staff(text.body, list(who.pages), question, {ref: case for case, (ref, _) in who.pages.items()})
    else:
        last = str(conversation.last_case_id) if conversation.last_case_id else None
        understood = understand_patient(text.body, list(who.cases), last, question)
    await _keep(desk, tx, text, index, who, understood, understood.kind)
    await _follow(desk, tx, text, conversation, who, understood)


async def _who(tx: Transaction, index: str) -> Answerer:
    pages = {str(case): (ref, staff) for case, ref, staff in await store.notices.open_pages(tx.conn, index)}
    cases = {str(case): (ref, patient) for case, ref, patient in await store.people.open_cases(tx.conn, index)}
    patients = tuple(await store.people.sharing(tx.conn, index))
    return Answerer(pages, cases, await store.notices.paged(tx.conn, index), patients)


async def _keyword(desk: Desk, tx: Transaction, text: Incoming, conversation: Conversation, who: Answerer, meaning: Meaning) -> None:
    """STOP, START, HELP: they belong to the number, whoever has it."""
    index = conversation.number_index
    silent = desk.provider_confirms_stop or text.is_answered
    refs: list[str] = list(who.patients)
    if meaning == "stop":
        refs = await opt_out(desk, tx, index, "text STOP")
        if not silent and conversation.opted_out_at is None:
            await _answer(desk, tx, text, "stopped", {})
    elif meaning == "start":
        back = replace(conversation, opted_out_at=None, opted_in_at=tx.now)
        await store.people.save_conversations(tx.conn, [back])
        refs = await said_of_number(tx, index, granted=True, source="text START")
        if not silent:
            await _answer(desk, tx, text, "started", {})
    elif not silent:
        await _answer(desk, tx, text, "help", {"contact": f", call {desk.contact}" if desk.contact else ""})
    patient = refs[0] if len(refs) == 1 else None
    tx.say(
        ReplyUnderstood(reply_id=new_id(), at=tx.now, kind=meaning, staff_id=who.staff_id if who.is_staff else None, patient_ref=patient)
    )


async def _follow(desk: Desk, tx: Transaction, text: Incoming, conversation: Conversation, who: Answerer, understood: Understood) -> None:
    """What an understood answer leads to: an event for the case, a question back, or a word that nothing waits."""
    if understood.kind == "choice":
        kind: Literal["acknowledge", "message"] = "acknowledge" if who.is_staff else "message"
        named = who.pages if who.is_staff else who.cases
        options = ", ".join(f"{n} {named[case][0]}" for n, case in enumerate(understood.ask, 1))
        options += f" and {len(named) - len(understood.ask)} more" if len(named) > len(understood.ask) else ""
        await _answer(desk, tx, text, "ack_list" if who.is_staff else "which_case", {"options": options})
        asked = conversation.asked(Question(kind, understood.ask), tx.now)
        await store.people.save_conversations(tx.conn, [asked])
        return
    if understood.kind == "nothing-open":
        await _answer(desk, tx, text, "ack_none", {})
    case_id = UUID(understood.case_id) if understood.case_id else None
    if conversation.question is not None and understood.kind in ("acknowledge", "message") and case_id is not None:
        if conversation.question_at is not None and not who.is_staff:
            await store.traffic.give_to_case(tx.conn, conversation.number_index, conversation.question_at, case_id, _patient(who, case_id))
        await store.people.save_conversations(tx.conn, [conversation.asked(None, tx.now)])
    if understood.kind in ("acknowledge", "message"):
        staff = who.pages[str(case_id)][1] if understood.kind == "acknowledge" else who.staff_id if who.is_staff else None
        patient = None if who.is_staff else _patient(who, case_id)
        kind_said: Literal["acknowledge", "message"] = "acknowledge" if understood.kind == "acknowledge" else "message"
        tx.say(ReplyUnderstood(reply_id=new_id(), at=tx.now, kind=kind_said, case_id=case_id, staff_id=staff, patient_ref=patient))


def _patient(who: Answerer, case_id: UUID | None) -> str | None:
    found = who.cases.get(str(case_id))
    return found[1] if found else who.patients[0] if len(who.patients) == 1 else None


async def _keep(
    desk: Desk, tx: Transaction, text: Incoming, index: str, who: Answerer, understood: Understood | None, meaning: str
) -> None:
    """The words, as ciphertext: under the patient's key where the number has one patient, else under the master key."""
    sealed_for = None if who.is_staff else _patient(who, UUID(understood.case_id) if understood and understood.case_id else None)
    patient = (await store.people.patients(tx.conn, [sealed_for])).get(sealed_for) if sealed_for else None
    message_id = new_id()
    await store.traffic.keep_message(
        tx.conn,
        Message(
            message_id,
            text.sid,
            index,
            desk.seal_message(patient, text.sender, message_id, "sender"),
            desk.seal_message(patient, text.body, message_id, "body"),
            sealed_for if patient is not None else None,
            UUID(understood.case_id) if understood and understood.case_id else None,
            sealed_for,
            who.staff_id if who.is_staff else None,
            meaning,
            tx.now,
        ),
    )


async def _answer(desk: Desk, tx: Transaction, text: Incoming, template: str, facts: Mapping[str, str]) -> None:
    """Queue an answer to the number itself; it knows neither window nor cadence."""
    index = desk.index(text.sender)
    notice = Notice(
        new_id(), None, desk.words[template].audience, template, text.sid, f"number:{index}", tx.now, tx.now,
        number_index=index, facts=facts, is_answer=True,
    )  # fmt: skip
    sealed = {notice.notice_id: {"to_number": desk.seal(None, text.sender, notice.notice_id, "to_number")}}
    if await store.notices.insert(tx.conn, [notice], sealed):
        tx.apply(rules.queued(notice))


async def quarantine(desk: Desk, tx: Transaction, path: str, body: bytes) -> None:
    """Keep a body whose signature did not hold, for a person to look at."""
    text = body.decode("utf-8", "backslashreplace")
    await store.traffic.quarantine(tx.conn, path, "bad-signature", desk.vault.seal(text, "quarantined", path, "body"))
