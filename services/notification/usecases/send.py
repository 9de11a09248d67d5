"""A notice's time has come: look at everything again, write the intent, commit, then hand it to the provider, then write what it said.

Called by the timers, and by the use case that queued what is due at once, in its transaction. What must stay true: the provider is
called outside any transaction, under a lease and a token; before the first byte leaves, that it does is written down, so that a crash
tells apart what never left from what may have.
"""

import asyncio
import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

from services.notification import store
from services.notification.domain import notice as rules
from services.notification.domain.judge import Go, Wait, judge, may_merge
from services.notification.domain.notice import LEASE, TIMER, WAITING, Channel, Notice
from services.notification.domain.templates import SEGMENTS_MAX, Setting, compose, letter, several
from services.notification.domain.words import segment
from services.notification.store.notices import Row, Sealed
from services.notification.store.people import Conversation
from services.notification.store.traffic import Link
from services.notification.usecases.desk import Desk, patient_key_of
from services.notification.usecases.instead import fall_back
from services.notification.usecases.recipients import Directory, left_by_now, look_up
from services.notification.usecases.results import Given, record
from shared import timers
from shared.contracts.notices import LinkIssued
from shared.kernel.clock import machine_now
from shared.kernel.decision import Cancel, Decision
from shared.kernel.errors import Unready
from shared.kernel.ids import new_id
from shared.messaging import Transaction
from shared.messaging.together import Together
from shared.telemetry import traces
from shared.telemetry.traces import Traced
from shared.timers import Due
from shared.vault import Unreadable

