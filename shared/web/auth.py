"""Who is asking, and what they may.

Three kinds of asker: a machine with an API key (checked against the local copy of the directory), a person whom the console vouches for
with a signed assertion of 60 seconds, and a patient behind a verified link, limited to one case. Called by the middleware of every
service's router. Invariant: scopes come from the key's row or from the role table below, never from the token that was sent, and all
of this runs on machine time.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.handlers.base import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from shared.kernel.clock import machine_now
from shared.kernel.errors import Rejected

PUBLIC = {"public": True}  # route option: needs no key, no session; `principal` is not injected there
KEY_PREFIX = "amk_"
ASSERTION_SECONDS = 60
SKEW_SECONDS = 5
CACHE_LIMIT = 4096

SCOPES = frozenset(
    {
        "events:write", "cases:read", "cases:write", "restitutions:read", "restitutions:write",
        "notices:read", "notices:write", "directory:write", "policies:write", "parked:write",
    }
)  # fmt: skip
_FLOOR = frozenset(
    {"events:write", "cases:read", "cases:write", "restitutions:read", "restitutions:write", "notices:read", "notices:write"}
)
ROLE_SCOPES: dict[str, frozenset[str]] = {
    "associate": _FLOOR,
    "store_manager": _FLOOR,
    "regional_manager": _FLOOR,
    # Reviews what is referred for a federal payer, and publishes policies; does not work cases.
    "compliance": frozenset({"cases:read", "restitutions:read", "restitutions:write", "notices:read", "policies:write"}),
    "admin": SCOPES,
}
PATIENT_SCOPES = frozenset({"cases:read", "restitutions:read", "notices:read"})
_SEES_EVERYTHING = ("admin", "compliance")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `staff_id`, `role`, `locations` and `regions` are a person's (or those of the person a key acts as)."""

    kind: Literal["key", "person", "patient"]
    id: str
    staff_id: str | None = None
    role: str | None = None
    locations: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    scopes: frozenset[str] = frozenset()
    case_id: str | None = None

    def may(self, scope: str) -> bool:
        """Whether the scope is held."""
        return scope in self.scopes

    def sees(self, location_id: str | None, region: str | None) -> bool:
        """Whether what happened at this location, in this region, is this asker's to see. A machine's key sees every store."""
        if self.kind == "patient":
            return False
        if self.role is None or self.role in _SEES_EVERYTHING:
            return self.role is not None or self.kind == "key"
        return (location_id is not None and location_id in self.locations) or (region is not None and region in self.regions)

    def sees_case(self, case_id: str, location_id: str | None, region: str | None) -> bool:
        """Like `sees`, and for a patient the one case of the link."""
        return self.case_id == case_id if self.kind == "patient" else self.sees(location_id, region)

    @property
    def actor(self) -> str:
        """How audit rows name the asker: the person where there is one."""
        return f"staff:{self.staff_id}" if self.staff_id else f"{self.kind}:{self.id}"


@dataclass(frozen=True, slots=True)
class Access:
    """A key as the local copy of the directory knows it, with the person it acts as, if any. `hash` is the SHA-256 (hex) of the secret."""

    key_id: str
    hash: str
    scopes: frozenset[str] = frozenset()
    revoked: bool = False
    staff_id: str | None = None
    role: str | None = None
    locations: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()


Lookup = Callable[[str], Awaitable[Access | None]]
Sessions = Callable[[ASGIConnection[Any, Any, Any, Any]], Awaitable[Principal | None]]
# Litestar runs a guard that is no coroutine in a thread: a hand-over there and back for each request.
Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]


