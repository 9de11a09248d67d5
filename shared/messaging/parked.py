"""The park: events that could not be handled, one by one, with their bytes and their reason, and the followers of their keys.

Called by the consumer (`park`), the runtime (`Redriver`) and `amends parked`. Invariant: while an event of a key is parked in a service and
topic, no later event of that key is applied there; redrive goes through a key in the order in which its events came and stops at the first
that fails again.

Reasons: unreadable-envelope, unreadable-body, unknown-type, empty-body, too-old, waiting (the engine tries again by itself until
`give_up_at`), behind, failed (our bug, after bounded retries), and what a use case names when it raises `Poison`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from shared.db import DATABASE_DOWN, Connection, Pool
from shared.kernel.clock import machine_now
from shared.kernel.ids import day_of, new_id
from shared.messaging.inbox import has_partition
from shared.messaging.records import Record
from shared.telemetry import logs
from shared.telemetry.metrics import EVENTS_PARKED

# How long the engine itself tries a fact that waits for another topic's row before it leaves it to a person.
WAITS_AT_MOST: Final = timedelta(minutes=10)
# Later than any `give_up_at`.
NEVER_SECONDS: Final = 1e7
DETAIL_MAX: Final = 2000

PARK: Final = """
-- Keep each record once, also where the log holds it twice, whatever happens to it later; and let the inbox know its event.
with known as (
    insert into inbox (ce_id, day) select * from unnest($13::uuid[], $14::date[]) on conflict do nothing
)
insert into parked (parked_id, topic, partition, "offset", key, ce_id, type, reason, detail, is_behind, record, retry_at, give_up_at)
select p.parked_id, p.topic, p.partition, p."offset", p.key, p.ce_id, p.type, p.reason, p.detail, p.is_behind, p.record, p.retry_at,
       case when p.retry_at is null then null else $15::timestamptz end
from unnest($1::uuid[], $2::text[], $3::int[], $4::bigint[], $5::text[], $6::uuid[], $7::text[], $8::text[], $9::text[], $10::bool[],
            $11::bytea[], $12::timestamptz[], $16::bool[])
     as p(parked_id, topic, partition, "offset", key, ce_id, type, reason, detail, is_behind, record, retry_at, is_first)
where p.is_first and not exists (select 1 from parked q where q.topic = p.topic and q.ce_id = p.ce_id and q.record = p.record)
order by p.partition, p."offset"
on conflict (topic, partition, "offset", md5(record)) do nothing
"""
READY: Final = """
-- The keys whose first parked event is to be tried now: its time has come, or what it waited behind is through.
select p.topic, p.key from parked p
where p.redriven_at is null and (p.retry_at <= $1 or p.is_behind) and not exists (
    select 1 from parked q where q.redriven_at is null and q.topic = p.topic and q.key = p.key and q.turn < p.turn)
order by p.retry_at nulls last limit $2
"""
OF_KEY: Final = """
-- All parked events of a key in their order.
select parked_id, partition, "offset", record from parked
where redriven_at is null and topic = $1 and key = $2 order by turn limit $3
"""
CLAIM: Final = """
-- One parked event, if it still is and nobody else is trying it.
select true from parked where parked_id = $1 and redriven_at is null for update skip locked
"""
DONE: Final = "update parked set redriven_at = clock_timestamp() where parked_id = $1 and redriven_at is null"
AGAIN: Final = """
-- It failed again: later once more while it may, else it is left to a person.
update parked set reason = $2, detail = $3, attempts = attempts + 1, is_behind = false,
    retry_at = case when $4::timestamptz <= give_up_at then $4 end
where parked_id = $1
"""
LISTED: Final = """
-- What lies parked, oldest first.
select parked_id, topic, partition, "offset", key, ce_id, type, reason, detail, is_behind, attempts, retry_at, created_at
from parked where redriven_at is null and ($1::uuid is null or parked_id > $1) order by parked_id limit $2
"""
SHOWN: Final = "select * from parked where parked_id = $1"
REDRIVE: Final = """
-- Ask for another try: of one event's key, or of everything.
update parked set retry_at = clock_timestamp(), give_up_at = null where redriven_at is null
and ($1::uuid is null or (topic, key) in (select topic, key from parked where parked_id = $1)) returning parked_id
"""
WAITING: Final = """
-- Whether the engine itself is about to try something again: the first of a key, not parked for longer than `patience` allows.
select exists(select 1 from parked p where p.redriven_at is null and (p.retry_at is not null or p.is_behind) and p.created_at > $1
    and not exists (select 1 from parked q where q.redriven_at is null and q.topic = p.topic and q.key = p.key
        and q.turn < p.turn))
