"""Master keys, patients' keys and the blind index.

Called by: use cases through the `Vault` that the process holds.
Invariant: the current master key seals, every held one opens; a data key leaves this room only wrapped.
"""

import base64
import hmac
import os
from collections.abc import Mapping
from typing import NoReturn, Self
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.vault.envelope import (
    DATA,
    KEY_BYTES,
    KEY_ID_BYTES_MAX,
    MASTER,
    WRAPPED,
    Unreadable,
    key_id_of,
    place_of,
    seal,
    unseal,
)

DATA_KEY_ID_BYTES = 8
MARK_BYTES = 16

_WRAPPING = place_of("data-key", "", "")
_MARKING = b"amends mark v1"

RowId = str | UUID


class _Secret:
    """Holds key material: not copied by pickle, not shown by repr."""

    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is not to be copied out of the process")


class DataKey(_Secret):
    """One patient's key (or a case's own): what is sealed with it is lost for good when its wrapped form is erased."""

    __slots__ = ("_cipher", "_id", "_key")

    def __init__(self, key_id: bytes, key: bytes) -> None:
        self._id, self._key, self._cipher = key_id, key, AESGCM(key)

    def seal(self, text: str, table: str, row: RowId, field: str) -> bytes:
        """The ciphertext of a text, bound to its table, row and field."""
        return self.seal_bytes(text.encode(), table, row, field)

    def open(self, sealed: bytes, table: str, row: RowId, field: str) -> str:
        """The text again. Unreadable when it was changed, moved, or sealed under another key."""
        return _text(self.open_bytes(sealed, table, row, field))

    def seal_bytes(self, plain: bytes, table: str, row: RowId, field: str) -> bytes:
        """`seal` for raw bytes."""
        return seal(self._cipher, DATA, self._id, plain, place_of(table, row, field))

    def open_bytes(self, sealed: bytes, table: str, row: RowId, field: str) -> bytes:
        """`open` for raw bytes."""
        if key_id_of(sealed, DATA) != self._id:
            raise Unreadable("unknown-key", "the ciphertext was sealed under another data key")
        return unseal(self._cipher, sealed, place_of(table, row, field))

    def mark(self, plain: bytes, table: str, row: RowId, field: str) -> bytes:
        """A keyed hash to know the same bytes in the same place again without keeping them: 16 bytes, useless once the key is erased.

        HMAC-SHA256 under a key made of the data key by HMAC (as HKDF, RFC 5869, expands one), so that one key never serves two ciphers.
        """
        return hmac.digest(hmac.digest(self._key, _MARKING, "sha256"), place_of(table, row, field) + plain, "sha256")[:MARK_BYTES]

    def __repr__(self) -> str:
        return f"DataKey({self._id.hex()})"


