"""Idempotency-Key: the same request sent twice is done once.

Called by the middleware stack of every service's router, after the asker is known and the body is read. Invariant: a row is answered iff
`status` is not null; while it is not, only the holder of its highest `token` may answer it or commit anything, and only until `lease_until`
(machine time) is it in flight; after that the next request with the key and the same body runs, unless the first has committed: then its
answer was lost with its process, and whoever asks is told so (`answer-lost`) instead of having it done twice.
Each service keeps its own rows, so one app may hold the routers of several.
"""

import asyncio
import hashlib
import hmac
import json
import re
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol, cast

import asyncpg
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.utils.scope.state import ScopeState

from shared.db import DATABASE_DOWN, Pool
from shared.kernel.errors import Rejected, Transient
from shared.messaging import Transaction
from shared.telemetry import logs
from shared.telemetry.metrics import IDEMPOTENT_ANSWERS
from shared.web.auth import Doorkeeper, Principal

LEASE = timedelta(seconds=60)
KEPT = timedelta(hours=24)
ANSWER_LIMIT = 1024 * 1024  # bytes; a longer answer is not kept, its request may run again
PURGE_SECONDS = 300.0
PURGE_ROWS = 1000
# What an answer that is given again keeps of its headers.
KEPT_HEADERS = (b"content-type", b"location", b"etag")
# Answers that say nothing about the request itself: the key stays free.
NOT_KEPT = frozenset({401, 403, 408, 413, 429})
# A structured-field string (RFC 8941), as the IETF draft for Idempotency-Key has it: printable ASCII in quotes.
_KEY = re.compile(rb'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,255})"')

# Claims a key that is new, whose answer is older than 24 hours, or whose holder let its lease run out; no row comes back otherwise.
CLAIM = """
insert into idempotency_keys as k (key_hash, fingerprint, token, lease_until, created_at)
values ($1, $2, 1, clock_timestamp() + $3::interval, clock_timestamp())
on conflict (key_hash) do update
   set token = k.token + 1, lease_until = excluded.lease_until, fingerprint = excluded.fingerprint,
       status = null, headers = null, body = null, is_done = false, created_at = excluded.created_at
 where k.created_at < clock_timestamp() - $4::interval
    or (k.status is null and not k.is_done and k.lease_until < clock_timestamp() and k.fingerprint = excluded.fingerprint)
returning token
"""
# What became of a key that could not be claimed.
READ = """
select fingerprint, status, headers, body, is_done and lease_until < clock_timestamp() as is_lost from idempotency_keys where key_hash = $1
"""
# In the transaction of the request: it is done, and whoever comes after a lost lease must not do it again.
DONE = "update idempotency_keys set is_done = true where key_hash = $1 and token = $2 and status is null and not is_done returning true"
# Stores the answer, if nobody claimed the key since.
ANSWER = "update idempotency_keys set status = $3, headers = $4, body = $5 where key_hash = $1 and token = $2 and status is null"
# Frees the key of a request that came to no answer worth keeping; what it has committed stays done.
RELEASE = """
with freed as (delete from idempotency_keys where key_hash = $1 and token = $2 and status is null and not is_done)
update idempotency_keys set lease_until = clock_timestamp() where key_hash = $1 and token = $2 and status is null and is_done
"""
# Forgets what is older than 24 hours, a bounded number at a time.
PURGE = """
delete from idempotency_keys where key_hash in (
  select key_hash from idempotency_keys where created_at < clock_timestamp() - $1::interval order by created_at limit $2
)
"""

log = logs.get("idempotency")


class Sealer(Protocol):
    """What `shared.vault.Vault` offers for rows without a patient: answers may hold a patient's words."""

    def seal(self, text: str, table: str, row: str, field: str) -> bytes:
        """The ciphertext of `text`, bound to its place."""
        ...

    def open(self, sealed: bytes, table: str, row: str, field: str) -> str:
        """The text again."""
        ...


@dataclass(slots=True)
class Claim:
    """The right to run the request of a key once; `is_marked` once a transaction has said that it is done."""

    key_hash: bytes
    token: int
    is_marked: bool = False


# The claim of the request that is being run.
CURRENT: ContextVar[Claim | None] = ContextVar("idempotency_claim", default=None)


async def mark_done(tx: Transaction) -> None:
    """Write into the transaction of a request with a key that it is done: with what it changes, or not at all.

    Called by the engine before a commit. Raises Rejected `in-flight`, and so nothing is committed, where the lease ran out meanwhile and
    another has taken the key over.
    """
    claim = CURRENT.get()
    if claim is None or claim.is_marked or not (tx.said or tx.timers or tx.audited):
        return
    if await tx.conn.fetchval(DONE, claim.key_hash, claim.token) is None:
        raise Rejected("in-flight", "The same request is being worked on.", headers={"retry-after": "1"})
    claim.is_marked = True


