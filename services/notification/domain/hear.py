"""What an event of a case or a restitution makes us want to tell, and to whom.

Called by `queue_notices`. Invariant: the facts of a wish hold no name, number or words of a patient, and no name of staff.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from shared.contracts.cases import (
    AcknowledgementExpired,
    CaseAcknowledged,
    CaseAssigned,
    CaseEvent,
    CaseOpened,
    CaseReopened,
    CaseResolved,
    Channel,
    ClockResumed,
    EscalationStepped,
    IncidentAttached,
    Paging,
    PromiseAtRisk,
    PromiseFulfilled,
    PromiseLapsed,
    PromiseMade,
    PromiseMoved,
    TargetAtRisk,
    TargetBreached,
)
from shared.contracts.incidents import Incident
from shared.contracts.restitutions import RestitutionEvent, RestitutionOffered, RestitutionSettled
from shared.kernel.money import Money

# A patient's own message this fresh is answered at once, day or night.
FRESH = timedelta(minutes=15)
_OWN_CHANNELS = frozenset({"web", "sms", "email"})
_MILESTONES = {
    "acknowledge": "acknowledgement", "contact": "the call to the patient", "action": "the first action", "update": "the next update",
    "resolve": "the resolution",
}  # fmt: skip
_WHAT = {
    "gas_money": "gas money", "refund": "refund", "store_credit": "store credit", "free_remake": "free remake", "care_kit": "care kit",
    "home_delivery": "home delivery", "stay_late": "late pickup", "loaner": "loaner", "upgrade": "upgrade",
}  # fmt: skip
# What was promised, to the patient: that it will be, and that it is. Nothing here tells what the order is.
_WILL_BE = {
    "callback": "we will call you", "remake": "it will be ready", "order_ready": "it will be ready", "delivery": "it will be with you",
    "refund": "your refund will be on its way", "other": "it will be done",
}  # fmt: skip
_IS = {
    "remake": "it is ready", "order_ready": "it is ready", "delivery": "it was delivered", "refund": "your refund is on its way",
    "other": "it is done",
}  # fmt: skip
_FULFILLED = {"early": "promise_early", "kept": "promise_kept", "late": "promise_done_late"}
# And to the people of the store.
_PROMISED = {
    "callback": "a call", "remake": "the remake", "order_ready": "the order", "delivery": "the delivery", "refund": "the refund",
    "other": "a promise",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CaseCopy:
    """What is kept of a case here. `generation`: the ladder's, of the newest page or acknowledgement."""

    case_id: UUID
    version: int
    reference: str
    status: str
    level: int
    severity: int
    catalyst: str
    location_id: str
    region: str
    patient_ref: str | None
    owner_staff_id: str | None
    generation: int = 1


@dataclass(frozen=True, slots=True)
class Wish:
    """One text wanted: to the patient of the case, or to one member of staff. `storm`: its id, and how many pages of it they get."""

    template: str
    audience: Literal["patient", "staff"]
    facts: Mapping[str, str] = field(default_factory=dict)
    staff_id: str | None = None
    generation: int | None = None
    is_answer: bool = False
    storm: tuple[UUID, int] | None = None
    channel: Channel = "text"


def copy_of(event: CaseEvent, known: CaseCopy | None) -> CaseCopy | None:
    """The case after `event`; None where a later version is known already."""
    if known is not None and known.version >= event.version:
        return None
    said = getattr(event, "generation", None)
    generation = max(said or 0, known.generation if known else 1)
    return CaseCopy(
        event.case_id, event.version, event.reference, event.status, event.level, event.severity, event.catalyst,
        event.location_id, event.region, event.patient_ref, event.owner_staff_id, generation,
    )  # fmt: skip


def on_case(event: CaseEvent, store: str, owner_role: str | None, now: datetime) -> tuple[Wish, ...]:
    """Whom a case's event makes us text. `store` is the location's name, `owner_role` the role of the case's owner."""
    whose = task_of(owner_role, store)
    facts = {"reference": event.reference, "whose": whose}
    wishes: list[Wish] = []
    match event:
        case CaseOpened() if event.patient_ref:
            promised = facts | {"by": event.next_contact_by.isoformat()}
            wishes.append(Wish("receipt", "patient", promised, is_answer=is_own_message(event.incident, now)))
        case IncidentAttached() if event.patient_ref and is_own_message(event.incident, now):
            wishes.append(Wish("attached", "patient", facts, is_answer=True))
        case CaseAcknowledged() if event.patient_ref:
            wishes.append(Wish("acknowledged", "patient", facts))
        case CaseResolved() if event.patient_ref:
            wishes.append(Wish("resolved", "patient", facts))
        case PromiseMade() | PromiseMoved() | PromiseFulfilled() if event.patient_ref:
            wishes += _of_promise(event, {"reference": event.reference})
    if isinstance(event, Paging):
        wishes += _pages(event, store)
    return tuple(wishes)