class Vault(_Secret):
    """The master keys of this process. Build it with `from_keys`."""

    __slots__ = ("_ciphers", "_current", "_index_key")

    def __init__(self, current: bytes, ciphers: Mapping[bytes, AESGCM], index_key: bytes) -> None:
        self._current, self._ciphers, self._index_key = current, ciphers, index_key

    @classmethod
    def from_keys(cls, current_id: str, keys: Mapping[str, bytes], index_key: bytes) -> Self:
        """`keys`: id to 32 bytes, the current one and those still needed to read; `index_key`: 32 bytes, never rotated.

        ValueError, which never shows a key, when one has the wrong length or the current one is missing.
        """
        if current_id not in keys:
            raise ValueError(f"the current master key {current_id!r} is not among the keys")
        for key_id, key in keys.items():
            if not 1 <= len(key_id.encode()) <= KEY_ID_BYTES_MAX:
                raise ValueError(f"a key id has 1 to {KEY_ID_BYTES_MAX} bytes")
            if len(key) != KEY_BYTES:
                raise ValueError(f"the master key {key_id!r} has {len(key)} bytes, it needs {KEY_BYTES}")
        if len(index_key) != KEY_BYTES:
            raise ValueError(f"the index key has {len(index_key)} bytes, it needs {KEY_BYTES}")
        if any(hmac.compare_digest(index_key, key) for key in keys.values()):
            raise ValueError("the index key must not be one of the master keys")
        return cls(current_id.encode(), {key_id.encode(): AESGCM(key) for key_id, key in keys.items()}, index_key)

    @classmethod
    def from_text(cls, current_id: str, keys: Mapping[str, str], index_key: str) -> Self:
        """`from_keys` with each key as settings hold it: 32 bytes in base64. ValueError, which never shows a key."""
        return cls.from_keys(current_id, {key_id: _raw(key) for key_id, key in keys.items()}, _raw(index_key))

    def new_key(self) -> tuple[DataKey, bytes]:
        """A new data key and its wrapped form, which is to be stored; erasing that erases what was sealed."""
        key_id, key = os.urandom(DATA_KEY_ID_BYTES), fresh_key()
        return DataKey(key_id, key), self._wrap(key_id + key)

    def unwrap(self, wrapped: bytes | None) -> DataKey:
        """The data key again. Unreadable: "erased" when there is none (None or empty), else as `Unreadable` says."""
        material = self._unwrap(wrapped)
        return DataKey(material[:DATA_KEY_ID_BYTES], material[DATA_KEY_ID_BYTES:])

    def rewrap(self, wrapped: bytes) -> bytes:
        """The same data key under the current master key, for rotation; what is wrapped by it already comes back as it is."""
        return wrapped if self.is_current(wrapped) else self._wrap(self._unwrap(wrapped))

    def is_current(self, wrapped: bytes) -> bool:
        """Whether a wrapped key is under the current master key."""
        return key_id_of(wrapped, WRAPPED) == self._current

    def seal(self, text: str, table: str, row: RowId, field: str) -> bytes:
        """The ciphertext of a text under the current master key: for rows that belong to no patient."""
        return self.seal_bytes(text.encode(), table, row, field)

    def open(self, sealed: bytes, table: str, row: RowId, field: str) -> str:
        """The text that `seal` sealed, under whichever held master key. Unreadable otherwise."""
        return _text(self.open_bytes(sealed, table, row, field))

    def seal_bytes(self, plain: bytes, table: str, row: RowId, field: str) -> bytes:
        """`seal` for raw bytes."""
        return seal(self._ciphers[self._current], MASTER, self._current, plain, place_of(table, row, field))

    def open_bytes(self, sealed: bytes, table: str, row: RowId, field: str) -> bytes:
        """`open` for raw bytes."""
        return unseal(self._cipher(sealed, MASTER), sealed, place_of(table, row, field))

    def index(self, purpose: str, value: str) -> str:
        """The blind index of a value for one purpose: 64 hex digits, equal for equal values, useless without the key.

        HMAC-SHA256 (RFC 2104) over the purpose, its length in front, and the value as given: callers normalise first (E.164).
        """
        name = purpose.encode()
        return hmac.digest(self._index_key, len(name).to_bytes(4, "big") + name + value.encode(), "sha256").hex()

    def _wrap(self, material: bytes) -> bytes:
        return seal(self._ciphers[self._current], WRAPPED, self._current, material, _WRAPPING)

    def _unwrap(self, wrapped: bytes | None) -> bytes:
        if not wrapped:
            raise Unreadable("erased", "the key was erased: what it sealed cannot be read again")
        material = unseal(self._cipher(wrapped, WRAPPED), wrapped, _WRAPPING)
        if len(material) != DATA_KEY_ID_BYTES + KEY_BYTES:
            raise Unreadable("malformed")
        return material

    def _cipher(self, sealed: bytes, kind: int) -> AESGCM:
        key_id = key_id_of(sealed, kind)
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise Unreadable("unknown-key", f"the master key {key_id.decode('utf-8', 'replace')!r} is not held here")
        return cipher

    def __repr__(self) -> str:
        return f"Vault(current={self._current.decode()!r}, {len(self._ciphers)} keys)"


def _raw(key: str) -> bytes:
    try:
        raw = base64.b64decode(key, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != KEY_BYTES:
        raise ValueError("a vault key is not 32 bytes in base64; make one with `openssl rand -base64 32`")
    return raw


def fresh_key() -> bytes:
    """32 random bytes, for a master, index or data key."""
    return os.urandom(KEY_BYTES)


def _text(plain: bytes) -> str:
    try:
        return plain.decode()
    except UnicodeDecodeError:
        raise Unreadable("malformed", "what was sealed is not text") from None
