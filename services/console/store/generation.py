"""The next generation of the projections: tables in a schema of its own, put in the old ones' place in one transaction."""

from datetime import datetime
from typing import Final
from uuid import UUID

from shared.db import Connection, Pool

NEXT: Final = "console_next"
# Every table that is nothing but what the topics say.
PROJECTIONS: Final = ("queue_rows", "entries", "incidents", "restitutions", "notices", "patients", "links")

DROP = "drop schema if exists console_next cascade"
OLDEST = "select event_id from console.entries order by event_id limit 1"
FORGOTTEN = """
-- The latest time that a lost log was filled again from, where the topics lack what was said before it.
select max((data ->> 'since')::timestamptz) from console.audit where action = 'republish'
"""
KEEP_TRIES = """
-- Wrong answers to a second factor are no event; they go on counting.
update console_next.links n set tries = o.tries, tries_since = o.tries_since
from console.links o where o.token_hash = n.token_hash and (o.tries, o.tries_since) is distinct from (n.tries, n.tries_since)
"""
# Nobody reads meanwhile; where somebody does, this fails and nothing is changed.
PATIENCE = "set local lock_timeout = '10s'"


async def drop(conn: Connection) -> None:
    """No next generation: none yet, or what an interrupted run left."""
    await conn.execute(DROP)


async def oldest_event(conn: Connection) -> UUID | None:
    """The first event that the timelines hold."""
    found: UUID | None = await conn.fetchval(OLDEST)
    return found


async def republished_from(conn: Connection) -> datetime | None:
    """What the log goes back to, where it was lost and filled again."""
    found: datetime | None = await conn.fetchval(FORGOTTEN)
    return found


async def switch(pool: Pool) -> dict[str, int]:
    """The next generation becomes the one that pages are made from, the old one is gone. Rows by table."""
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute(PATIENCE)
        rows = {table: await conn.fetchval(f"select count(*) from console_next.{table}") for table in PROJECTIONS}
        await conn.execute(KEEP_TRIES)
        for table in PROJECTIONS:
            await conn.execute(f"drop table console.{table}")
            await conn.execute(f"alter table console_next.{table} set schema console")
        await drop(conn)
    return rows
