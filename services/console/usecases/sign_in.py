"""Signing in and out, and knowing who is signed in. Machine time; cookies hold 256 random bits, tables their hash."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from services.console.store import queries, sessions
from services.console.usecases.desk import Desk
from shared import reference
from shared.kernel.clock import machine_now
from shared.kernel.errors import Rejected
from shared.reference import Staff

# A click is written down this often at most, so that reading pages does not write.
TOUCH_EVERY = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody at the console; `zone` is the IANA zone of their first store."""

    person: Staff
    anti_forgery: str
    zone: str


async def sign_in(desk: Desk, staff_id: str) -> str:
    """A new session of a member of staff; what the cookie holds. Raises Rejected `not-found` for nobody."""
    now = machine_now()
    secret = secrets.token_urlsafe(32)
    async with desk.engine.transaction() as tx:
        person = (await reference.staff(tx.conn, [staff_id])).get(staff_id)
        if person is None or not person.active:
            raise Rejected("not-found", "There is no such person.")
        await sessions.forget(tx.conn, now - desk.idle, now)
        await sessions.open_session(tx.conn, hashed(secret), staff_id, secrets.token_urlsafe(32), now)
        tx.audit(f"staff:{staff_id}", "session.opened", f"staff:{staff_id}")
    return secret


async def whoever(desk: Desk, secret: str, *, is_click: bool) -> SignedIn | None:
    """Who holds this cookie; None when idle, too old, unknown, or no longer with us. A click keeps the session alive."""
    now = machine_now()
    async with desk.engine.pool.acquire() as conn:
        session = await sessions.find(conn, hashed(secret), now - desk.idle, now - desk.longest)
        if session is None:
            return None
        person = (await reference.staff(conn, [session.staff_id])).get(session.staff_id)
        if person is None or not person.active:
            return None
        zone = await queries.zone_of(conn, person.locations, person.regions)
        if is_click and now - session.seen_at > TOUCH_EVERY:
            await sessions.touch(conn, hashed(secret), now)
    return SignedIn(person, session.anti_forgery, zone or "UTC")


async def sign_out(desk: Desk, secret: str) -> None:
    """End a session; ending it twice does no harm."""
    async with desk.engine.pool.acquire() as conn:
        await sessions.close(conn, hashed(secret))


def hashed(secret: str) -> str:
    """SHA-256 in hex: the secret is random enough that nothing need be stretched."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
