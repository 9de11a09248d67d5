"""Signatures of incoming webhooks, each as its vendor defines it.

Called by the webhook doors with the raw body and the public URL from the configuration (never the `Host` header). Invariant: every
function answers bool and raises nothing, whatever arrives; comparisons take the same time for every wrong signature.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit, urlunsplit

TOLERANCE_SECONDS = 300  # Standard Webhooks, both ways
_DEFAULT_PORTS = {"https": 443, "http": 80}
_SECRET_PREFIX = "whsec_"


def twilio(token: str, url: str, params: Mapping[str, Any] | None, body: bytes | None, signature: str | None) -> bool:
    """Twilio's `X-Twilio-Signature`: base64 HMAC-SHA1 over the URL and the sorted form fields (each with its distinct values, sorted).

    A JSON post has no fields: its URL carries `bodySHA256`, which must be the hash of `body`. The URL counts with and without its standard
    port, since proxies add or drop it. `params` maps a name to a string or to a list of strings.
    """
    try:
        if not token or not url or not signature:
            return False
        if params is None and not _body_hash_fits(url, body):
            return False
        fields = "".join(key + value for key in sorted(params or {}) for value in _values((params or {})[key]))
        wanted = [_base64_hmac("sha1", token.encode(), (spelling + fields).encode()) for spelling in _spellings(url)]
        return any(_same(signature, one) for one in wanted)
    except (ValueError, TypeError, AttributeError):
        return False


def square(key: str, url: str, body: bytes, signature: str | None) -> bool:
    """Square's `x-square-hmacsha256-signature`: base64 HMAC-SHA256 over the notification URL and the raw body."""
    try:
        if not key or not url or not signature:
            return False
        return _same(signature, _base64_hmac("sha256", key.encode(), url.encode() + body))
    except (ValueError, TypeError, AttributeError):
        return False


def shopify(secret: str, body: bytes, signature: str | None) -> bool:
    """Shopify's `X-Shopify-Hmac-SHA256`: base64 HMAC-SHA256 over the raw body."""
    try:
        if not secret or not signature:
            return False
        return _same(signature, _base64_hmac("sha256", secret.encode(), body))
    except (ValueError, TypeError, AttributeError):
        return False


def standard(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Standard Webhooks: `v1,` base64 HMAC-SHA256 over `id.timestamp.body`, within 300 s of `now` (machine time) either way.

    Several secrets (during a rotation) and several signatures in the header are tried, each against each. Secrets are base64, with or
    without `whsec_`; one that is empty or no base64 fits nothing.
    """
    try:
        given = {str(name).lower(): str(value) for name, value in headers.items()}
        message_id, timestamp, signatures = (given.get("webhook-" + part, "") for part in ("id", "timestamp", "signature"))
        if not message_id or not signatures or not re.fullmatch(r"[0-9]{1,12}", timestamp):
            return False
        if abs(now.timestamp() - int(timestamp)) > TOLERANCE_SECONDS:
            return False
        signed = f"{message_id}.{timestamp}.".encode() + body
        offered = [one.removeprefix("v1,") for one in signatures.split(" ")[:20] if one.startswith("v1,")]
        keys = [key for key in (_decoded(secret) for secret in secrets) if key]
        wanted = [_base64_hmac("sha256", key, signed) for key in keys]
        return any(_same(one, other) for one in offered for other in wanted)
    except (ValueError, TypeError, AttributeError, OverflowError):
        return False


def _body_hash_fits(url: str, body: bytes | None) -> bool:
    claimed = parse_qs(urlsplit(url).query).get("bodySHA256")
    if not claimed or body is None:
        return False
    return _same(claimed[0].lower(), hashlib.sha256(body).hexdigest())


def _values(value: object) -> list[str]:
    return sorted(set(value)) if isinstance(value, list | tuple | set | frozenset) else [str(value)]


def _spellings(url: str) -> list[str]:
    """The URL as given, and with its standard port added or any port left out."""
    parts = urlsplit(url)
    default = _DEFAULT_PORTS.get(parts.scheme)
    found = [url]
    if parts.port is not None:
        found.append(_with_netloc(parts, parts.netloc.rpartition(":")[0]))
    elif default is not None:
        found.append(_with_netloc(parts, f"{parts.netloc}:{default}"))
    return found


def _with_netloc(parts: SplitResult, netloc: str) -> str:
    return urlunsplit(parts._replace(netloc=netloc))


def _decoded(secret: str) -> bytes | None:
    try:
        return base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None


def _base64_hmac(algorithm: str, key: bytes, message: bytes) -> str:
    return base64.b64encode(hmac.new(key, message, algorithm).digest()).decode()


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode())
