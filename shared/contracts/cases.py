"""Cases, as escalation tells them. Every event carries the case as it stands after it, so a projection is one upsert by version."""

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from shared.contracts.envelope import Contract, Event
from shared.contracts.incidents import Incident
from shared.contracts.ingress import Catalyst
from shared.contracts.patients import PayerClass

CASES = "amends.cases.v1"

Status = Literal["open", "acknowledged", "resolved", "closed"]
Milestone = Literal["acknowledge", "contact", "action", "update", "resolve"]
TargetState = Literal["running", "paused", "met", "met_late", "breached", "cancelled"]
ReplanReason = Literal["hours_changed", "plan_changed", "rebuilt"]
ActionKind = Literal["call", "visit", "text", "email", "remake", "adjustment", "order_expedited", "delivery", "other", "offer"]
PromiseKind = Literal["callback", "remake", "order_ready", "delivery", "refund", "other"]
PromiseState = Literal["open", "kept", "early", "late", "moved"]
Channel = Literal["text", "email", "webhook"]
RootCause = Literal[
    "lab_error", "measurement_error", "prescription_change", "frame_defect", "stock_out", "scheduling", "communication", "billing",
    "staff_conduct", "system", "other",
]  # fmt: skip


class Target(Contract):
    """One promise of a milestone by a deadline. `round` counts those of a recurring one (update), `missed` the rounds that ended late."""

    milestone: Milestone
    state: TargetState = "running"
    due_at: datetime | None = None
    warned: bool = False
    met_at: datetime | None = None
    # What it was counted with: from when, open seconds (elapsed ones where `is_elapsed`), and the version of the store's hours (None in
    # events from before these were told).
    starts_at: datetime | None = None
    open_seconds: int | None = None
    is_elapsed: bool = False
    hours: int | None = None
    round: int = 0
    missed: int = 0


class Promise(Contract):
    """What the patient was told by when; `number` counts from 1 within the case. A late one is done where it has `fulfilled_at`."""

    number: int
    what: PromiseKind
    promised_by: datetime
    state: PromiseState = "open"
    fulfilled_at: datetime | None = None


class PolicyRef(Contract):
    """The plan a case was opened with."""

    name: str
    version: int


class CaseEvent(Event):
    """What every event of a case carries: the case after it. `at` is business time; `by` the person, None for the system."""

    topic: ClassVar[str] = CASES
    case_id: UUID
    reference: str
    at: datetime
    by: str | None = None
    status: Status
    level: int
    severity: int
    catalyst: Catalyst
    location_id: str
    region: str
    patient_ref: str | None = None
    root_order_id: str | None = None
    household: str | None = None
    payer_class: PayerClass = "unknown"
    owner_staff_id: str | None = None
    incidents: int
    opened_at: datetime
    story_confirmed: bool = False
    policy: PolicyRef
    targets: tuple[Target, ...]
    promises: tuple[Promise, ...] = ()

    @property
    def key(self) -> str:
        return str(self.case_id)


class Storm(Contract):
    """Pages that come from one moment and belong together: `pages` is how many of them each person gets, by staff id."""

    storm_id: UUID
    pages: dict[str, int]


class Paging(CaseEvent):
    """An event that wakes people: `page` are the staff ids to page now; an acknowledgement cancels the ladder's `generation`.

    `how` are the channels; `storm` is there where the same moment pages somebody for more than one case, so that one page can list them.
    """

    page: tuple[str, ...] = ()
    generation: int = 1
    how: tuple[Channel, ...] = ("text",)
    storm: Storm | None = None


class CaseOpened(Paging):
    """`next_contact_by`: the promise told to the patient (when a person will be in touch)."""

    type_name: ClassVar[str] = "amends.case.opened"
    incident: Incident
    next_contact_by: datetime


class IncidentAttached(CaseEvent):
    type_name: ClassVar[str] = "amends.case.incident_attached"
    incident: Incident


class SeverityRaised(CaseEvent):
    """A more severe incident attached: the targets are planned anew from `opened_at`."""

    type_name: ClassVar[str] = "amends.case.severity_raised"
    was: int


class CaseReplanned(CaseEvent):
    """What still runs was counted anew from the start of its segment, pauses left out; breaches and results stay.

    `why`: the store's hours changed, a person moved the case to the plan that the tables in force give, or its targets were rebuilt from
    its history. With another plan: `row` of `policy` decided, `was` and `was_severity` are those before.
    """

    type_name: ClassVar[str] = "amends.case.replanned"
    why: ReplanReason
    row: str | None = None
    was: PolicyRef | None = None
    was_severity: int | None = None


class CaseAcknowledged(CaseEvent):
    """`generation` of the ladder that stops with it; `expires_at` when it goes stale without contact or action."""

    type_name: ClassVar[str] = "amends.case.acknowledged"
    generation: int
    expires_at: datetime


