"""What the provider said: an answer to a send, a delivery report, a look-up of a send whose answer was lost.

Called after a send, by the status webhook and by the loop behind it. What must stay true: a result counts only under the token it was
sent with; a text that may have left is looked up, never sent again.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from services.notification import store
from services.notification.domain import notice as rules
from services.notification.domain.judge import ConsentWord
from services.notification.domain.notice import LEASE, LOOK_EVERY, LOOKS_MAX, OPTED_OUT_AT_PROVIDER, RANKS, Notice
from services.notification.gateway import Accepted, Ambiguous, Answer, Look, NotSent, Refused
from services.notification.store.notices import Row
from services.notification.store.people import Conversation
from services.notification.usecases.desk import Desk, patient_key_of
from services.notification.usecases.instead import fall_back
from shared.contracts.notices import ConsentRecorded
from shared.kernel.clock import machine_now
from shared.kernel.decision import Decision
from shared.kernel.errors import Rejected, Transient
from shared.kernel.ids import new_id
from shared.messaging import Transaction
from shared.telemetry import logs
from shared.vault import Unreadable

WATCH_SECONDS: Final = 2.0
_AT_ONCE: Final = 50
_log = logs.get("notification")


@dataclass(frozen=True, slots=True)
class Report:
    """A delivery report; `notice_id` is what the callback's address carries, None where it carries none of ours."""

    sid: str
    status: str
    error_code: str | None = None
    notice_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """What the provider answered to the sender of a text under `token`."""

    notice_id: UUID
    token: int
    answer: Answer


async def record(desk: Desk, given: Sequence[Given]) -> list[None]:
    """Write the provider's answers, each if it is still its sender's turn."""
    async with desk.engine.transaction() as tx:
        texts, numbers = await _locked(tx, [one.notice_id for one in given])
        sent = [(one, texts[one.notice_id]) for one in given if one.notice_id in texts]
        current = [(one.answer, rows) for one, rows in sent if rows[0].notice.token == one.token]
        await _accepted(desk, tx, [(answer, rows) for answer, rows in current if isinstance(answer, Accepted)], numbers)
        for answer, rows in current:
            if not isinstance(answer, Accepted):
                await _not_accepted(desk, tx, rows, answer)
    return [None] * len(given)


async def _not_accepted(desk: Desk, tx: Transaction, rows: Sequence[Row], answer: Refused | NotSent | Ambiguous) -> None:
    carrier = rows[0].notice
    match answer:
        case Refused(code, _, is_busy) if not is_busy:
            await _each(desk, tx, rows, lambda n: rules.refused(n, _reason(code), tx.now) if n.status == "sending" else Decision(n))
            if code == OPTED_OUT_AT_PROVIDER:
                await opt_out(desk, tx, carrier.number_index, "provider 21610")
        case NotSent() | Refused():
            pause = timedelta(seconds=2 ** min(carrier.tries + 1, 8))
            await _each(desk, tx, rows, lambda n: rules.again(n, tx.now, pause) if n.status == "sending" else Decision(n))
        case Ambiguous():
            await store.notices.lease(tx.conn, carrier.notice_id, machine_now() + LOOK_EVERY, 0)


async def report(desk: Desk, tx: Transaction, said: Report) -> None:
    """A delivery report: forward only, each kind once; one for a message not known yet waits for it."""
    if said.status not in RANKS:
        raise Rejected("invalid-status", "This is no status of a message.", pointer="/MessageStatus")
    notice_id = await store.notices.by_sid(tx.conn, said.sid) or said.notice_id
    texts, numbers = await _locked(tx, [notice_id] if notice_id else [])
    rows = texts.get(notice_id, []) if notice_id else []
    if rows and rows[0].provider_sid not in (None, said.sid):
        rows = []
    if not await store.traffic.keep_callback(tx.conn, said.sid, said.status, said.notice_id, said.error_code, applied=bool(rows)):
        return
    if rows:
        await _each(desk, tx, rows, lambda n: rules.reported(n, said.status, _code(said.error_code), tx.now), said.sid)
        await _remember(desk, tx, [rows[0].notice], numbers)
        if said.error_code == OPTED_OUT_AT_PROVIDER:
            await opt_out(desk, tx, rows[0].notice.number_index, "provider 21610")


async def watch(desk: Desk) -> None:
    """For ever: what was not answered within its lease is taken back where nothing left, and looked up where something may have.

    What was about to leave before this process began is taken back at once: most likely its sender ended with the process before. Where it
    lives, its token tells it that it is no longer its turn.
    """
    began = machine_now()
    while True:
        try:
            await look_at_silent(desk, began)
        except Transient as error:
            _log.warning("the silent sends wait", exc_info=error)
        await asyncio.sleep(WATCH_SECONDS)


async def look_at_silent(desk: Desk, began: datetime | None = None) -> int:
    """One round of `watch`, by a process that `began` then (machine time); how many sends it found."""
    looks: list[Row] = []
    async with desk.engine.transaction() as tx:
        silent = await store.notices.expired(tx.conn, machine_now(), _AT_ONCE, never_left_before=began and began + LEASE)
        for row in silent:
            if row.left_at is None:
                rows = await store.notices.lock_sent(tx.conn, [row.notice.notice_id])
                await _each(desk, tx, rows[row.notice.notice_id], lambda n: rules.taken_back(n, tx.now))
                continue
            looks.append(row)
            await store.notices.lease(tx.conn, row.notice.notice_id, machine_now() + LOOK_EVERY, row.notice.looks + 1)
    for row in looks:
        await _look(desk, row)
    return len(silent)


