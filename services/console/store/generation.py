"""The next generation of the projections: tables in a schema of its own, put in the old ones' place in one transaction."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from shared.db import Connection

NEXT: Final = "console_next"
# Every table that is nothing but what the topics say.
PROJECTIONS: Final = ("queue_rows", "entries", "incidents", "restitutions", "notices", "patients", "links")

DROP = "drop schema if exists console_next cascade"
LYING = """
-- Which of these events lie parked.
select ce_id from console.parked where redriven_at is null and topic = $1 and ce_id = any($2::uuid[])
"""
KEEP_PROMISES = """
-- The opening alone tells the promise; in a log that was filled again it may lie behind what followed it.
update console_next.queue_rows q set contact_by = (e.data ->> 'next_contact_by')::timestamptz from console_next.entries e
where q.contact_by is null and e.case_id = q.case_id and e.type = 'amends.case.opened'
"""
KEEP_TRIES = """
-- Wrong answers to a second factor are no event; they go on counting.
update console_next.links n set tries = o.tries, tries_since = o.tries_since
from console.links o where o.token_hash = n.token_hash and (o.tries, o.tries_since) is distinct from (n.tries, n.tries_since)
"""
FORGOTTEN = """
-- What the timelines hold and the next ones would not; the first of it.
select count(*) over () as events, o.event_id, o.type from console.entries o
where not exists (select from console_next.entries n where n.event_id = o.event_id) order by o.event_id limit 1
"""
# Who takes something in writes one of the two, and waits for this transaction.
SHUT = "lock table console.inbox, console.parked in share mode"
HEARD_SINCE = """
-- Whether the console took anything in since then.
select exists(select from console.inbox where created_at > $1) or exists(select from console.parked where redriven_at > $1)
"""
# Nobody reads meanwhile; where somebody does, this fails and nothing is changed.
PATIENCE = "set local lock_timeout = '10s'"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many `events` the next timelines lack, and the first of them."""

    events: int
    event_id: UUID
    type: str


async def drop(conn: Connection) -> None:
    """No next generation: none yet, or what an interrupted run left."""
    await conn.execute(DROP)


async def lying(conn: Connection, topic: str, ids: Collection[UUID]) -> set[UUID]:
    """Which of these events of a topic lie parked."""
    return {row["ce_id"] for row in await conn.fetch(LYING, topic, list(ids))}


async def forgotten(conn: Connection) -> Forgotten | None:
    """What would be lost by the switch."""
    row = await conn.fetchrow(FORGOTTEN)
    return Forgotten(**dict(row)) if row else None


async def shut(conn: Connection) -> None:
    """Until the transaction ends nobody takes anything in. Raises LockNotAvailableError where somebody is in the middle of it for long."""
    await conn.execute(PATIENCE)
    await conn.execute(SHUT)


async def heard_since(conn: Connection, began: datetime) -> bool:
    """Whether the console has taken something in since then, in the database's time."""
    return bool(await conn.fetchval(HEARD_SINCE, began))


async def switch(conn: Connection) -> dict[str, int]:
    """In one transaction the next generation becomes the one that pages are made from, and the old one is gone. Rows by table."""
    await conn.execute(KEEP_PROMISES)
    await conn.execute(KEEP_TRIES)
    rows = {table: await conn.fetchval(f"select count(*) from console_next.{table}") for table in PROJECTIONS}
    for table in PROJECTIONS:
        await conn.execute(f"drop table console.{table}")
        await conn.execute(f"alter table console_next.{table} set schema console")
    await drop(conn)
    return rows
