"""Patients, as intake knows them: the only topic on which contact data travels, as ciphertext under the patient's own key."""

from datetime import datetime
from typing import ClassVar, Literal

from shared.contracts.envelope import Contract, Event

PATIENTS = "amends.patients.v1"

PayerClass = Literal["commercial", "self", "federal", "unknown"]


class Consent(Contract):
    """What the patient agreed to, with its proof."""

    purpose: Literal["care", "compensation", "survey", "marketing"]
    granted: bool
    at: datetime
    source: str


class PatientChanged(Event):
    """A patient, whole; compacted. Erasure is a tombstone of the key.

    `wrapped_key`, `name`, `phone`, `email`: base64 of ciphertext (`shared/vault`, AAD table "patients", row `patient_ref`, field by name).
    `phone_index`: keyed blind index of the E.164 number; `household`: keyed hash of phone or address, for velocity limits.
    """

    type_name: ClassVar[str] = "amends.patient.changed"
    topic: ClassVar[str] = PATIENTS
    patient_ref: str
    wrapped_key: str
    name: str | None = None
    phone: str | None = None
    email: str | None = None
    phone_index: str | None = None
    household: str | None = None
    language: str = "en"
    payer_class: PayerClass = "unknown"
    consents: tuple[Consent, ...] = ()
    location_id: str

    @property
    def key(self) -> str:
        return self.patient_ref


EVENTS: tuple[type[Event], ...] = (PatientChanged,)
