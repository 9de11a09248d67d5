"""A notice: one message to one person, from the wish to its delivery.

Called by every use case. Invariant: its status only moves forward, and it leaves at most once: what may have left is never sent again,
only looked up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from shared.contracts.notices import (
    NoticeDelivered,
    NoticeFailed,
    NoticeQueued,
    NoticeSent,
    NoticeUncertain,
    NoticeWithheld,
)
from shared.kernel.decision import Cancel, Decision, Schedule

TIMER = "notice"
Channel = Literal["text", "email", "webhook"]
Status = Literal["queued", "held", "sending", "sent", "delivered", "undelivered", "failed", "withheld", "uncertain"]
WAITING: frozenset[str] = frozenset({"queued", "held"})

# The provider's statuses by how far along they are; a callback that is not further changes nothing.
RANKS = {
    "accepted": 10, "scheduled": 10, "queued": 20, "sending": 30, "sent": 40, "undelivered": 50, "failed": 50, "canceled": 50,
    "delivered": 60, "partially_delivered": 60, "read": 70,
}  # fmt: skip
# Machine time: how long a sender may be silent, and then between two look-ups of a text that may have left.
LEASE = timedelta(seconds=60)
LOOKS_MAX = 3
LOOK_EVERY = timedelta(seconds=40)
TRIES_MAX = 8
# A page by another channel is a text after so many tries: somebody waits for it.
OTHER_TRIES_MAX = 4
# Why there is nowhere to send it to.
NOWHERE: Mapping[Channel, str] = {"text": "no-phone", "email": "no-email", "webhook": "no-webhook"}
OPTED_OUT_AT_PROVIDER = "21610"


@dataclass(frozen=True, slots=True)
class Notice:
    """`facts` are what the words are made from, without personal data; `token` fences the sender; `lease_until` is machine time;
    `channel` is what it leaves by.

    `storm_size`: how many pages of the storm `storm_id` its person gets; 0 where it belongs to none.
    """

    notice_id: UUID
    case_id: UUID | None
    audience: Literal["patient", "staff"]
    template: str
    cause: str
    recipient: str
    queued_at: datetime
    send_at: datetime
    status: Status = "queued"
    reason: str | None = None
    staff_id: str | None = None
    patient_ref: str | None = None
    number_index: str | None = None
    generation: int | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    is_answer: bool = False
    typed_by: str | None = None
    carried_by: UUID | None = None
    segments: int = 1
    attempt: int = 1
    token: int = 0
    tries: int = 0
    looks: int = 0
    rank: int = 0
    sent_at: datetime | None = None
    version: int = 1
    storm_id: UUID | None = None
    storm_size: int = 0
    channel: Channel = "text"

    def after(self, **changes: object) -> "Notice":
        """The notice one version on."""
        return replace(self, version=self.version + 1, **changes)  # type: ignore[arg-type]


def queued(notice: Notice, *, is_leaving: bool = False) -> Decision[Notice]:
    """A new notice that waits for its time. One that `is_leaving` in the same transaction needs no timer."""
    timers = () if is_leaving else (_timer(notice),)
    return Decision(notice, (NoticeQueued(send_at=notice.send_at, **_common(notice, notice.queued_at)),), timers)


def withheld(notice: Notice, reason: str, now: datetime, *, is_new: bool = False) -> Decision[Notice]:
    """It will not be sent, and says why. Nothing where it has left already."""
    if notice.status not in WAITING:
        return Decision(notice)
    after = replace(notice, status="withheld", reason=reason) if is_new else notice.after(status="withheld", reason=reason)
    timers = () if is_new else (Cancel(TIMER, str(notice.notice_id), reason),)
    return Decision(after, (NoticeWithheld(reason=reason, **_common(after, now)),), timers)


def held(notice: Notice, until: datetime, reason: str, now: datetime) -> Decision[Notice]:
    """It waits until `until`, under a timer of the next generation; once there, everything is looked at again."""
    after = notice.after(status="held", reason=reason, send_at=until, attempt=notice.attempt + 1, carried_by=None)
    return Decision(after, (NoticeQueued(send_at=until, **_common(after, now)),), (_timer(after),))


def gathered(notice: Notice, now: datetime) -> Decision[Notice]:
    """The last page of its storm has been heard: it waits no longer."""
    after = notice.after(status="queued", reason=None, send_at=now, attempt=notice.attempt + 1)
    timers = (Cancel(TIMER, str(notice.notice_id), "gathered", "send", notice.attempt), _timer(after))
    return Decision(after, (NoticeQueued(send_at=now, **_common(after, now)),), timers)


def leaving(notice: Notice, segments: int, carried_by: UUID | None) -> Decision[Notice]:
    """The intent to send it, under a new token; committed before the provider hears of it."""
    after = notice.after(
        status="sending", reason=None, segments=0 if carried_by else segments, carried_by=carried_by, token=notice.token + 1
    )
    return Decision(after)


def accepted(notice: Notice, at: datetime, provider_status: str = "queued") -> Decision[Notice]:
    """The provider took it: it is sent. What the provider said since may be more."""
    if notice.status in ("sending", "uncertain"):
        after = notice.after(status="sent", reason=None, sent_at=at, rank=max(notice.rank, RANKS["queued"]))
        sent = Decision(after, (NoticeSent(**_common(after, at)),))
        further = reported(after, provider_status, None, at)
        return Decision(further.state, sent.events + further.events)
    return reported(notice, provider_status, None, at)


def reported(notice: Notice, provider_status: str, code: str | None, at: datetime) -> Decision[Notice]:
    """What the provider said became of it. Forward only: late, doubled and reordered reports change nothing."""
    rank = RANKS.get(provider_status, 0)
    if rank <= notice.rank or notice.status not in ("sending", "sent", "uncertain", "undelivered", "failed"):
        return Decision(notice)
    if notice.status in ("sending", "uncertain"):
        return _settled(notice, provider_status, code, at)
    moved = notice.after(rank=rank)
    if rank >= RANKS["delivered"]:
        moved = replace(moved, status="delivered", reason=None)
        return Decision(moved, (NoticeDelivered(**_common(moved, at)),))
    if rank == RANKS["failed"]:
        reason = code or provider_status
        status: Status = "undelivered" if provider_status == "undelivered" else "failed"
        moved = replace(moved, status=status, reason=reason)
        return Decision(moved, (NoticeFailed(reason=reason, **_common(moved, at)),))
    return Decision(replace(moved, version=notice.version))


def _settled(notice: Notice, provider_status: str, code: str | None, at: datetime) -> Decision[Notice]:
    """A report for a send whose answer was lost settles it."""
    sent = notice.after(status="sent", reason=None, sent_at=at, rank=min(RANKS["sent"], RANKS[provider_status]))
    further = reported(sent, provider_status, code, at)
    return Decision(further.state, (NoticeSent(**_common(sent, at)), *further.events))


def refused(notice: Notice, code: str, at: datetime) -> Decision[Notice]:
    """The provider clearly said no."""
    after = notice.after(status="failed", reason=code, rank=RANKS["failed"])
    return Decision(after, (NoticeFailed(reason=code, **_common(after, at)),))


def again(notice: Notice, now: datetime, delay: timedelta = timedelta(0)) -> Decision[Notice]:
    """The provider took nothing: it waits for its time once more; after `TRIES_MAX` (by another channel `OTHER_TRIES_MAX`) it failed."""
    if notice.tries + 1 >= (TRIES_MAX if notice.channel == "text" else OTHER_TRIES_MAX):
        return refused(notice, "provider-unreachable", now)
    return taken_back(replace(notice, tries=notice.tries + 1), now + delay)


def taken_back(notice: Notice, at: datetime) -> Decision[Notice]:
    """Its sender is gone and nothing left us: it waits until `at`, and that was no try."""
    after = notice.after(status="queued", send_at=at, attempt=notice.attempt + 1, carried_by=None)
    return Decision(after, (), (_timer(after),))


def unclear(notice: Notice, at: datetime) -> Decision[Notice]:
    """Neither the answer nor the look-ups tell: a person looks at it, nothing sends it again."""
    after = notice.after(status="uncertain", reason="no-answer-from-provider")
    return Decision(after, (NoticeUncertain(reason="no-answer-from-provider", **_common(after, at)),))


def needs_text(notice: Notice) -> bool:
    """Whether a page by another channel did not get there, or nobody knows, so that its person is texted instead."""
    failed = notice.status in ("failed", "undelivered", "uncertain")
    return notice.channel != "text" and (failed or (notice.status == "withheld" and notice.reason == NOWHERE[notice.channel]))


def instead(page: Notice, notice_id: UUID, number_index: str | None, now: datetime) -> Notice:
    """The text that takes the place of a page, for the same cause: where one left for it already, this is none."""
    return Notice(
        notice_id, page.case_id, page.audience, page.template, page.cause, f"staff:{page.staff_id}", now, now, staff_id=page.staff_id,
        number_index=number_index, generation=page.generation, facts={**page.facts, "instead_of": page.channel},
    )  # fmt: skip


def _timer(notice: Notice) -> Schedule:
    return Schedule(TIMER, str(notice.notice_id), "send", notice.attempt, notice.send_at)


def _common(notice: Notice, at: datetime) -> dict[str, object]:
    return {
        "notice_id": notice.notice_id,
        "case_id": notice.case_id,
        "at": at,
        "audience": notice.audience,
        "channel": notice.channel,
        "template": notice.template,
        "staff_id": notice.staff_id,
        "patient_ref": notice.patient_ref,
        "segments": notice.segments,
        "typed_by": notice.typed_by,
        "version": notice.version,
    }
