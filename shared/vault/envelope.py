"""The layout of a ciphertext and the one place where AES-GCM is called.

Layout: version (1 byte) | kind (1) | length of the key id (1) | key id | nonce (12) | ciphertext and tag (16 more than the text).
The header and the place (table, row, field) are authenticated beside the text, each with its length in front, so that no two places
can be spelled alike.
Source: NIST SP 800-38D. A random 96-bit nonce is good for 2**32 messages a key; a patient's key sees a few hundred, and a master key
that seals rows without a patient is rotated long before.
"""

import os
from struct import Struct
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.kernel.errors import AmendsError

Reason = Literal["tampered", "malformed", "unknown-key", "erased"]

VERSION = 1
MASTER, DATA, WRAPPED = 1, 2, 3  # sealed under a master key; under a data key; a data key itself, under a master key
KEY_BYTES = 32
KEY_ID_BYTES_MAX = 64

_HEAD = 3
_NONCE = 12
_TAG = 16
_LENGTH = Struct(">I").pack


class Unreadable(AmendsError):
    """A ciphertext cannot be opened.

    `reason`: "erased" (the patient's key is gone for good), "unknown-key" (sealed under a key that is not held here), "malformed" (no
    ciphertext of ours), "tampered" (changed, moved to another place, or another key under the same id).
    """

    def __init__(self, reason: Reason, detail: str | None = None) -> None:
        super().__init__(detail or f"the ciphertext cannot be opened: {reason}")
        self.reason: Reason = reason


def seal(cipher: AESGCM, kind: int, key_id: bytes, plain: bytes, place: bytes) -> bytes:
    """The ciphertext of `plain`, bound to its place."""
    head = bytes((VERSION, kind, len(key_id))) + key_id
    nonce = os.urandom(_NONCE)
    return head + nonce + cipher.encrypt(nonce, plain, head + place)


def key_id_of(sealed: bytes, kind: int) -> bytes:
    """The id of the key that a ciphertext names. Unreadable("malformed") for what is no ciphertext of this kind."""
    if len(sealed) < _HEAD or sealed[0] != VERSION or sealed[1] != kind or len(sealed) < _HEAD + sealed[2] + _NONCE + _TAG:
        raise Unreadable("malformed")
    return bytes(sealed[_HEAD : _HEAD + sealed[2]])


def unseal(cipher: AESGCM, sealed: bytes, place: bytes) -> bytes:
    """The plain bytes of a ciphertext whose header `key_id_of` has read. Unreadable("tampered") when it does not verify."""
    head = _HEAD + sealed[2]
    nonce = head + _NONCE
    try:
        return cipher.decrypt(sealed[head:nonce], sealed[nonce:], sealed[:head] + place)
    except InvalidTag:
        raise Unreadable("tampered") from None


def place_of(table: str, row: object, field: str) -> bytes:
    """Table, row and field as authenticated beside the text."""
    first, second, third = table.encode(), str(row).encode(), field.encode()
    return b"%b%b%b%b%b%b" % (_LENGTH(len(first)), first, _LENGTH(len(second)), second, _LENGTH(len(third)), third)