async def _look(desk: Desk, row: Row) -> None:
    found = await _ask(desk, row)
    async with desk.engine.transaction() as tx:
        texts, numbers = await _locked(tx, [row.notice.notice_id])
        rows = texts.get(row.notice.notice_id)
        if not rows or rows[0].notice.token != row.notice.token or rows[0].notice.status != "sending":
            return
        if isinstance(found, Accepted):
            await _accepted(desk, tx, [(found, rows)], numbers)
        elif row.notice.looks + 1 >= LOOKS_MAX:
            await _each(desk, tx, rows, lambda n: rules.unclear(n, tx.now))


async def _ask(desk: Desk, row: Row) -> Look:
    async with desk.engine.pool.acquire(timeout=10) as conn:
        patients = await store.people.patients(conn, [row.notice.patient_ref])
        known = await store.notices.other_sids(conn, row.notice.number_index or "", row.notice.notice_id)
    patient = patient_key_of(row.notice, patients)
    try:
        number = desk.open(patient, row.to_number or b"", row.notice.notice_id, "to_number")
        body = desk.open(patient, row.body or b"", row.notice.notice_id, "body")
    except Unreadable:
        return Ambiguous("erased")
    return await desk.gateway_of(row.notice.channel).look(number, body, row.left_at or machine_now(), known)


async def _accepted(
    desk: Desk, tx: Transaction, texts: Sequence[tuple[Accepted, Sequence[Row]]], numbers: Mapping[str, Conversation]
) -> None:
    """The provider took these texts, each with all it tells; reports that came before count now."""
    if not texts:
        return
    reports = await store.traffic.waiting_callbacks(tx.conn, [answer.sid for answer, _ in texts])
    states = []
    for answer, rows in texts:
        for row in rows:
            decision = rules.accepted(row.notice, tx.now, answer.status)
            for later, code in sorted(reports.get(answer.sid, ()), key=lambda r: RANKS[r[0]]):
                further = rules.reported(decision.state, later, _code(code), tx.now)
                decision = Decision(further.state, decision.events + further.events)
            tx.apply(decision, cause=row)
            states.append(decision.state)
    await store.notices.save_known(tx.conn, states, {rows[0].notice.notice_id: answer.sid for answer, rows in texts})
    await _remember(desk, tx, [rows[0].notice for _, rows in texts], numbers)
    for answer, rows in texts:
        if any(code == OPTED_OUT_AT_PROVIDER for _, code in reports.get(answer.sid, ())):
            await opt_out(desk, tx, rows[0].notice.number_index, "provider 21610")


async def _locked(tx: Transaction, notice_ids: Sequence[UUID]) -> tuple[dict[UUID, list[Row]], dict[str, Conversation]]:
    """Texts, each with all it tells, locked after their numbers, as everywhere; and these."""
    if not notice_ids:
        return {}, {}
    numbers = await store.people.conversations(tx.conn, await store.notices.numbers_of(tx.conn, notice_ids), locked=True)
    return await store.notices.lock_sent(tx.conn, notice_ids), numbers


async def _each(
    desk: Desk, tx: Transaction, rows: Sequence[Row], decide: Callable[[Notice], Decision[Notice]], sid: str | None = None
) -> None:
    """The same for a text, which the provider knows as `sid` where it told, and for everything it tells."""
    states = []
    for row in rows:
        decision = decide(row.notice)
        tx.apply(decision, cause=row)
        states.append(decision.state)
    await store.notices.save_known(tx.conn, states, {rows[0].notice.notice_id: sid} if sid else {})
    await fall_back(desk, tx, states)


async def _remember(desk: Desk, tx: Transaction, carriers: Sequence[Notice], numbers: Mapping[str, Conversation]) -> None:
    """The conversations (`numbers`, locked) after texts left: each has said how to stop, and the next answer is about this case."""
    known = dict(numbers)
    for carrier in carriers:
        if carrier.number_index is None:
            continue
        conversation = known[carrier.number_index]
        last = carrier.case_id if carrier.audience == "patient" and carrier.case_id else conversation.last_case_id
        first = conversation.first_texted_at or (None if desk.words[carrier.template].is_answer else tx.now)
        known[carrier.number_index] = replace(conversation, last_case_id=last, first_texted_at=first)
    await store.people.save_conversations(tx.conn, [now for index, now in known.items() if now != numbers[index]])


async def opt_out(desk: Desk, tx: Transaction, number_index: str | None, source: str) -> list[str]:
    """The number hears no more from us: everything that waits for it is withheld, and everybody who shares it is recorded so."""
    if number_index is None:
        return []
    conversation = (await store.people.conversations(tx.conn, [number_index], locked=True))[number_index]
    if conversation.opted_out_at is None:
        await store.people.save_conversations(tx.conn, [replace(conversation, opted_out_at=tx.now)])
    waiting = [r for r in await store.notices.lock_waiting_for(tx.conn, number_index) if not desk.words[r.notice.template].is_for_stopped]
    await _each(desk, tx, waiting, lambda n: rules.withheld(n, "opted-out", tx.now))
    return await said_of_number(tx, number_index, granted=False, source=source)


async def said_of_number(tx: Transaction, number_index: str, *, granted: bool, source: str) -> list[str]:
    """Record an opt-out or its end for everybody who shares the number, and return who that is."""
    refs = await store.people.sharing(tx.conn, number_index)
    await store.people.add_consents(tx.conn, [ConsentWord(ref, "all", granted, tx.now, source, "notification") for ref in refs])
    everybody: list[str | None] = [*refs] or [None]
    for ref in everybody:
        tx.say(ConsentRecorded(consent_id=new_id(), at=tx.now, patient_ref=ref, purpose="all", granted=granted, source=source))
    return refs


def _reason(code: str) -> str:
    return "opted-out" if code == OPTED_OUT_AT_PROVIDER else f"provider-{code}"


def _code(error_code: str | None) -> str | None:
    return _reason(error_code) if error_code else None