def on_restitution(event: RestitutionEvent, case: CaseCopy) -> tuple[Wish, ...]:
    """What a restitution makes us tell the patient: one text where offer and settlement coincide."""
    if case.patient_ref is None:
        return ()
    facts = {"reference": case.reference}
    if isinstance(event, RestitutionSettled):
        amount = _spoken(Money(event.amount_minor, event.currency)) if event.amount_minor else "your"
        return (Wish("offer_settled", "patient", facts | {"amount": amount, "what": _WHAT[event.kind]}),)
    if isinstance(event, RestitutionOffered) and not event.settles_at_once:
        return (Wish("offered", "patient", facts),)
    return ()


def _of_promise(event: PromiseMade | PromiseMoved | PromiseFulfilled, facts: Mapping[str, str]) -> list[Wish]:
    """The promised time, that it moved, that it is done. Of a call that was made nobody needs to be texted."""
    told = {**facts, "what": event.what, "promised_by": event.promised_by.isoformat()}
    if isinstance(event, PromiseFulfilled):
        done = _IS.get(event.what)
        return [Wish(_FULFILLED[event.outcome], "patient", told | {"done": done})] if done else []
    told["promise"] = _WILL_BE.get(event.what, _WILL_BE["other"])
    if isinstance(event, PromiseMoved):
        return [Wish("promise_moved", "patient", told | {"was_by": event.was_by.isoformat()})]
    return [Wish("promised", "patient", told)]


def is_own_message(incident: Incident, now: datetime) -> bool:
    """Whether the incident is a message the patient sent within the last 15 minutes."""
    return incident.channel in _OWN_CHANNELS and timedelta(0) <= now - incident.occurred_at + timedelta(minutes=5) <= FRESH + timedelta(
        minutes=5
    )


def task_of(role: str | None, store: str) -> str:
    """Whose task a case is, without a name: the name is on the page."""
    if role == "store_manager":
        return f"The manager of {store}"
    return f"The regional manager for {store}" if role == "regional_manager" else f"The team of {store}"


def _pages(event: Paging, store: str) -> list[Wish]:
    by = next((t.due_at for t in event.targets if t.milestone == "acknowledge" and t.due_at), None)
    facts = {
        "reference": event.reference, "store": store, "catalyst": event.catalyst.replace("_", " "), "severity": str(event.severity),
        "level": str(event.level), "by": (by or event.at).isoformat(),
    }  # fmt: skip
    people = event.page
    match event:
        case CaseOpened():
            template = "page"
        case TargetAtRisk():
            template = "warning"
            facts |= {"milestone": _MILESTONES[event.milestone], "by": event.due_at.isoformat()}
        case PromiseAtRisk() | PromiseLapsed():
            template = "promise_at_risk" if isinstance(event, PromiseAtRisk) else "promise_lapsed"
            facts |= {"what": _PROMISED[event.what], "promised_by": event.promised_by.isoformat()}
        case ClockResumed():
            template = "clock_resumed"
        case TargetBreached() if event.milestone != "acknowledge":
            template = "breached"
            facts |= {"milestone": _MILESTONES[event.milestone], "by": event.due_at.isoformat()}
        case TargetBreached() | EscalationStepped() | AcknowledgementExpired():
            template = "page_again"
        case CaseAssigned() | CaseReopened():
            template = "assigned"
        case _:
            template = "page"
    return [
        # A machine that hears of pages wants each of them.
        Wish(template, "staff", facts, person, event.generation, storm=None if how == "webhook" else _storm(event, person), channel=how)
        for person in dict.fromkeys(people)
        for how in dict.fromkeys(event.how)
    ]


def _storm(event: Paging, person: str) -> tuple[UUID, int] | None:
    count = event.storm.pages.get(person, 0) if event.storm else 0
    return (event.storm.storm_id, count) if event.storm and count > 1 else None


def _spoken(money: Money) -> str:
    return "$" + str(money).removesuffix(" USD") if money.currency == "USD" else str(money)
