"""Incidents: one reported upset each, immutable. Complaint words stay with intake; `has_words` says that there are some."""

from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar, Literal
from uuid import UUID

from shared.contracts.envelope import Contract, Event
from shared.contracts.ingress import Catalyst, Channel
from shared.contracts.patients import PayerClass

INCIDENTS = "amends.incidents.v1"

IncidentType = Literal[
    "order_late", "order_remade", "refund_or_return", "repeat_visit", "adjustment_repeat", "no_pickup", "appointment_moved",
    "message_failed", "voice_of_patient",
]  # fmt: skip


class Trip(Contract):
    """A visit that counts for gas money. `on` is the date at the store; `miles` one way, patient to store, None where nobody said."""

    visit_id: UUID
    on: date
    miles: Decimal | None = None


class Incident(Contract):
    """The facts others decide on."""

    incident_id: UUID
    incident_type: IncidentType
    catalyst: Catalyst
    location_id: str
    patient_ref: str | None = None
    root_order_id: str | None = None
    order_id: str | None = None
    occurred_at: datetime
    reported_at: datetime
    channel: Channel | None = None
    has_words: bool = False
    # How often it happened to this root order by now: visits for repeat_visit, remakes for order_remade.
    repeat_count: int = 1
    is_dispute: bool = False
    trips: tuple[Trip, ...] = ()
    amount_minor: int | None = None
    currency: str | None = None
    payer_class: PayerClass = "unknown"
    household: str | None = None
    # Who made what the order is about, where the store said so.
    lab: str | None = None
    # The CloudEvent it came from; empty for one that a timer found.
    source: str = ""
    source_id: str = ""

    @property
    def belongs_to(self) -> str:
        """The patient, else the root order: what a case is open for, and the Kafka key."""
        return self.patient_ref or f"order:{self.root_order_id}"


class IncidentReported(Event):
    type_name: ClassVar[str] = "amends.incident.reported"
    topic: ClassVar[str] = INCIDENTS
    incident: Incident

    @property
    def key(self) -> str:
        return self.incident.belongs_to


EVENTS: tuple[type[Event], ...] = (IncidentReported,)
