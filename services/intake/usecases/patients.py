"""Patients within one transaction: opened once, changed by each event, sealed again, told when others should know.

Called by `report`, and for a broker that lost its log (`say_again`).
Invariant: plain text lives as long as the transaction, and two transactions never change one patient at once.
"""

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.intake import store
from services.intake.domain import Arrival, Patient, hear, household_of
from services.intake.domain.patients import is_told, payer_class_of
from services.intake.store import SealedPatient
from shared.contracts.patients import Consent, PatientChanged
from shared.messaging import Engine, Transaction
from shared.vault import DataKey, Vault

TABLE = "patients"
_SEALED = ("name", "phone", "email", "postal_code")
_PAGE = 500


@dataclass
class Patients:
    """The patients of one transaction by reference: as they were, as they are, their keys, and the last arrival that spoke of each."""

    vault: Vault
    before: dict[str, Patient] = field(default_factory=dict)
    now: dict[str, Patient] = field(default_factory=dict)
    keys: dict[str, DataKey] = field(default_factory=dict)
    sealed: dict[str, SealedPatient] = field(default_factory=dict)
    cause: dict[str, Arrival] = field(default_factory=dict)

    def key_of(self, ref: str | None) -> DataKey | Vault:
        """What to seal a patient's things with; the vault itself where no patient is known."""
        return self.keys.get(ref, self.vault) if ref else self.vault

    def hear(self, arrival: Arrival) -> None:
        """Take in what an event says of its patient."""
        event = arrival.event
        if event is not None and (data := event.data.patient) is not None:
            self.now[data.ref] = hear(self.now[data.ref], data, event.time, event.data.location_id, arrival.phone)
            self.cause[data.ref] = arrival


async def lock(vault: Vault, tx: Transaction, homes: Mapping[str, str]) -> Patients:
    """Lock the patients named, made with a key of their own where new. `homes`: reference → location that named them."""
    rows = await store.lock_patients(tx.conn, homes)
    missing = [ref for ref in homes if ref not in rows]
    if missing:
        await store.ensure_patients(tx.conn, [(ref, vault.new_key()[1], homes[ref]) for ref in missing])
        rows |= await store.lock_patients(tx.conn, missing)
    return _opened(vault, rows)


async def look_at(patients: Patients, tx: Transaction, refs: Collection[str]) -> None:
    """Add patients whom only their orders name, to be read and not changed."""
    further = [ref for ref in refs if ref not in patients.now]
    if further:
        seen = _opened(patients.vault, await store.see_patients(tx.conn, further))
        patients.now |= seen.now
        patients.before |= seen.before
        patients.keys |= seen.keys
        patients.sealed |= seen.sealed


async def save(patients: Patients, tx: Transaction) -> None:
    """Write those who changed and tell those that others should know of."""
    rows = []
    for ref, after in patients.now.items():
        before = patients.before[ref]
        if after is before and before.version:
            continue
        is_news = is_told(before, after)
        after = replace(after, version=after.version + is_news)
        patients.now[ref] = after
        row = _sealed(patients, after)
        rows.append(row)
        if is_news:
            tx.say(_changed(row), cause=patients.cause.get(ref))
    await store.save_patients(tx.conn, rows)


def settle_households(patients: Patients) -> None:
    """Give each changed patient the household that this transaction's incidents and rows carry; before both."""
    for ref, after in patients.now.items():
        if after is not patients.before[ref]:
            subject = household_of(after)
            patients.now[ref] = replace(after, household=patients.vault.index("household", subject) if subject else None)


async def say_again(engine: Engine) -> int:
    """Say every patient as they are now, in the version they have, without opening anything; how many. For a broker that lost its log."""
    told, after = 0, ""
    while True:
        async with engine.transaction(door="command") as tx:
            rows = await store.patients_after(tx.conn, after, _PAGE)
            for row in rows:
                tx.say(_changed(row))
        if not rows:
            return told
        told, after = told + len(rows), rows[-1].patient_ref


def _opened(vault: Vault, rows: Mapping[str, SealedPatient]) -> Patients:
    patients = Patients(vault)
    for ref, row in rows.items():
        key = patients.keys[ref] = vault.unwrap(row.wrapped_key)
        plain = {name: key.open(sealed, TABLE, ref, name) for name in _SEALED if (sealed := getattr(row, name)) is not None}
        patients.before[ref] = patients.now[ref] = Patient(
            ref=ref,
            location_id=row.location_id,
            language=row.language,
            payer=row.payer,
            consents=tuple(Consent.model_validate(consent) for consent in row.consents.values()),
            household=row.household,
            said={name: datetime.fromisoformat(at) for name, at in row.said.items()},
            version=row.version,
            **plain,
        )
        patients.sealed[ref] = row
    return patients


def _sealed(patients: Patients, patient: Patient) -> SealedPatient:
    """The row; a field that did not change keeps its ciphertext."""
    ref, key, before, was = patient.ref, patients.keys[patient.ref], patients.before[patient.ref], patients.sealed[patient.ref]
    sealed: dict[str, bytes | None] = {}
    for name in _SEALED:
        value = getattr(patient, name)
        is_same = value == getattr(before, name)
        sealed[name] = getattr(was, name) if is_same else key.seal(value, TABLE, ref, name)
    return SealedPatient(
        patient_ref=ref,
        wrapped_key=was.wrapped_key,
        name=sealed["name"],
        phone=sealed["phone"],
        email=sealed["email"],
        language=patient.language,
        payer=patient.payer,
        postal_code=sealed["postal_code"],
        phone_index=patients.vault.index("phone", patient.phone) if patient.phone else None,
        household=patient.household,
        consents={consent.purpose: consent.model_dump(mode="json") for consent in patient.consents},
        location_id=patient.location_id,
        said={name: at.isoformat() for name, at in patient.said.items()},
        version=patient.version,
    )


def _changed(row: SealedPatient) -> PatientChanged:
    return PatientChanged(
        version=row.version,
        patient_ref=row.patient_ref,
        wrapped_key=_text(row.wrapped_key) or "",
        name=_text(row.name),
        phone=_text(row.phone),
        email=_text(row.email),
        phone_index=row.phone_index,
        household=row.household,
        language=row.language or "en",
        payer_class=payer_class_of(row.payer),
        consents=tuple(Consent.model_validate(row.consents[purpose]) for purpose in sorted(row.consents)),
        location_id=row.location_id,
    )


def _text(sealed: bytes | None) -> str | None:
    return base64.b64encode(sealed).decode() if sealed is not None else None
