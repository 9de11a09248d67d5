"""What integrations send: POS and practice events, the `data` of a CloudEvent, by type.

Owner of the names: the public contract. Called by intake only; foreign input, so it is judged strictly here and never trusted further in.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Struct
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

Key = Annotated[str, Field(min_length=1, max_length=128)]
Amount = Annotated[int, Field(ge=0, le=100_000_000)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Miles = Annotated[Decimal, Field(ge=0, le=5_000)]
Payer = Literal["commercial", "self", "medicare", "medicaid", "tricare", "va", "chip", "other_federal", "unknown"]
Purpose = Literal["care", "compensation", "survey", "marketing"]
Catalyst = Literal[
    "late_order", "remade_order", "non_adapt", "fit_adjustment", "price_surprise", "coverage_surprise", "wait_time", "rude_or_dismissed",
    "privacy", "warranty_dispute", "no_pickup_notice", "lost_order", "billing_error", "other",
]  # fmt: skip
Channel = Literal["store", "phone", "web", "sms", "email"]


def _printable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("a NUL character cannot be stored")
    return text


Words = Annotated[str, Field(min_length=1, max_length=10_000), AfterValidator(_printable)]
Short = Annotated[str, Field(max_length=500), AfterValidator(_printable)]


class Input(BaseModel):
    """Base of foreign input: unknown fields are tolerated (integrations send more than we ask), types are not bent."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ConsentGiven(Input):
    """What the group says the patient agreed to, and how it knows."""

    purpose: Purpose
    granted: bool
    at: AwareDatetime
    source: Short


class PatientData(Input):
    """The patient as the group's system knows them; only `ref` is required, what is absent stays as it was."""

    ref: Key
    name: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)] | None = None
    phone: Annotated[str, Field(max_length=40)] | None = None
    email: Annotated[str, Field(max_length=254)] | None = None
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None = None
    payer: Payer | None = None
    postal_code: Annotated[str, Field(max_length=16)] | None = None
    consents: tuple[ConsentGiven, ...] | None = None


class PosData(Input):
    """What every event carries."""

    location_id: Key
    patient: PatientData | None = None


class OrderPlaced(PosData):
    order_id: Key
    root_order_id: Key | None = None
    promised_at: AwareDatetime | None = None
    lab: Key | None = None
    product: Short | None = None
    amount_minor: Amount | None = None
    currency: Currency | None = None


class OrderPromised(PosData):
    order_id: Key
    promised_at: AwareDatetime


class OrderStep(PosData):
    """received, notified, picked_up, cancelled, returned."""

    order_id: Key


class OrderRemade(PosData):
    order_id: Key
    root_order_id: Key
    reason: Short | None = None


class VisitCheckedIn(PosData):
    order_id: Key | None = None
    reason: Literal["problem", "adjustment", "pickup", "exam", "other"]
    distance_miles: Miles | None = None


class MoneyBack(PosData):
    """refund.created, dispute.created."""

    order_id: Key | None = None
    amount_minor: Amount
    currency: Currency
    reason: Short | None = None


class AppointmentMoved(PosData):
    by: Literal["practice", "patient"]
    wait_minutes: Annotated[int, Field(ge=0, le=10_000)] | None = None


class MessageFailed(PosData):
    order_id: Key
    purpose: Short


class RatingGiven(PosData):
    score: Annotated[int, Field(ge=1, le=5)]
    comment: Words | None = None
    order_id: Key | None = None


class ComplaintSubmitted(PosData):
    channel: Channel
    text: Words
    wished_outcome: Words | None = None
    order_id: Key | None = None
    catalyst: Catalyst | None = None


TYPES: dict[str, type[PosData]] = {
    "amends.pos.order.placed": OrderPlaced,
    "amends.pos.order.promised": OrderPromised,
    "amends.pos.order.received": OrderStep,
    "amends.pos.order.notified": OrderStep,
    "amends.pos.order.picked_up": OrderStep,
    "amends.pos.order.cancelled": OrderStep,
    "amends.pos.order.returned": OrderStep,
    "amends.pos.order.remade": OrderRemade,
    "amends.pos.visit.checked_in": VisitCheckedIn,
    "amends.pos.refund.created": MoneyBack,
    "amends.pos.dispute.created": MoneyBack,
    "amends.pos.appointment.moved": AppointmentMoved,
    "amends.pos.message.failed": MessageFailed,
    "amends.pos.rating.given": RatingGiven,
    "amends.complaint.submitted": ComplaintSubmitted,
}


class PosEvent(Struct, frozen=True, gc=False):
    """A CloudEvent of a known type with its data read: what intake decides on."""

    id: str
    source: str
    type: str
    time: datetime
    data: PosData
