"""Who is signed in, and who opened a patient link. All of this runs on machine time."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.db import Connection

OPEN = """
-- A new session.
insert into sessions (session_hash, staff_id, anti_forgery, seen_at, created_at) values ($1, $2, $3, $4, $4)
"""
FIND = """
-- A session that is neither idle nor too old.
select staff_id, anti_forgery, seen_at from sessions where session_hash = $1 and seen_at > $2 and created_at > $3
"""
TOUCH = """
-- Somebody clicked.
update sessions set seen_at = $2 where session_hash = $1
"""
CLOSE = """
-- Signed out.
delete from sessions where session_hash = $1
"""
FORGET = """
-- Sessions that nobody can use any more, a bounded number at a time.
delete from sessions where session_hash in (select session_hash from sessions where seen_at < $1 limit 500)
"""
FORGET_VISITS = """
-- Visits that have ended, a bounded number at a time.
delete from link_visits where visit_hash in (select visit_hash from link_visits where expires_at < $1 limit 500)
"""
TRY = """
-- One more answer to the second factor, if some are left; the window starts anew when it is over.
update links set tries = case when tries_since < $3 then 1 else tries + 1 end,
                 tries_since = case when tries_since < $3 then $2 else tries_since end
where token_hash = $1 and (tries < $4 or tries_since < $3) returning case_id
"""
FORGIVE = """
-- A right answer: the tries before it are forgotten.
update links set tries = 0 where token_hash = $1
"""
OPEN_VISIT = """
-- A browser that passed the second factor.
insert into link_visits (visit_hash, token_hash, expires_at) values ($1, $2, $3)
"""
VISIT = """
-- Whether a browser passed the second factor of this link.
select true from link_visits where visit_hash = $1 and token_hash = $2 and expires_at > $3
"""


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody signed in. `anti_forgery` is what their forms carry."""

    staff_id: str
    anti_forgery: str
    seen_at: datetime


async def open_session(conn: Connection, session_hash: str, staff_id: str, anti_forgery: str, now: datetime) -> None:
    """Sign in."""
    await conn.execute(OPEN, session_hash, staff_id, anti_forgery, now)


async def find(conn: Connection, session_hash: str, idle_since: datetime, born_since: datetime) -> Session | None:
    """The session, unless it was idle or alive for too long."""
    row = await conn.fetchrow(FIND, session_hash, idle_since, born_since)
    return Session(row["staff_id"], row["anti_forgery"], row["seen_at"]) if row else None


async def touch(conn: Connection, session_hash: str, now: datetime) -> None:
    """A click."""
    await conn.execute(TOUCH, session_hash, now)


async def close(conn: Connection, session_hash: str) -> None:
    """Sign out."""
    await conn.execute(CLOSE, session_hash)


async def forget(conn: Connection, idle_since: datetime, now: datetime) -> None:
    """Throw away what has ended."""
    await conn.execute(FORGET, idle_since)
    await conn.execute(FORGET_VISITS, now)


async def take_try(conn: Connection, token_hash: str, now: datetime, window_since: datetime, tries_max: int) -> UUID | None:
    """Use up one try of the second factor; None where none is left."""
    case_id: UUID | None = await conn.fetchval(TRY, token_hash, now, window_since, tries_max)
    return case_id


async def forgive(conn: Connection, token_hash: str) -> None:
    """Forget the wrong answers."""
    await conn.execute(FORGIVE, token_hash)


async def open_visit(conn: Connection, visit_hash: str, token_hash: str, expires_at: datetime) -> None:
    """Let this browser in."""
    await conn.execute(OPEN_VISIT, visit_hash, token_hash, expires_at)


async def is_visit(conn: Connection, visit_hash: str, token_hash: str, now: datetime) -> bool:
    """Whether this browser was let in."""
    return bool(await conn.fetchval(VISIT, visit_hash, token_hash, now))
