"""The keys of an embedded Amends: made once, kept in the data folder, readable by its owner alone.

Called by the stack. Outside embedded mode nothing starts with keys that nobody chose.
"""

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.embedded.processes import EmbeddedError


@dataclass(frozen=True)
class Keys:
    """Base64 of 32 bytes each, but for the provider's account, which has the form Twilio gives."""

    master_key: str
    index_key: str
    signing_key: str
    sms_account: str
    sms_token: str

    @property
    def signing(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(base64.b64decode(self.signing_key))


def keys_of(data: Path) -> Keys:
    """The keys of this data folder, made where there are none. Raises EmbeddedError where the file is damaged."""
    file = data / "keys.json"
    if file.exists():
        try:
            return Keys(**json.loads(file.read_text("utf-8")))
        except (ValueError, TypeError) as fault:
            raise EmbeddedError(f"{file} is damaged; put back a copy of it, or name another folder with --data DIR.") from fault
    keys = Keys(_random(), _random(), _random(), "AC" + secrets.token_hex(16), secrets.token_hex(16))
    fresh = file.with_suffix(".new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        json.dump(asdict(keys), out)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)
    return keys


def _random() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()
