"""Encrypted fields: contact data and words are ciphertext wherever they rest or travel.

Owns: `Vault` (the master keys and the blind index), `DataKey` (one patient's key), the ciphertext's layout.
Called by: use cases, which seal before they store and open for the person who may look; the idempotency store.
Invariant: a ciphertext opens only in the table, row and field it was sealed for, under the key it names; once a patient's wrapped key is
gone nothing sealed under it can be read again; nothing here prints a key.
"""

from shared.vault.envelope import KEY_BYTES, Unreadable
from shared.vault.keys import DataKey, Vault, fresh_key

__all__ = ["KEY_BYTES", "DataKey", "Unreadable", "Vault", "fresh_key"]
