"""Restitutions: what is given back, as restitution tells it. Codes and words travel on no topic."""

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from shared.contracts.envelope import Contract, Event

RESTITUTIONS = "amends.restitutions.v1"

Kind = Literal["gas_money", "refund", "store_credit", "free_remake", "care_kit", "home_delivery", "stay_late", "loaner", "upgrade"]
RestitutionStatus = Literal[
    "proposed", "referred", "approved", "declined", "offered", "accepted", "settled", "reversed", "expired", "payout_uncertain"
]


class PolicyDecision(Contract):
    """Which row of which table decided, on which inputs."""

    table: str
    version: int
    row: str
    inputs: dict[str, str] = {}


class Needs(Contract):
    """Who must approve: the lowest role whose authority covers it, and how many people."""

    role: str
    approvals: int = 1


class RestitutionEvent(Event):
    """What every event carries: the restitution after it. `reason` says why where somebody or some rule had one."""

    topic: ClassVar[str] = RESTITUTIONS
    restitution_id: UUID
    case_id: UUID
    at: datetime
    by: str | None = None
    location_id: str
    patient_ref: str | None = None
    kind: Kind
    amount_minor: int
    currency: str
    status: RestitutionStatus
    reason: str | None = None
    decision: PolicyDecision | None = None
    needs: Needs | None = None

    @property
    def key(self) -> str:
        return str(self.case_id)


class RestitutionProposed(RestitutionEvent):
    type_name: ClassVar[str] = "amends.restitution.proposed"


class RestitutionReferred(RestitutionEvent):
    type_name: ClassVar[str] = "amends.restitution.referred"


class RestitutionApproved(RestitutionEvent):
    type_name: ClassVar[str] = "amends.restitution.approved"


class RestitutionDeclined(RestitutionEvent):
    type_name: ClassVar[str] = "amends.restitution.declined"


class RestitutionOffered(RestitutionEvent):
    """The patient may be told now. `settles_at_once`: the settlement follows by itself, so one text tells both."""

    type_name: ClassVar[str] = "amends.restitution.offered"
    settles_at_once: bool = True


class RestitutionAccepted(RestitutionEvent):
    type_name: ClassVar[str] = "amends.restitution.accepted"


class RestitutionSettled(RestitutionEvent):
    type_name: ClassVar[str] = "amends.restitution.settled"


class RestitutionReversed(RestitutionEvent):
    type_name: ClassVar[str] = "amends.restitution.reversed"


class PayoutUncertain(RestitutionEvent):
    """Nobody can tell whether the payout happened: a person decides, nothing is paid again by itself."""

    type_name: ClassVar[str] = "amends.restitution.payout_uncertain"


EVENTS: tuple[type[Event], ...] = (
    RestitutionProposed, RestitutionReferred, RestitutionApproved, RestitutionDeclined, RestitutionOffered, RestitutionAccepted,
    RestitutionSettled, RestitutionReversed, PayoutUncertain,
)  # fmt: skip
