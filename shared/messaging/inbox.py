"""The inbox: an event delivered twice is applied once.

Called by the consumer, first thing in its transaction. A row is available iff the event was applied or parked by a committed transaction.
Key (ce_id, day of its UUIDv7), kept 14 days in daily partitions; an older event is parked as too-old, never applied.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final
from uuid import UUID

from shared.contracts.envelope import Event, Fact
from shared.db import Connection, Pool
from shared.kernel.clock import machine_now
from shared.kernel.ids import day_of, first_of, time_of

KEPT: Final = timedelta(days=14)
# Partitions are made this far ahead; a producer's clock may be off by less.
AHEAD: Final = timedelta(days=3)

ADMIT = """
-- Which of these events are new to this service, and which of their keys have a parked event in front of them.
with fresh as (
    insert into inbox (ce_id, day) select * from unnest($1::uuid[], $2::date[]) on conflict do nothing returning ce_id
)
select ce_id::text as found, true as is_fresh from fresh
union all
select distinct key, false from parked where redriven_at is null and topic = $3 and key = any($4::text[])
"""
HOLD = """
-- Which of these keys have a parked event in front of them (records whose own table tells duplicates).
select distinct key from parked where redriven_at is null and topic = $1 and key = any($2::text[])
"""
KEEP_PARTITIONS = "select keep_partitions($1, $2, $3, $4)"
RELAYED_UP_TO = """
-- The day of the first event that is not out yet; today where everything is.
select coalesce(min(o.day), $1) from outbox o, relay_position p
where o.xid >= pg_snapshot_xmin(p.since) and not pg_visible_in_snapshot(o.xid, p.since)
"""
FIRST_PARTITION: Final = """
-- The first day that is still in the outbox.
select min(to_date(right(relid::regclass::text, 8), 'YYYYMMDD')) from pg_partition_tree('outbox')
where isleaf and relid <> 'outbox'::regclass
"""


def remembered() -> range:
    """The ids, by their number (`UUID.int`), for which the inbox has a row and will have it for a while.

    The row of one before may be gone, so that it cannot be told from a repeat; one behind has no partition.
    """
    today = machine_now().date()
    return range(first_of(today - KEPT + timedelta(days=1)), first_of(today + AHEAD))


def has_partition(ce_id: UUID) -> bool:
    """Whether the inbox has, and will have for a while, a row for this id."""
    try:
        time_of(ce_id)
    except ValueError:
        return False
    return ce_id.int in remembered()


async def admit(conn: Connection, topic: str, facts: Sequence[Fact[Event]]) -> tuple[set[str], set[str]]:
    """The ids (text) that are new, and the keys that wait behind a parked event."""
    ids = {fact.envelope.id: day_of(fact.envelope.id) for fact in facts}
    keys = list({fact.envelope.subject for fact in facts})
    rows = await conn.fetch(ADMIT, list(ids), list(ids.values()), topic, keys)
    return {r["found"] for r in rows if r["is_fresh"]}, {r["found"] for r in rows if not r["is_fresh"]}


async def held(conn: Connection, topic: str, keys: Sequence[str]) -> set[str]:
    """The keys among `keys` that wait behind a parked record of `topic`."""
    return {row["key"] for row in await conn.fetch(HOLD, topic, list(set(keys)))}


async def keep_partitions(pool: Pool | Connection, *, outbox_kept: timedelta = KEPT) -> None:
    """Make the partitions of the days to come, and drop the inbox's and outbox's old ones; the outbox's only below the relay's position."""
    today = machine_now().date()
    sent: date = await pool.fetchval(RELAYED_UP_TO, today)
    outbox_before = min(today - outbox_kept, sent)
    await pool.execute(KEEP_PARTITIONS, today - KEPT, today + AHEAD, today - KEPT, outbox_before)


async def can_say_again_from(pool: Pool) -> date:
    """The first day whose events may be sent once more: the outbox still has them, and the inboxes will know repeats for a day at least."""
    first: date | None = await pool.fetchval(FIRST_PARTITION)
    remembered = machine_now().date() - KEPT + timedelta(days=2)
    return max(first, remembered) if first else remembered