@dataclass
class Answer:
    """What the handler answered, gathered as it is sent."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    complete: bool = False

    @property
    def worth_keeping(self) -> bool:
        """Final answers about the request itself; a 5xx leaves the key free."""
        return self.complete and 200 <= self.status < 500 and self.status not in NOT_KEPT and len(self.body) <= ANSWER_LIMIT


def read_key(header: bytes) -> bytes:
    """The key in an Idempotency-Key header. Raises Rejected `bad-idempotency-key` unless it is one quoted string."""
    match = _KEY.fullmatch(header.strip(b" \t"))
    if match is None:
        raise Rejected("bad-idempotency-key", 'Idempotency-Key is a quoted string of up to 255 characters, like "8e03978e".')
    return match[1]


class IdempotencyMiddleware(Doorkeeper):
    """Answers a repeated POST from the stored row, and stores the answer of a new one."""

    def __init__(self, service: str, pool: Pool, sealer: Sealer | None = None) -> None:
        """`pool` is the service's own; `sealer` its vault, for services whose answers carry contact data or words."""
        self._service, self._pool, self._sealer = service, pool, sealer
        self._purged_at = 0.0

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Litestar calls this after routing, authentication and reading."""
        if scope["type"] != ScopeType.HTTP or scope["method"] != "POST":
            await next_app(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name == b"idempotency-key"]
        if not given:
            await next_app(scope, receive, send)
            return
        key = read_key(given[0] if len(given) == 1 else b"")
        asker = scope.get("user")
        if not isinstance(asker, Principal):
            # A public door knows no asker to keep answers for: two strangers must not read each other's.
            await next_app(scope, receive, send)
            return
        key_hash, fingerprint = _hashes(asker, scope, key)
        claim = await self._claim_or_answer(key_hash, fingerprint, send)
        if claim is not None:
            await self._run(claim, scope, receive, send, next_app)

    async def _claim_or_answer(self, key_hash: bytes, fingerprint: bytes, send: Send) -> Claim | None:
        """The claim, or None once the stored answer has been sent.

        Raises Rejected `in-flight` and `answer-lost` (409), `idempotency-key-reused` (422).
        """
        for _ in range(3):
            token = await self._pool.fetchval(CLAIM, key_hash, fingerprint, LEASE, KEPT)
            if token is not None:
                self._count("first")
                return Claim(key_hash, token)
            row = await self._pool.fetchrow(READ, key_hash)
            if row is None:
                continue  # released between the two statements
            if not hmac.compare_digest(bytes(row["fingerprint"]), fingerprint):
                self._count("reused")
                raise Rejected("idempotency-key-reused", "This Idempotency-Key was used for another request.")
            if row["is_lost"] and row["status"] is None:
                self._count("answer-lost")
                raise Rejected("answer-lost", "This request was done, and its answer was lost; read what it was about.")
            if row["status"] is None:
                self._count("in-flight")
                raise Rejected("in-flight", "The same request is being worked on.", headers={"retry-after": "1"})
            self._count("repeated")
            await self._send_again(key_hash, row, send)
            return None
        raise Transient("the key is being claimed and released by others")

    async def _run(self, claim: Claim, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Run the request, keep its answer, and only then let the last byte out: who has the answer finds it stored."""
        answer = Answer()
        held: list[Message] = []

        async def gather(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status, answer.headers = message["status"], list(message["headers"])
                held.append(message)
            elif message["type"] == "http.response.body" and not answer.complete:
                answer.body += message.get("body", b"")
                answer.complete = not message.get("more_body", False)
                held.append(message)
            else:
                await send(message)

        settled, before = False, CURRENT.set(claim)
        try:
            # Litestar answers a handler's exception inside of every middleware, so a problem comes here as an answer too.
            await next_app(scope, receive, cast("Send", gather))
            await self._settle(claim, answer)
            settled = True
        finally:
            CURRENT.reset(before)
            if not settled:
                await asyncio.shield(self._release(claim))
        for message in held:
            await send(message)
        await self._purge_sometimes()

    async def _settle(self, claim: Claim, answer: Answer) -> None:
        if not answer.worth_keeping:
            await self._release(claim)
            return
        kept = {name.decode(): value.decode("latin-1") for name, value in answer.headers if name.lower() in KEPT_HEADERS}
        body = bytes(answer.body)
        if self._sealer is not None:
            body = self._sealer.seal(body.decode("utf-8"), "idempotency_keys", claim.key_hash.hex(), "body")
        try:
            await self._pool.execute(ANSWER, claim.key_hash, claim.token, answer.status, kept, body)
        except DATABASE_DOWN as error:
            # The work is done and the answer true: give it. The key stays in flight until its lease ends.
            log.warning("an idempotent answer could not be stored", service=self._service, exc_info=error)

    async def _release(self, claim: Claim) -> None:
        try:
            await self._pool.execute(RELEASE, claim.key_hash, claim.token)
        except DATABASE_DOWN as error:
            log.warning("an idempotency key could not be released", service=self._service, exc_info=error)

    async def _send_again(self, key_hash: bytes, row: asyncpg.Record, send: Send) -> None:
        body = bytes(row["body"])
        if self._sealer is not None:
            body = self._sealer.open(body, "idempotency_keys", key_hash.hex(), "body").encode()
        kept = row["headers"] if isinstance(row["headers"], dict) else json.loads(row["headers"])
        headers = [(name.encode(), value.encode("latin-1")) for name, value in kept.items()]
        headers += [(b"content-length", str(len(body)).encode()), (b"idempotent-replayed", b"true"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": row["status"], "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _purge_sometimes(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._purged_at < PURGE_SECONDS:
            return
        self._purged_at = now
        try:
            await self._pool.execute(PURGE, KEPT, PURGE_ROWS)
        except DATABASE_DOWN as error:
            log.warning("old idempotency keys could not be forgotten", service=self._service, exc_info=error)

    def _count(self, outcome: str) -> None:
        IDEMPOTENT_ANSWERS.labels(service=self._service, outcome=outcome).inc()


def _hashes(asker: Principal, scope: Any, key: bytes) -> tuple[bytes, bytes]:
    """(what names the request, what it asked): see the columns' comments."""
    body = ScopeState.from_scope(scope).body
    raw = body if isinstance(body, bytes) else b""
    named = b"\0".join([asker.kind.encode(), asker.id.encode(), scope["method"].encode(), scope["path"].encode(), key])
    asked = len(scope["query_string"]).to_bytes(4) + scope["query_string"] + raw
    return hashlib.sha256(named).digest(), hmac.digest(key, asked, "sha256")