# Of the facts of a page, those that a webhook tells.
POSTED: Final = ("reference", "catalyst", "severity", "level", "by")
# What waits for a provider to be set is looked at this often (business time).
LOOKS_AGAIN: Final = timedelta(minutes=15)
LINK_LIVES: Final = timedelta(days=60)
# 22 characters of base64, 128 random bits.
LINK_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A text about to leave, in memory only. `is_for_stopped`: it may go to a number that opted out."""

    notice_id: UUID
    token: int
    channel: Channel
    number: str
    text: str
    is_for_stopped: bool
    traceparent: str | None


async def send_due(desk: Desk, tx: Transaction, due: Sequence[Due]) -> None:
    """Judge what woke; what may leave is composed, merged per person and case, and handed over after the commit."""
    ids = [UUID(d.subject) for d in due]
    # Numbers before notices, here as everywhere: an answer STOP waits for this, or this for it, and neither dies of the other.
    conversations = await store.people.conversations(tx.conn, await store.notices.numbers_of(tx.conn, ids), locked=True)
    rows = {row.notice.notice_id: row for row in await store.notices.lock_waking(tx.conn, ids, tx.now)}
    fired = {(UUID(d.subject), d.generation): d for d in await timers.fire(tx, due)}
    awake = {
        i: fired[i, row.notice.attempt] for i, row in rows.items() if row.notice.status in WAITING and (i, row.notice.attempt) in fired
    }
    known = await _read(desk, tx, _waiting(rows), conversations)
    await _leave(desk, tx, known, rows, awake)


async def send_new(desk: Desk, tx: Transaction, known: Directory, leaving: Mapping[UUID, Traced]) -> None:
    """The same for what was queued in this transaction and has no timer; its numbers are locked. `leaving`: what made us say it.

    `known` was read before they were, so what left to them meanwhile is read again.
    """
    if not leaving:
        return
    rows = {row.notice.notice_id: row for row in await store.notices.lock_waking(tx.conn, sorted(leaving), tx.now)}
    awake = {i: cause for i, cause in leaving.items() if rows[i].notice.status in WAITING}
    waiting = _waiting(rows)
    if rows.keys() <= leaving.keys():
        known = await left_by_now(known, tx.conn, waiting, tx.now)
    else:
        known = await _read(desk, tx, waiting, known.conversations)
    await _leave(desk, tx, known, rows, awake)


def _waiting(rows: Mapping[UUID, Row]) -> list[Notice]:
    return [row.notice for row in rows.values() if row.notice.status in WAITING]


async def _leave(desk: Desk, tx: Transaction, known: Directory, rows: dict[UUID, Row], awake: Mapping[UUID, Traced]) -> None:
    """Judge what waits; what may leave is composed, merged with what is `awake`, and handed over after the commit."""
    waiting = _waiting(rows)
    numbers = {n.notice_id: number for n in waiting if (number := _number(known, rows[n.notice_id], n)) is not None}
    going: list[Notice] = []
    staying: list[Notice] = []
    for notice in waiting:
        status = known.cases[notice.case_id].status if notice.case_id is not None and notice.case_id in known.cases else None
        recipient = known.recipient(notice, numbers.get(notice.notice_id))
        verdict = judge(notice, desk.words[notice.template], status, recipient, desk.rules, tx.now)
        if isinstance(verdict, Go) and notice.channel == "text" and not desk.has_provider:
            verdict = Wait(tx.now + LOOKS_AGAIN, "no-provider")
        if isinstance(verdict, Go):
            going.append(notice)
        elif notice.notice_id in awake:
            decision = (
                rules.held(notice, verdict.until, verdict.reason, tx.now)
                if isinstance(verdict, Wait)
                else rules.withheld(notice, verdict.reason, tx.now)
            )
            tx.apply(decision, cause=awake[notice.notice_id])
            staying.append(decision.state)
    await store.notices.save(tx.conn, staying)
    await fall_back(desk, tx, staying)
    groups = [group for group in may_merge(going) if any(n.notice_id in awake for n in group)]
    await _depart(desk, tx, known, rows, groups, numbers, awake)


async def _read(desk: Desk, tx: Transaction, waiting: Sequence[Notice], conversations: Mapping[str, Conversation]) -> Directory:
    cases = await store.people.cases(tx.conn, {n.case_id for n in waiting if n.case_id})
    known = await look_up(desk, tx.conn, cases, [n.staff_id for n in waiting if n.staff_id], [n.patient_ref for n in waiting], tx.now)
    return replace(known, conversations={**known.conversations, **conversations})


def _number(known: Directory, row: Row, notice: Notice) -> str | None:
    if row.to_number is not None and notice.staff_id is None and notice.patient_ref is None:
        return known.desk.open(None, row.to_number, notice.notice_id, "to_number")
    try:
        return known.number(notice)
    except Unready:
        return None


async def _depart(
    desk: Desk,
    tx: Transaction,
    known: Directory,
    rows: dict[UUID, Row],
    groups: Sequence[Sequence[Notice]],
    numbers: dict[UUID, str],
    awake: Mapping[UUID, Traced],
) -> None:
    """Write the intents of these texts and hand them over once that is committed."""
    outgoing: list[Outgoing] = []
    intents: list[tuple[Notice, Sealed]] = []
    links: list[Link] = []
    lease_until = machine_now() + LEASE
    for group in groups:
        for told, text, link in _texts(known, rows, group, tx.now):
            carrier = told[0]
            parts = segment(text)[1] if carrier.channel == "text" else 1
            # What was merged and had not woken itself goes on in the trace of one that did.
            wakers = [awake[n.notice_id] for n in (carrier, *told) if n.notice_id in awake]
            trace = tx.trace_of(next(iter(wakers), None))
            for notice in told:
                decision = rules.leaving(notice, parts, None if notice is carrier else carrier.notice_id)
                if notice.notice_id not in awake:
                    tx.apply(Decision(notice, (), (Cancel(TIMER, str(notice.notice_id), "merged"),)))
                patient = patient_key_of(notice, known.patients)
                number = numbers[notice.notice_id]
                sealed = Sealed(
                    desk.seal(patient, text, notice.notice_id, "body"),
                    desk.seal(patient, number, notice.notice_id, "to_number"),
                    lease_until,
                    trace,
                )
                intents.append((decision.state, sealed))
            if link is not None:
                links.append(link)
            is_for_stopped = desk.words[carrier.template].is_for_stopped
            to = numbers[carrier.notice_id]
            outgoing.append(Outgoing(carrier.notice_id, carrier.token + 1, carrier.channel, to, text, is_for_stopped, trace))
    await store.notices.intend(tx.conn, intents)
    await store.traffic.add_links(tx.conn, links)
    for link in links:
        tx.say(
            LinkIssued(
                link_id=link.link_id, case_id=link.case_id, token_hash=link.token_hash, at=link.issued_at, expires_at=link.expires_at
            )
        )
    if outgoing:
        tx.after_commit(partial(hand_over, desk, outgoing))


def _texts(known: Directory, rows: dict[UUID, Row], group: Sequence[Notice], now: datetime) -> list[tuple[list[Notice], str, Link | None]]:
    """A group as texts: one where it fits into two parts, else one each."""
    told = sorted(group, key=lambda n: rows[n.notice_id].seq)
    text, link = _text(known, rows, told, now)
    if told[0].channel == "webhook":
        return [(told, _posted(known, told[0], text, now), None)]
    if told[0].channel == "email":
        references = list(dict.fromkeys(n.facts["reference"] for n in told if "reference" in n.facts))
        return [(told, letter(known.desk.words, text, references, known.desk.pages_url), None)]
    if len(told) > 1 and segment(text)[1] > SEGMENTS_MAX:
        return [([one], *_text(known, rows, [one], now)) for one in told]
    return [(told, text, link)]


def _posted(known: Directory, page: Notice, text: str, now: datetime) -> str:
    """A page as a webhook: what happened, when, and about which case; no word of a patient."""
    case = known.cases.get(page.case_id) if page.case_id is not None else None
    data = {
        "notice_id": str(page.notice_id),
        "case_id": str(page.case_id) if page.case_id else None,
        "staff_id": page.staff_id,
        "template": page.template,
        "location_id": case.location_id if case else None,
        "status": case.status if case else None,
        "url": f"{known.desk.pages_url}/cases/{page.facts.get('reference', page.case_id)}",
        "text": text,
        **{name: page.facts[name] for name in POSTED if name in page.facts},
    }
    return json.dumps({"type": f"amends.page.{page.template}", "timestamp": now.isoformat(), "data": data}, separators=(",", ":"))


def _text(known: Directory, rows: dict[UUID, Row], told: Sequence[Notice], now: datetime) -> tuple[str, Link | None]:
    desk, first = known.desk, told[0]
    zone, _ = known.zone_and_state(first)
    conversation = known.conversations.get(first.number_index or "")
    is_first = conversation is None or conversation.first_texted_at is None
    if first.audience == "staff" and len(told) > 1:
        references = list(dict.fromkeys(n.facts["reference"] for n in told if "reference" in n.facts))
        if len(references) > 1:
            return several(desk.words, references, Setting(desk.programme, zone)), None
        told = told[-1:]
    link, secret = _link(first, now) if first.case_id and any(desk.words[n.template].has_link for n in told) else (None, None)
    page = f"{desk.pages_url}/p/{secret}" if secret else None
    setting = Setting(desk.programme, zone, page, is_first, known.may_name_amounts(first))
    return compose(desk.words, [(n.template, _facts(desk, known, rows[n.notice_id])) for n in told], setting), link


def _facts(desk: Desk, known: Directory, row: Row) -> dict[str, str]:
    facts = dict(row.notice.facts)
    if row.notice.typed_by is not None and row.body is not None:
        try:
            facts["words"] = desk.open(patient_key_of(row.notice, known.patients), row.body, row.notice.notice_id, "body")
        except Unreadable:
            facts["words"] = ""
    return facts


def _link(notice: Notice, now: datetime) -> tuple[Link, str]:
    assert notice.case_id is not None
    secret = secrets.token_urlsafe(LINK_BYTES)
    token_hash = hashlib.sha256(secret.encode()).hexdigest()
    return Link(new_id(), notice.case_id, notice.notice_id, token_hash, now, now + LINK_LIVES), secret


async def hand_over(desk: Desk, outgoing: Sequence[Outgoing]) -> None:
    """Call the provider for each, a few at a time; those that start or end together share a transaction."""
    may_go, answered = Together(partial(_let_go, desk)), Together(partial(record, desk))
    await asyncio.gather(*(_hand_over(desk, text, may_go, answered) for text in outgoing))


async def _hand_over(desk: Desk, text: Outgoing, may_go: Together[Outgoing, bool], answered: Together[Given, None]) -> None:
    with traces.attached(text.traceparent):
        await _send(desk, text, may_go, answered)


async def _send(desk: Desk, text: Outgoing, may_go: Together[Outgoing, bool], answered: Together[Given, None]) -> None:
    async with desk.lanes:
        if not await may_go(text):
            return
        answer = await desk.gateway_of(text.channel).send(text.number, text.text, text.notice_id)
    await answered(Given(text.notice_id, text.token, answer))


async def _let_go(desk: Desk, texts: Sequence[Outgoing]) -> list[bool]:
    going = await store.notices.let_go(desk.engine.pool, [(t.notice_id, t.token, t.is_for_stopped) for t in texts], machine_now())
    return [text.notice_id in going for text in texts]
