"""Patients within one transaction: changed by each event, told when others should know. Opened only where an event says something new.

Called by `report`, and for a broker that lost its log (`say_again`).
Invariant: plain text lives as long as the transaction, and two transactions never change one patient at once. What is kept of
a patient in the end, the mark apart, is the same whether they were opened or not.
"""

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from msgspec import structs

from services.intake import store
from services.intake.domain import Arrival, Patient, Whom, hear, household_of, payer_class_of
from services.intake.domain.patients import is_settled, is_told, said_again, says_more
from services.intake.store import SealedPatient
from shared.contracts.ingress import PatientData
from shared.contracts.patients import Consent, PatientChanged
from shared.messaging import Engine, Transaction
from shared.vault import DataKey, Vault

TABLE = "patients"
_SEALED = ("name", "phone", "email", "postal_code")
_PAGE = 500


@dataclass
class Patients:
    """The patients of one transaction by reference: their rows and, of those who were opened, how they were and how they are.

    `moved`: of whom only times changed; `spoke`: the last arrival that was judged, `told`: the last that said more than where they were.
    """

    vault: Vault
    rows: dict[str, SealedPatient] = field(default_factory=dict)
    before: dict[str, Patient] = field(default_factory=dict)
    now: dict[str, Patient] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)
    spoke: dict[str, Arrival] = field(default_factory=dict)
    told: dict[str, Arrival] = field(default_factory=dict)
    _keys: dict[str, DataKey] = field(default_factory=dict)

    def key_of(self, ref: str | None) -> DataKey | Vault:
        """What to seal a patient's things with; the vault itself where no patient is known."""
        return self.own_key(ref) if ref in self.rows else self.vault

    def own_key(self, ref: str) -> DataKey:
        """The key of one of these patients."""
        key = self._keys.get(ref)
        if key is None:
            key = self._keys[ref] = self.vault.unwrap(self.rows[ref].wrapped_key)
        return key

    def whom(self, ref: str | None) -> Whom | None:
        """What decisions may depend on of a patient, as they are now."""
        if ref is None or (row := self.rows.get(ref)) is None:
            return None
        patient = self.now.get(ref)
        return patient.whom if patient else Whom(ref, payer_class_of(row.payer), row.household)

    def hear(self, arrival: Arrival) -> None:
        """Take in what an event says of its patient."""
        event = arrival.event
        if event is None or (data := event.data.patient) is None:
            return
        ref = data.ref
        if ref not in self.now:
            row = self.rows[ref]
            if row.version and self._knows(row, data):
                moved = said_again(data, event.time, event.data.location_id, row.location_id, row.said)
                if moved is not None:
                    row.said.update(moved)
                    self.moved |= {ref} if moved else set()
                    return
            self.before[ref] = self.now[ref] = _opened(row, self.own_key(ref))
        self.now[ref] = hear(self.now[ref], data, event.time, event.data.location_id, arrival.phone)
        self.spoke[ref] = arrival
        if says_more(data):
            self.told[ref] = arrival

    def heard_of(self, ref: str) -> bytes | None:
        """The mark to keep with a patient who was opened: of what was said last, where saying it again would change nothing."""
        if (arrival := self.told.get(ref)) is None or arrival.event is None or (data := arrival.event.data.patient) is None:
            return None
        return self._mark(data, self.now[ref].version) if is_settled(self.now[ref], data, arrival.phone) else None

    def _knows(self, row: SealedPatient, data: PatientData) -> bool:
        return not says_more(data) or (row.heard is not None and row.heard == self._mark(data, row.version))

    def _mark(self, data: PatientData, version: int) -> bytes:
        # With the version, so that whatever changes a patient ends it, a process of the version before too, which knows of no marks.
        said = b"%d %b" % (version, data.model_dump_json(exclude_none=True).encode())
        return self.own_key(data.ref).mark(said, TABLE, data.ref, "heard")


async def lock(vault: Vault, tx: Transaction, homes: Mapping[str, str]) -> Patients:
    """Lock the patients named, made with a key of their own where new. `homes`: reference → location that named them."""
    rows = await store.lock_patients(tx.conn, homes)
    missing = [ref for ref in homes if ref not in rows]
    if missing:
        await store.ensure_patients(tx.conn, [(ref, vault.new_key()[1], homes[ref]) for ref in missing])
        rows |= await store.lock_patients(tx.conn, missing)
    return Patients(vault, rows)


async def look_at(patients: Patients, tx: Transaction, refs: Collection[str]) -> None:
    """Add patients whom only their orders name, to be read and not changed."""
    patients.rows |= await store.see_patients(tx.conn, [ref for ref in refs if ref not in patients.rows])


async def save(patients: Patients, tx: Transaction) -> None:
    """Write those who changed and tell those that others should know of."""
    changed, noted = [], [patients.rows[ref] for ref in patients.moved if ref not in patients.now]
    for ref, after in patients.now.items():
        before, was = patients.before[ref], patients.rows[ref]
        if is_told(before, after):
            patients.now[ref] = replace(after, version=after.version + 1)
            row = _sealed(patients, patients.now[ref], patients.heard_of(ref))
            changed.append(row)
            tx.say(_changed(row), cause=patients.spoke.get(ref))
            continue
        heard = patients.heard_of(ref) or was.heard
        if after is not before or ref in patients.moved or heard != was.heard:
            noted.append(structs.replace(was, said=_times(after), heard=heard))
    await store.save_patients(tx.conn, changed)
    await store.note_patients(tx.conn, noted)


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


def _opened(row: SealedPatient, key: DataKey) -> Patient:
    ref = row.patient_ref
    plain = {name: key.open(sealed, TABLE, ref, name) for name in _SEALED if (sealed := getattr(row, name)) is not None}
    return Patient(
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


def _sealed(patients: Patients, patient: Patient, heard: bytes | None) -> SealedPatient:
    """The row; a field that did not change keeps its ciphertext."""
    ref, key, before, was = patient.ref, patients.own_key(patient.ref), patients.before[patient.ref], patients.rows[patient.ref]
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
        said=_times(patient),
        version=patient.version,
        heard=heard,
    )


def _times(patient: Patient) -> dict[str, str]:
    return {name: at.isoformat() for name, at in patient.said.items()}


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
