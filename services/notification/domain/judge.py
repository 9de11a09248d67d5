"""May this text leave now? Asked when it is wished for, and again each time it wakes.

Called by the queueing and the sending use case. Invariant: consent, opt-out, the case's state and the window are judged on what is
known at that moment; the answer is send, wait until, or withhold with a reason, never silence.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.notification.domain.hear import FRESH
from services.notification.domain.notice import NOWHERE, Notice
from services.notification.domain.templates import Template
from services.notification.domain.window import Rules, free_at, opens_at


@dataclass(frozen=True, slots=True)
class ConsentWord:
    """One word on consent with its proof: `source` says how it came, `recorded_by` who wrote it down."""

    patient_ref: str
    purpose: str
    granted: bool
    at: datetime
    source: str
    recorded_by: str


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who is to be texted, as known now. `consents`: the newest word per purpose. `sent_at`: texts of the last week that count; for staff,
    those of the last minute that crowd this one."""

    number: str | None
    has_opted_out: bool = False
    consents: frozenset[str] = frozenset()
    refusals: frozenset[str] = frozenset()
    zones: tuple[str, ...] = ()
    state: str | None = None
    sent_at: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """A text that left to a member of staff: when, about which case (the first, where it lists several), under which template."""

    at: datetime
    case_id: UUID | None
    template: str


@dataclass(frozen=True, slots=True)
class Go:
    """It leaves now."""


@dataclass(frozen=True, slots=True)
class Wait:
    """It waits until `until` (UTC, business time)."""

    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Withhold:
    """It does not leave."""

    reason: str


Verdict = Go | Wait | Withhold


def judge(notice: Notice, template: Template, case_status: str | None, to: Recipient, rules: Rules, now: datetime) -> Verdict:
    """The verdict on one notice at `now` (business time, UTC)."""
    if to.number is None:
        return Withhold(NOWHERE[notice.channel])
    if to.has_opted_out and not template.is_for_stopped:
        return Withhold("opted-out")
    if template.while_status and case_status is not None and case_status not in template.while_status:
        return Withhold(f"case-{case_status}")
    if now - notice.queued_at > template.stale_after or _is_over(notice, template, now):
        return Withhold("stale")
    if template.is_answer:
        return Go()
    if notice.audience == "staff":
        return _gathers(notice, template, to, now)
    if "care" in to.refusals:
        return Withhold("no-consent")
    if notice.is_answer and notice.template in _RECEIPTS and now - notice.queued_at <= FRESH:
        return Go()
    return _within_hours_and_counts(notice, to, rules, now)


def _is_over(notice: Notice, template: Template, now: datetime) -> bool:
    """The time that it tells of has come: by night or by count it waited too long."""
    ends_at = notice.facts.get(template.until) if template.until else None
    return ends_at is not None and now >= datetime.fromisoformat(ends_at)


def current(consents: Iterable[ConsentWord]) -> tuple[frozenset[str], frozenset[str]]:
    """The purposes agreed to and those refused, by the newest word on each; of two at the same instant the refusal counts."""
    newest: dict[str, ConsentWord] = {}
    for consent in sorted(consents, key=lambda c: (c.at, not c.granted)):
        newest[consent.purpose] = consent
    return (
        frozenset(p for p, c in newest.items() if c.granted),
        frozenset(p for p, c in newest.items() if not c.granted),
    )


def may_merge(notices: Sequence[Notice]) -> list[list[Notice]]:
    """Notices that leave now, as texts: a patient's about one case become one, a person's pages one; what a person typed goes alone."""
    groups: dict[object, list[Notice]] = {}
    for notice in notices:
        alone = notice.typed_by is not None or notice.number_index is None or notice.template in _ALONE
        key: object = notice.notice_id if alone else (notice.number_index, notice.audience, notice.audience == "patient" and notice.case_id)
        groups.setdefault(key, []).append(notice)
    return list(groups.values())


# What asks somebody to take a case.
PAGES = frozenset({"page", "page_again", "assigned"})
# Who was texted just now is not texted again for this long: what comes meanwhile leaves as one text. Business time.
GATHERS = timedelta(seconds=60)
STORM = "storm"


def _gathers(notice: Notice, template: Template, to: Recipient, now: datetime) -> Verdict:
    """Staff pages know neither window nor cap, yet many at a time are one: after `gather_after` texts within a minute (one, in a storm) the
    next waits until the minute after the last is over, and goes with all that came by then."""
    recent = [at for at in to.sent_at if at > now - GATHERS]
    most = 1 if notice.storm_size else template.gather_after
    return Wait(max(recent) + GATHERS, STORM) if most and len(recent) >= most else Go()


def crowding(notice: Notice, texts: Iterable[Told]) -> tuple[datetime, ...]:
    """When the texts left that make a page part of a crowd: those about other cases, which ask to be taken where it does."""
    asks = notice.template in PAGES
    return tuple(text.at for text in texts if text.case_id != notice.case_id and (text.template in PAGES or not asks))


_RECEIPTS = frozenset({"receipt", "attached"})
_ALONE = frozenset({"ack_list", "ack_none", "which_case", "stopped", "started", "help"})


def _within_hours_and_counts(notice: Notice, to: Recipient, rules: Rules, now: datetime) -> Verdict:
    window = rules.window_of(to.state)
    at, reason = now, "texting-window"
    if not notice.is_answer:
        free = free_at(now, to.sent_at, rules, has_consent="care" in to.consents)
        at, reason = (free, "cadence") if free > now else (now, reason)
    opening = opens_at(at, to.zones, window)
    if opening is None:
        # A window nobody is ever inside of: nothing leaves, and it is looked at again in case it is put right.
        return Wait(now + timedelta(hours=1), "no-window")
    return Go() if opening == now else Wait(opening, reason)
