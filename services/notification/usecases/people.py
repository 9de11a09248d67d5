"""What people do with notices: read a case's, type one, take it back; read and record consent."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from services.notification import store
from services.notification.domain import notice as rules
from services.notification.domain.hear import CaseCopy
from services.notification.domain.judge import ConsentWord
from services.notification.domain.notice import WAITING, Notice
from services.notification.domain.templates import Setting, compose
from services.notification.domain.words import plain, segment
from services.notification.store.notices import Row
from services.notification.store.people import Patient
from services.notification.usecases.desk import Desk, patient_key_of
from shared import reference
from shared.contracts.notices import ConsentRecorded
from shared.db import Connection
from shared.kernel.errors import Rejected
from shared.kernel.ids import new_id
from shared.messaging import Transaction
from shared.vault import Unreadable

UNITS_MAX: Final = 1600
ANSWERS_WITHIN: Final = timedelta(hours=24)
# A patient's link opens the patient's page: whoever reads a notice here has no need of it.
_SECRET = re.compile(r"(/p/)[A-Za-z0-9_-]{8,}")


async def case_of(conn: Connection, case_id: UUID) -> CaseCopy | None:
    """The case as known here."""
    return (await store.people.cases(conn, [case_id])).get(case_id)


async def patient_of(conn: Connection, patient_ref: str) -> Patient | None:
    """The patient as known here."""
    return (await store.people.patients(conn, [patient_ref])).get(patient_ref)


async def notices_of(desk: Desk, case_id: UUID) -> list[dict[str, Any]]:
    """A case's notices with their words, and what the patient wrote, oldest first."""
    async with desk.engine.pool.acquire() as conn:
        rows = await store.notices.of_case(conn, case_id)
        patients = await store.people.patients(conn, [row.notice.patient_ref for row in rows])
        case = await case_of(conn, case_id)
        zone = (await reference.locations(conn, [case.location_id])).get(case.location_id) if case else None
    return [view(desk, row, patients, zone.timezone if zone else "UTC") for row in rows]


async def messages_of(desk: Desk, case_id: UUID) -> list[dict[str, Any]]:
    """What people wrote about a case, oldest first."""
    async with desk.engine.pool.acquire() as conn:
        found = await store.traffic.messages_of(conn, case_id)
        patients = await store.people.patients(conn, [message.sealed_for for message in found])
    shown = []
    for message in found:
        try:
            body = desk.open_message(patients.get(message.sealed_for or ""), message.body, message.message_id, "body")
        except Unreadable:
            body = ""
        sender = "staff" if message.staff_id else "patient"
        shown.append({"id": str(message.message_id), "from": sender, "body": body, "received_at": message.received_at})
    return shown


async def type_notice(desk: Desk, tx: Transaction, case_id: UUID, text: str, typed_by: str) -> dict[str, Any]:
    """Queue a text a person typed to the patient of a case; it leaves after the undo window."""
    case = await case_of(tx.conn, case_id)
    if case is None or case.patient_ref is None:
        raise Rejected("no-patient", "This case has no patient to text.")
    words = plain(text).strip()
    if not words or segment(words)[2] > UNITS_MAX:
        raise Rejected("invalid-input", "A text has words, and 1,600 units at most.", pointer="/text")
    patient = await patient_of(tx.conn, case.patient_ref)
    if patient is None or desk.number_of(patient) is None:
        raise Rejected("no-phone", "There is no number to text.")
    conversation = (await store.people.conversations(tx.conn, [patient.phone_index])).get(patient.phone_index or "")
    if conversation is not None and conversation.opted_out_at is not None:
        raise Rejected("opted-out", "The patient has asked for no more texts; only the patient can change that, by texting START.")
    answers = any(m.received_at > tx.now - ANSWERS_WITHIN for m in await store.traffic.messages_of(tx.conn, case_id) if m.staff_id is None)
    notice = Notice(
        new_id(), case_id, "patient", "typed", f"typed:{new_id()}", f"patient:{patient.patient_ref}", tx.now, tx.now + desk.rules.undo,
        patient_ref=patient.patient_ref, number_index=patient.phone_index, is_answer=answers, typed_by=typed_by,
    )  # fmt: skip
    sealed = {notice.notice_id: {"body": desk.seal(patient, words, notice.notice_id, "body")}}
    await store.notices.insert(tx.conn, [notice], sealed)
    tx.apply(rules.queued(notice))
    tx.audit(typed_by, "notice.typed", str(notice.notice_id), {"case_id": str(case_id)})
    return _fields(notice, words)