class AcknowledgementExpired(Paging):
    type_name: ClassVar[str] = "amends.case.acknowledgement_expired"


class PageHandedOver(Paging):
    """The shift of the owner is over and nobody took the case: `page` is who is on duty in their place. The owner stays."""

    type_name: ClassVar[str] = "amends.case.page_handed_over"


class CaseAssigned(Paging):
    type_name: ClassVar[str] = "amends.case.assigned"
    was: str | None = None


class StoryConfirmed(CaseEvent):
    """The patient's story was heard and read back. The words stay with escalation."""

    type_name: ClassVar[str] = "amends.case.story_confirmed"


class ActionRecorded(CaseEvent):
    type_name: ClassVar[str] = "amends.case.action_recorded"
    kind: ActionKind


class NoteAdded(CaseEvent):
    type_name: ClassVar[str] = "amends.case.note_added"


class TargetMet(CaseEvent):
    """A milestone was reached. Its event carries the next round already where one begins: the update, after each contact."""

    type_name: ClassVar[str] = "amends.case.target_met"
    milestone: Milestone
    late: bool


class TargetAtRisk(Paging):
    """A warning to the owner, at `percent` of the target's time; one that is set so long before the due time has `minutes_before`."""

    type_name: ClassVar[str] = "amends.case.target_at_risk"
    milestone: Milestone
    percent: int
    minutes_before: int | None = None
    due_at: datetime


class TargetBreached(Paging):
    """The deadline passed. For `acknowledge` the level is one higher and `page` names that level's people."""

    type_name: ClassVar[str] = "amends.case.target_breached"
    milestone: Milestone
    due_at: datetime


class EscalationStepped(Paging):
    """A step of the ladder beyond the first breach: the region, and its repeats. `step` counts from 1 within the generation.

    `rung` is the one it pages, from 0; None in events from before it was told.
    """

    type_name: ClassVar[str] = "amends.case.escalation_stepped"
    step: int
    due_at: datetime
    rung: int | None = None


class ClockPaused(CaseEvent):
    type_name: ClassVar[str] = "amends.case.clock_paused"
    reason: str
    until: datetime | None = None


class ClockResumed(Paging):
    """The clock runs again; `page` are told where nobody asked for it, because the time of the reason is used up."""

    type_name: ClassVar[str] = "amends.case.clock_resumed"
    reason: str


class PromiseMade(CaseEvent):
    """`number` is the promise's within the case; `aim_by` is the store's own target, which no patient is told."""

    type_name: ClassVar[str] = "amends.case.promise_made"
    what: str
    promised_by: datetime
    number: int = 1
    aim_by: datetime | None = None


class PromiseMoved(CaseEvent):
    """For a later time, before it lapsed, once; `was_by` is the time before, `number` the promise that took the place of the old one."""

    type_name: ClassVar[str] = "amends.case.promise_moved"
    what: PromiseKind
    promised_by: datetime
    was_by: datetime
    number: int
    aim_by: datetime


class PromiseFulfilled(CaseEvent):
    """What was promised is done. `outcome`: early on a day before the promised one or by the store's own target, kept before its time, else
    late."""

    type_name: ClassVar[str] = "amends.case.promise_fulfilled"
    what: PromiseKind
    promised_by: datetime
    number: int
    outcome: Literal["early", "kept", "late"]


class PromiseAtRisk(Paging):
    """The store's own target is over and the promise is not kept yet: its owner is warned."""

    type_name: ClassVar[str] = "amends.case.promise_at_risk"
    what: PromiseKind
    promised_by: datetime
    number: int


class PromiseLapsed(Paging):
    """The promised time came and it was not done: late, whatever follows."""

    type_name: ClassVar[str] = "amends.case.promise_lapsed"
    what: PromiseKind
    promised_by: datetime
    number: int


class CaseResolved(CaseEvent):
    type_name: ClassVar[str] = "amends.case.resolved"
    root_cause: RootCause
    action: str


class CaseReopened(Paging):
    type_name: ClassVar[str] = "amends.case.reopened"
    reason: str


class CaseClosed(CaseEvent):
    type_name: ClassVar[str] = "amends.case.closed"


EVENTS: tuple[type[Event], ...] = (
    CaseOpened, IncidentAttached, SeverityRaised, CaseReplanned, CaseAcknowledged, AcknowledgementExpired, PageHandedOver, CaseAssigned,
    StoryConfirmed, ActionRecorded, NoteAdded, TargetMet, TargetAtRisk, TargetBreached, EscalationStepped, ClockPaused, ClockResumed,
    PromiseMade, PromiseMoved, PromiseFulfilled, PromiseAtRisk, PromiseLapsed, CaseResolved, CaseReopened, CaseClosed,
)  # fmt: skip
