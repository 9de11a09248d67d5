"""What is known of a patient, and which of two things said about them holds.

Called by the use cases with plain text that lives for one transaction. Invariant: each field is what the newest event that spoke of it
said; what nobody spoke of stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from msgspec import Struct

from shared.contracts.ingress import ConsentGiven, PatientData
from shared.contracts.patients import Consent, PayerClass

FEDERAL = frozenset({"medicare", "medicaid", "tricare", "va", "chip", "other_federal"})
GROUPS_WORD = "the group's word"
_FIELDS = ("name", "phone", "email", "language", "payer", "postal_code")


class Whom(Struct, frozen=True, gc=False):
    """Whom an event is about, as far as decisions depend on it: nothing of it is sealed."""

    ref: str
    payer_class: PayerClass
    household: str | None


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient in plain text. `phone` is E.164; `said` maps a field to the time of the event it is from; `version` counts what was told.

    `household` is a keyed hash, made outside (`household_of` says of what).
    """

    ref: str
    location_id: str
    name: str | None = None
    phone: str | None = None
    email: str | None = None
    language: str | None = None
    payer: str | None = None
    postal_code: str | None = None
    consents: tuple[Consent, ...] = ()
    household: str | None = None
    said: Mapping[str, datetime] = field(default_factory=dict)
    version: int = 0

    @property
    def whom(self) -> Whom:
        """What decisions may depend on."""
        return Whom(self.ref, payer_class_of(self.payer), self.household)


def payer_class_of(payer: str | None) -> PayerClass:
    """The class of a payer; every federal programme is one class."""
    if payer in FEDERAL:
        return "federal"
    return "commercial" if payer == "commercial" else "self" if payer == "self" else "unknown"


def hear(patient: Patient, data: PatientData, at: datetime, location_id: str, phone: str | None) -> Patient:
    """The patient after an event of time `at`; `phone` is the number in E.164. The same object again where nothing new was said."""
    changed: dict[str, Any] = {}
    said = dict(patient.said)
    for name in _FIELDS:
        value = phone if name == "phone" else getattr(data, name)
        if value and _holds(value, getattr(patient, name), at, said.get(name)):
            changed[name] = value
            said[name] = at
    consents = _consents(patient.consents, data.consents or (), phone, at)
    if consents != patient.consents:
        changed["consents"] = consents
    if _holds(location_id, patient.location_id, at, said.get("location_id")):
        changed["location_id"] = location_id
        said["location_id"] = at
    return replace(patient, said=said, **changed) if changed else patient


def said_again(data: PatientData, at: datetime, location_id: str, known_at: str, said: Mapping[str, str]) -> dict[str, str] | None:
    """The times that move where an event of time `at` says of a patient what is known of them already; None where `hear` must judge.

    `known_at` is the patient's location, `said` maps fields to times as they are kept. What is said besides the location is known again
    by its mark, outside. An event older than anything said is judged: it may be the earlier word for a consent.
    """
    time = at.isoformat()
    if any(one != time and datetime.fromisoformat(one) > at for one in said.values()):
        return None
    names = _named(data)
    if said.get("location_id") != time or location_id > known_at:
        if location_id != known_at:
            return None
        names.append("location_id")
    return {name: time for name in names if said.get(name) != time}


def says_more(data: PatientData) -> bool:
    """Whether anything is said of the patient besides where they were."""
    return bool(data.consents) or bool(_named(data))


def is_settled(patient: Patient, data: PatientData, phone: str | None) -> bool:
    """Whether this, said again at the same location and any time after all that was said, changes nothing but times."""
    if any(consent.source == GROUPS_WORD for consent in data.consents or ()):
        return False
    given = {name: phone if name == "phone" else getattr(data, name) for name in _named(data)}
    if any(getattr(patient, name) != value for name, value in given.items()):
        return False
    return _consents(patient.consents, data.consents or (), phone, max(patient.said.values())) == patient.consents


def is_told(before: Patient, after: Patient) -> bool:
    """Whether anything that others keep differs: times alone are nobody else's business."""
    return replace(before, said={}, version=0) != replace(after, said={}, version=0) or not before.version


def household_of(patient: Patient) -> str | None:
    """What people of one household share: the phone number, else the family name at a postal code. To be hashed before it is kept."""
    if patient.phone:
        return f"phone:{patient.phone}"
    if patient.postal_code and patient.name:
        return f"address:{patient.name.split()[-1].casefold()}:{patient.postal_code.replace(' ', '').upper()}"
    return None


def _named(data: PatientData) -> list[str]:
    return [name for name in _FIELDS if getattr(data, name)]


def _holds(value: str, known: str | None, at: datetime, known_at: datetime | None) -> bool:
    """Whether what is said now is newer; between two of one instant the greater text, whatever came first."""
    return known_at is None or known is None or (at, value) > (known_at, known)


def _consents(known: tuple[Consent, ...], given: tuple[ConsentGiven, ...], phone: str | None, at: datetime) -> tuple[Consent, ...]:
    newest = {consent.purpose: consent for consent in known}
    for consent in given:
        before = newest.get(consent.purpose)
        # A recorded word beats the one that a number alone implies; of one instant a refusal beats a grant.
        if before is None or before.source == GROUPS_WORD or (consent.at, not consent.granted) > (before.at, not before.granted):
            newest[consent.purpose] = Consent(purpose=consent.purpose, granted=consent.granted, at=consent.at, source=consent.source)
    implied = newest.get("care")
    if phone and (implied is None or (implied.source == GROUPS_WORD and at < implied.at)):
        newest["care"] = Consent(purpose="care", granted=True, at=at, source=GROUPS_WORD)
    return tuple(newest[purpose] for purpose in sorted(newest))