async def take_back(desk: Desk, tx: Transaction, notice_id: UUID, by: str) -> dict[str, Any]:
    """Take a typed text back before it left. Again is the same answer; once it left, 409 `left-already`."""
    row = next(iter(await store.notices.lock(tx.conn, [notice_id])), None)
    if row is None or row.notice.typed_by is None:
        raise Rejected("not-found", "There is no such text.")
    if row.notice.status == "withheld":
        return _fields(row.notice, "")
    if row.notice.status not in WAITING:
        raise Rejected("left-already", "This text has left.")
    decision = rules.withheld(row.notice, "taken-back", tx.now)
    tx.apply(decision)
    await store.notices.save(tx.conn, [decision.state])
    tx.audit(by, "notice.taken_back", str(notice_id))
    return _fields(decision.state, "")


async def consents_of(desk: Desk, patient: Patient) -> dict[str, Any]:
    """Every word on consent with its proof, oldest first, and whether the number has opted out."""
    async with desk.engine.pool.acquire() as conn:
        words = (await store.people.consents(conn, [patient.patient_ref])).get(patient.patient_ref, [])
        conversation = (await store.people.conversations(conn, [patient.phone_index])).get(patient.phone_index or "")
    has_opted_out = conversation is not None and conversation.opted_out_at is not None
    return {"items": [_word(word) for word in words], "next_cursor": None, "opted_out": has_opted_out}


async def record_consent(
    desk: Desk, tx: Transaction, patient_ref: str, purpose: Any, granted: bool, source: str, by: str, at: datetime | None
) -> dict[str, Any]:
    """Append a word on consent. An opt-out by text stays: only the phone takes it back."""
    if at is not None and at > tx.now + timedelta(minutes=5):
        raise Rejected("future-time", "That moment has not come yet.", pointer="/at")
    word = ConsentWord(patient_ref, purpose, granted, at or tx.now, source, by)
    await store.people.add_consents(tx.conn, [word])
    tx.say(ConsentRecorded(consent_id=new_id(), at=tx.now, patient_ref=patient_ref, purpose=purpose, granted=granted, source=source))
    tx.audit(by, "consent.recorded", f"patient:{patient_ref}", {"purpose": purpose, "granted": granted})
    return _word(word)


def view(desk: Desk, row: Row, patients: Mapping[str, Patient], zone: str) -> dict[str, Any]:
    """A notice as people read it: what left, or what would leave now; never the secret of a link."""
    notice = row.notice
    patient = patient_key_of(notice, dict(patients))
    try:
        body = desk.open(patient, row.body, notice.notice_id, "body") if row.body is not None else None
    except Unreadable:
        body = ""
    if body is None:
        setting = Setting(desk.programme, zone)
        body = compose(desk.words, [(notice.template, notice.facts)], setting)
    return _fields(notice, _SECRET.sub(r"\1...", body))


def _fields(notice: Notice, body: str) -> dict[str, Any]:
    segments = segment(body)[1] if notice.status in WAITING else notice.segments
    shown = replace(notice, segments=segments)
    return {
        "id": str(shown.notice_id),
        "case_id": str(shown.case_id) if shown.case_id else None,
        "audience": shown.audience,
        "channel": shown.channel,
        "template": shown.template,
        "body": body,
        "segments": shown.segments,
        "status": shown.status,
        "reason": shown.reason,
        "staff_id": shown.staff_id,
        "typed_by": shown.typed_by,
        "queued_at": shown.queued_at,
        "send_at": shown.send_at,
        "sent_at": shown.sent_at,
        "told_with": str(shown.carried_by) if shown.carried_by else None,
    }


def _word(word: ConsentWord) -> dict[str, Any]:
    return {"purpose": word.purpose, "granted": word.granted, "at": word.at, "source": word.source, "recorded_by": word.recorded_by}
