"""Notices, as notification tells them: what became of each message, and what an answer meant. No words, no numbers."""

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from shared.contracts.envelope import Event

NOTICES = "amends.notices.v1"

Audience = Literal["patient", "staff"]
ReplyKind = Literal["acknowledge", "message", "stop", "start", "help", "choice"]


class NoticeEvent(Event):
    """What every event of a notice carries. `case_id` is None for an answer (to STOP, HELP) that belongs to no case."""

    topic: ClassVar[str] = NOTICES
    notice_id: UUID
    case_id: UUID | None = None
    at: datetime
    audience: Audience
    channel: Literal["text", "email", "webhook"] = "text"
    template: str
    staff_id: str | None = None
    patient_ref: str | None = None
    segments: int = 1
    # A person wrote these words: once delivered they meet the contact or update target; an automatic text never does.
    typed_by: str | None = None

    @property
    def key(self) -> str:
        return str(self.case_id or self.notice_id)


class NoticeQueued(NoticeEvent):
    type_name: ClassVar[str] = "amends.notice.queued"
    send_at: datetime


class NoticeWithheld(NoticeEvent):
    type_name: ClassVar[str] = "amends.notice.withheld"
    reason: str


class NoticeSent(NoticeEvent):
    type_name: ClassVar[str] = "amends.notice.sent"


class NoticeDelivered(NoticeEvent):
    type_name: ClassVar[str] = "amends.notice.delivered"


class NoticeFailed(NoticeEvent):
    """undelivered or failed, with the provider's reason."""

    type_name: ClassVar[str] = "amends.notice.failed"
    reason: str


class NoticeUncertain(NoticeEvent):
    type_name: ClassVar[str] = "amends.notice.uncertain"
    reason: str


class ReplyUnderstood(Event):
    """An answer by text, without its words. `staff_id` or `patient_ref` tells who; `case_id` None where it belongs to no open case.

    `acknowledge`: from a paged member of staff; escalation acknowledges. `message`: a patient's words, kept by notification, for a person.
    """

    type_name: ClassVar[str] = "amends.notice.reply_understood"
    topic: ClassVar[str] = NOTICES
    reply_id: UUID
    at: datetime
    kind: ReplyKind
    case_id: UUID | None = None
    staff_id: str | None = None
    patient_ref: str | None = None

    @property
    def key(self) -> str:
        return str(self.case_id or self.reply_id)


class LinkIssued(Event):
    """A patient link: `token_hash` is the SHA-256 (hex) of the secret, which stands only in the text."""

    type_name: ClassVar[str] = "amends.notice.link_issued"
    topic: ClassVar[str] = NOTICES
    link_id: UUID
    case_id: UUID
    token_hash: str
    at: datetime
    expires_at: datetime

    @property
    def key(self) -> str:
        return str(self.case_id)


class ConsentRecorded(Event):
    """A change of what a patient agreed to, by text or by a person. An opt-out belongs to the number, so it may touch several patients."""

    type_name: ClassVar[str] = "amends.notice.consent_recorded"
    topic: ClassVar[str] = NOTICES
    consent_id: UUID
    at: datetime
    patient_ref: str | None = None
    case_id: UUID | None = None
    purpose: Literal["care", "compensation", "survey", "marketing", "all"]
    granted: bool
    source: str

    @property
    def key(self) -> str:
        return str(self.case_id or self.patient_ref or self.consent_id)


EVENTS: tuple[type[Event], ...] = (
    NoticeQueued, NoticeWithheld, NoticeSent, NoticeDelivered, NoticeFailed, NoticeUncertain, ReplyUnderstood, LinkIssued, ConsentRecorded,
)  # fmt: skip
