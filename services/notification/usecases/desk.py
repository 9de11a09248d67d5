"""What the use cases of notification stand on, and how they read a number, a name and a text."""

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

from services.notification.domain.notice import Channel, Notice
from services.notification.domain.templates import Words
from services.notification.domain.window import Rules
from services.notification.gateway import Gateway, Webhooks
from services.notification.store.people import Patient
from shared.messaging import Engine
from shared.vault import DataKey, Unreadable, Vault

# Calls to the provider that may be under way at the same time.
LANES = 32
NUMBER = "phone"


@dataclass(frozen=True)
class Desk:
    """`public_url` is how the provider reaches us, `pages_url` where patients' pages are, `contact` the number that HELP names,
    `webhook_token` what the provider signs with. Without a provider (`has_provider`) texts wait; without `mail` or `webhooks` pages that
    were to leave by these are texts instead."""

    engine: Engine
    vault: Vault
    words: Words
    rules: Rules
    gateway: Gateway
    public_url: str
    pages_url: str
    programme: str
    webhook_token: str
    contact: str | None = None
    provider_confirms_stop: bool = False
    has_provider: bool = True
    mail: Gateway | None = None
    webhooks: Webhooks | None = None
    lanes: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LANES))

    def gateway_of(self, channel: Channel) -> Gateway:
        """Who takes what leaves by a channel."""
        others: dict[Channel, Gateway | None] = {"email": self.mail, "webhook": self.webhooks}
        return others.get(channel) or self.gateway

    def index(self, number: str) -> str:
        """The keyed hash of a number in E.164: the same that intake puts on a patient."""
        return self.vault.index(NUMBER, number)

    def number_of(self, patient: Patient) -> str | None:
        """The patient's number, or None: there is none, or the patient was erased."""
        if patient.phone is None:
            return None
        try:
            return self.vault.unwrap(patient.wrapped_key).open(patient.phone, "patients", patient.patient_ref, "phone")
        except Unreadable:
            return None

    def seal(self, patient: Patient | None, text: str, notice_id: UUID, part: str) -> bytes:
        """Ciphertext of a part (`body`, `to_number`) of a notice: under the patient's key where there is one."""
        return self._key(patient).seal(text, "notices", str(notice_id), part)

    def open(self, patient: Patient | None, sealed: bytes, notice_id: UUID, part: str) -> str:
        """The inverse of `seal`. Raises Unreadable for an erased patient."""
        return self._key(patient).open(sealed, "notices", str(notice_id), part)

    def seal_message(self, patient: Patient | None, text: str, message_id: UUID, part: str) -> bytes:
        """Ciphertext of a part (`body`, `sender`) of a text from somebody."""
        return self._key(patient).seal(text, "messages", str(message_id), part)

    def open_message(self, patient: Patient | None, sealed: bytes, message_id: UUID, part: str) -> str:
        """The inverse of `seal_message`. Raises Unreadable for an erased patient."""
        return self._key(patient).open(sealed, "messages", str(message_id), part)

    def _key(self, patient: Patient | None) -> DataKey | Vault:
        return self.vault.unwrap(patient.wrapped_key) if patient is not None else self.vault


def patient_key_of(notice: Notice, patients: dict[str, Patient]) -> Patient | None:
    """Whose key a notice's ciphertexts are under: its patient's, else nobody's (the master key)."""
    return patients.get(notice.patient_ref) if notice.patient_ref is not None else None