"""
THROUGH: Final = "select redriven_at is not null from parked where parked_id = $1"


@dataclass(frozen=True, slots=True)
class ToPark:
    """A record with the reason why it is set aside."""

    record: Record
    reason: str
    detail: str
    retry_in: float | None = None
    is_behind: bool = False


async def park(conn: Connection, service: str, rows: Sequence[ToPark]) -> None:
    """Keep these records; a record kept before stays as it was."""
    if not rows:
        return
    now = machine_now()
    columns = [_row(p, now) for p in rows]
    known = {r.ce_id: day_of(r.ce_id) for r in (p.record for p in rows) if r.ce_id is not None and has_partition(r.ce_id)}
    arrays = [list(column) for column in zip(*columns, strict=True)]
    seen: set[tuple[UUID | None, bytes]] = set()
    first = []
    for p in rows:
        same = (p.record.ce_id, p.record.packed())
        first.append(p.record.ce_id is None or same not in seen)
        seen.add(same)
    await conn.execute(PARK, *arrays, list(known), list(known.values()), now + WAITS_AT_MOST, first)
    for p in rows:
        EVENTS_PARKED.labels(service, p.record.topic, p.reason).inc()


def _row(p: ToPark, now: datetime) -> tuple[Any, ...]:
    r = p.record
    retry_at = now + timedelta(seconds=p.retry_in) if p.retry_in is not None else None
    kind = _kept(r.header("ce_type") or "", 200) or None
    detail = _kept(p.detail, DETAIL_MAX)
    return new_id(), r.topic, r.partition, r.offset, r.order_key, r.ce_id, kind, p.reason, detail, p.is_behind, r.packed(), retry_at


async def park_again(pool: Pool, parked_id: UUID, p: ToPark) -> None:
    """What was tried again and failed: its row says why, and whether it is tried once more by itself."""
    retry_at = machine_now() + timedelta(seconds=p.retry_in if p.retry_in is not None else NEVER_SECONDS)
    await pool.execute(AGAIN, parked_id, p.reason, _kept(p.detail, DETAIL_MAX), retry_at)


def _kept(text: str, most: int) -> str:
    """As PostgreSQL can hold it: no U+0000, and not endlessly long."""
    return text.replace("\x00", "\ufffd")[:most]


class Redriver:
    """Tries parked events again: those that wait for another topic's row by itself, the others when a person asks for it."""

    def __init__(self, service: str, pool: Pool, handler_of: Callable[[str], Callable[[Record, UUID], Awaitable[bool]]]) -> None:
        self._service, self._pool, self._handler_of = service, pool, handler_of
        self._log = logs.get("redriver", service=service)

    async def run(self, *, every: float = 0.5) -> None:
        """Until cancelled, look every `every` seconds (machine time)."""
        while True:
            try:
                await self.once()
            except DATABASE_DOWN as error:
                self._log.warning("the database does not answer", error=type(error).__name__)
            await asyncio.sleep(every)

    async def once(self) -> int:
        """One round; returns how many events went through."""
        done = 0
        for head in await self._pool.fetch(READY, machine_now(), 500):
            done += await self._key(head["topic"], head["key"], self._handler_of(head["topic"]))
        return done

    async def _key(self, topic: str, key: str, handler: Callable[[Record, UUID], Awaitable[bool]]) -> int:
        """All of a key in order, up to the first that does not go through."""
        done = 0
        while rows := await self._pool.fetch(OF_KEY, topic, key, 500):
            for row in rows:
                record = Record.unpacked(topic, row["partition"], row["offset"], row["record"])
                if not await handler(record, row["parked_id"]):
                    return done
                done += 1
        return done


async def listed(pool: Pool, after: UUID | None, limit: int) -> list[dict[str, Any]]:
    """What lies parked, oldest first, without the bytes."""
    return [dict(row) for row in await pool.fetch(LISTED, after, limit)]


async def shown(pool: Pool, parked_id: UUID) -> dict[str, Any] | None:
    """One parked event, with its record."""
    row = await pool.fetchrow(SHOWN, parked_id)
    return dict(row) if row else None


async def redrive(pool: Pool | Connection, parked_id: UUID | None) -> int:
    """Ask for another try of one event (with all of its key), or of everything; returns how many events that is."""
    return len(await pool.fetch(REDRIVE, parked_id))


async def is_waiting(pool: Pool, patience: timedelta) -> bool:
    """Whether something was parked within the last `patience` (machine time) that the engine goes on with by itself."""
    return bool(await pool.fetchval(WAITING, machine_now() - patience))


async def unheard(pool: Pool, parked_id: UUID) -> bool:
    """An event of a topic that the service hears no longer: tried again, it is done, for there is nothing it would do."""
    await pool.execute(DONE, parked_id)
    return True


async def went_through(pool: Pool, parked_id: UUID) -> bool:
    """Whether a parked event has been applied since."""
    return bool(await pool.fetchval(THROUGH, parked_id))