def hash_secret(secret: str) -> str:
    """SHA-256 in hex. The secret has 192 random bits, so there is nothing to stretch."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def mint_assertion(private_key: Ed25519PrivateKey, principal: Principal, audience: str, now: datetime) -> str:
    """A token that says for 60 seconds, to one service (`audience`), who the person or the patient is. `now` is machine time."""
    claims = {
        "aud": audience, "iat": int(now.timestamp()), "exp": int(now.timestamp()) + ASSERTION_SECONDS,
        "kind": principal.kind, "id": principal.id, "staff_id": principal.staff_id, "role": principal.role,
        "locations": principal.locations, "regions": principal.regions, "case_id": principal.case_id,
    }  # fmt: skip
    payload = _b64(json.dumps(claims, separators=(",", ":")).encode())
    return f"v1.{payload}.{_b64(private_key.sign(_signed(payload)))}"


def verify_assertion(public_key: Ed25519PublicKey, token: str, audience: str, now: datetime) -> Principal:
    """The person or patient the token vouches for; a key is never vouched for. Raises Rejected `unauthenticated` for anything else."""
    try:
        version, payload, signature = token.split(".")
        public_key.verify(_unb64(signature), _signed(payload))
        claims = json.loads(_unb64(payload))
        fresh = claims["iat"] - SKEW_SECONDS <= now.timestamp() < claims["exp"] <= claims["iat"] + ASSERTION_SECONDS
        if version != "v1" or not fresh or not hmac.compare_digest(claims["aud"], audience):
            raise _unauthenticated()
        return _vouched(claims)
    except (ValueError, TypeError, KeyError, InvalidSignature, binascii.Error):
        raise _unauthenticated() from None


def _vouched(claims: dict[str, Any]) -> Principal:
    if claims["kind"] == "patient":
        if not claims["case_id"]:
            raise _unauthenticated()
        return Principal("patient", claims["id"], scopes=PATIENT_SCOPES, case_id=claims["case_id"])
    if claims["kind"] != "person" or not claims["staff_id"]:
        raise _unauthenticated()
    return Principal(
        kind="person",
        id=claims["id"],
        staff_id=claims["staff_id"],
        role=claims["role"],
        locations=tuple(claims["locations"]),
        regions=tuple(claims["regions"]),
        scopes=ROLE_SCOPES[claims["role"]],
    )


class Auth:
    """How one service knows who asks."""

    def __init__(
        self,
        *,
        audience: str,
        lookup: Lookup,
        console_key: Ed25519PublicKey | None = None,
        version: Callable[[], Hashable] = lambda: None,
        sessions: Sessions | None = None,
    ) -> None:
        """`lookup` reads the local copy of access; what it found is kept until `version()` changes (it counts changes of access and staff).

        Without a version that moves, nothing is kept. `sessions` is tried where no Authorization header came (the console's cookies).
        """
        self._audience, self._lookup, self._console_key = audience, lookup, console_key
        self._version, self._sessions = version, sessions
        self._kept: OrderedDict[str, Access] = OrderedDict()
        self._kept_version: Hashable = None

    async def identify(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Principal | None:
        """The asker, or None where nothing was shown. Raises Rejected `unauthenticated` for a key or token that is wrong."""
        header = connection.headers.get("authorization")
        if header is None:
            return await self._sessions(connection) if self._sessions else None
        method, _, token = header.partition(" ")
        token = token.strip()
        if method.lower() != "bearer" or not token or len(token) > 8192:
            raise _unauthenticated()
        if token.startswith(KEY_PREFIX):
            return await self._by_key(token)
        if self._console_key is None:
            raise _unauthenticated()
        return verify_assertion(self._console_key, token, self._audience, machine_now())

    async def _by_key(self, token: str) -> Principal:
        key_id, _, secret = token.removeprefix(KEY_PREFIX).partition("_")
        access = await self._access(key_id) if 0 < len(key_id) <= 64 and key_id.isalnum() and key_id.isascii() else None
        # An unknown key costs the same comparison as a known one.
        fits = hmac.compare_digest(hash_secret(secret), access.hash if access else hash_secret(""))
        if access is None or not fits or not secret or access.revoked:
            raise _unauthenticated()
        scopes = access.scopes | (ROLE_SCOPES.get(access.role or "", frozenset()) if access.staff_id else frozenset())
        return Principal("key", key_id, access.staff_id, access.role, access.locations, access.regions, scopes)

    async def _access(self, key_id: str) -> Access | None:
        version = self._version()
        if version != self._kept_version:
            self._kept.clear()
            self._kept_version = version
        if key_id in self._kept:
            self._kept.move_to_end(key_id)
            return self._kept[key_id]
        access = await self._lookup(key_id)
        if access is not None and version is not None and version == self._version():
            self._kept[key_id] = access
            if len(self._kept) > CACHE_LIMIT:
                self._kept.popitem(last=False)
        return access


class Doorkeeper(ASGIMiddleware):
    """A middleware that holds on to things which are one of a kind: keys, pools, caches."""

    scopes = (ScopeType.HTTP,)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Litestar copies a router, with all that hangs on it, when it is registered; a pool has no copy."""
        return self


class AuthMiddleware(Doorkeeper):
    """Puts the asker into `scope["user"]`; a route that is not PUBLIC refuses one who shows nothing with 401, before the body is read."""

    def __init__(self, auth: Auth) -> None:
        self._auth = auth

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Litestar calls this after routing, so the route's options are known."""
        handler = cast("BaseRouteHandler", scope["route_handler"])
        public = bool(handler.opt.get("public"))
        connection: ASGIConnection[Any, Any, Any, Any] = ASGIConnection(scope, receive, send)
        try:
            scope["user"] = await self._auth.identify(connection)
        except Rejected:
            if not public:
                raise
            scope["user"] = None
        if scope["user"] is None and not public and scope.get("method") != "OPTIONS":
            raise _unauthenticated()
        await next_app(scope, receive, send)


def requires(*scopes: str, patient_too: bool = False) -> Guard:
    """A Litestar guard: every one of `scopes`, else 403. A patient's link passes only where `patient_too` says so; there the handler
    holds `principal.sees_case(...)` against the one case."""
    unknown = set(scopes) - SCOPES
    if unknown:
        raise ValueError(f"no such scope: {sorted(unknown)}")

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        principal = connection.scope.get("user")
        if not isinstance(principal, Principal):
            raise _unauthenticated()
        missing = [scope for scope in scopes if not principal.may(scope)]
        if missing or (principal.kind == "patient" and not patient_too):
            raise Rejected("forbidden", "This key or person may not do that.", needs=missing or list(scopes))

    return guard


def requires_any(*scopes: str) -> Guard:
    """A Litestar guard: one of `scopes`, else 403; not for a patient's link."""
    either = scopes
    if unknown := set(either) - SCOPES:
        raise ValueError(f"no such scope: {sorted(unknown)}")

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        principal = principal_of(connection)
        if principal.kind == "patient" or not any(principal.may(scope) for scope in either):
            raise Rejected("forbidden", "This key or person may not do that.", needs=list(either))

    return guard


def principal_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Principal:
    """The asker of a request that is not PUBLIC."""
    principal = connection.scope.get("user")
    if not isinstance(principal, Principal):
        raise _unauthenticated()
    return principal


def _unauthenticated() -> Rejected:
    return Rejected("unauthenticated", "A valid key or session is needed.")


def _signed(payload: str) -> bytes:
    return b"amends assertion v1." + payload.encode()


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
