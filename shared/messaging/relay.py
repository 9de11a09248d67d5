"""The relay: reads the outbox between two snapshots and sends it, in order, in batches of its own with several in flight.

One per service (advisory lock), fenced by an epoch. Woken in-process after a commit; a slow poll is the safety net. Invariants: what is due
is what the new snapshot sees and the old one did not, in `seq` order, so nothing is skipped when transactions commit out of order; the
position never passes an event that the broker has not acknowledged; after a failed send nothing later leaves before it. For a broker that
lost its log it goes back (`hold`, `rewind`): no relay runs while it is held, and what one had read before is not sent after.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from shared.contracts.envelope import Envelope
from shared.contracts.flow import TOPICS
from shared.db import DATABASE_DOWN, Connection, Pool
from shared.kernel.clock import machine_now
from shared.messaging.records import headers_of
from shared.telemetry import logs, traces
from shared.telemetry.metrics import EVENTS_RELAYED, RELAY_RESTARTS

CHUNK: Final = 1000
IN_FLIGHT_MAX: Final = 10_000
POLL: Final = 1.0
GATHER: Final = 0.01
KEEP_POSITION_EVERY: Final = 1.0
BACKOFF_MAX: Final = 2.0
LIVED_LONG: Final = 10.0

# The statements that read are planned once: each day of the outbox is a table of its own, and planning takes longer than reading.
PLAN_ONCE: Final = "set plan_cache_mode = force_generic_plan"
GIVE_BACK: Final = "select pg_advisory_unlock_all(); reset plan_cache_mode"
LOCK: Final = "select pg_try_advisory_lock(hashtext(current_schema() || ' relay'))"
WAIT_LOCK: Final = "select pg_advisory_lock(hashtext(current_schema() || ' relay'))"
OPEN: Final = """
-- Take over; whoever had the lower epoch moves nothing any more.
update relay_position set epoch = epoch + 1
returning since::text as since, upto::text as upto, last_seq, epoch, retold::text as retold
"""
EPOCH: Final = "select epoch from relay_position"
NEXT: Final = """
-- A new pair of snapshots: what this statement sees and the last one did not, in order.
with due as materialized (
    select seq from outbox where xid >= pg_snapshot_xmin($1::text::pg_snapshot) and not pg_visible_in_snapshot(xid, $1::text::pg_snapshot)
)
select seq, event_id, topic, key, type, at, body, traceparent, created_at, pg_current_snapshot()::text as upto,
       (select epoch from relay_position) as epoch,
       topic = any($3::text[]) and pg_visible_in_snapshot(xid, $4::text::pg_snapshot) as is_retold
from outbox where seq = any(array(select seq from due order by seq limit $2)) order by seq
"""
MORE: Final = """
-- The rest of an open pair, by seq.
select seq, event_id, topic, key, type, at, body, traceparent, created_at, (select epoch from relay_position) as epoch,
       topic = any($5::text[]) and pg_visible_in_snapshot(xid, $6::text::pg_snapshot) as is_retold
from outbox where seq > $3 and not pg_visible_in_snapshot(xid, $1::text::pg_snapshot) and pg_visible_in_snapshot(xid, $2::text::pg_snapshot)
order by seq limit $4
"""
KEEP: Final = """
-- Move the position, unless a newer relay has taken over.
update relay_position set since = $1::text::pg_snapshot, upto = $2::text::pg_snapshot, last_seq = $3 where epoch = $4
"""
SEEN: Final = "select pg_current_snapshot()::text"
REWIND: Final = """
-- Back to before the first event said since $1, and never forward: what was visible and is older stays out, everything else goes out again.
with first as (
    select min(xid) as xid from outbox where day >= $2 and created_at >= $1
), back as (
    select p.since, least(coalesce(f.xid, pg_snapshot_xmax(p.since)), pg_snapshot_xmax(p.since)) as xmax from relay_position p, first f
)
update relay_position set upto = null, last_seq = 0, retold = $3::text::pg_snapshot, since = (
    select concat(least(pg_snapshot_xmin(back.since), back.xmax), ':', back.xmax, ':', (
        select string_agg(x::text, ',' order by x) from pg_snapshot_xip(back.since) x where x < back.xmax))::pg_snapshot
    from back)
returning (select count(*) from outbox o, back b where o.xid >= least(pg_snapshot_xmin(b.since), b.xmax)
    and not (o.xid < b.xmax and pg_visible_in_snapshot(o.xid, b.since))
    and not (o.topic = any($4::text[]) and pg_visible_in_snapshot(o.xid, $3::text::pg_snapshot)))
"""

# Their latest rows are in a table of their owner.
COMPACTED: Final = [topic.name for topic in TOPICS if topic.compacted]


class Fenced(Exception):
    """Another relay of this service has taken over."""


@dataclass(frozen=True, slots=True)
class Position:
    """Everything visible in `since` is out, and of what `upto` sees besides everything up to `last_seq`; `upto` None between two pairs."""

    since: str
    upto: str | None
    last_seq: int


class Sent(NamedTuple):
    """A batch on its way to one partition: so many events; `arrival` answers with the offset of the first."""

    arrival: "asyncio.Future[Any]"
    events: int


class Relay:
    """See the module. `sent` is (topic, partition) → the offset after the last acknowledged event, for whoever waits until all is quiet."""

    def __init__(self, service: str, pool: Pool, bootstrap_servers: str, wake: asyncio.Event) -> None:
        self._service, self._pool, self._servers, self._wake = service, pool, bootstrap_servers, wake
        self.sent: dict[tuple[str, int], int] = {}
        self.is_idle = False
        self._in_flight: deque[tuple[Position, list[Sent]]] = deque()
        self._reached = self._kept = Position("1:1:", None, 0)
        self._kept_at = machine_now()
        self._epoch, self._retold = 0, "1:1:"
        self._log = logs.get("relay", service=service)

    async def run(self) -> None:
        """Until cancelled: relay, and after any trouble start again at the position."""
        backoff = 0.05
        while True:
            began = machine_now()
            try:
                await self._session()
            except Fenced:
                cause = "fenced"
            except KafkaError:
                cause = "kafka"
            except DATABASE_DOWN:
                cause = "postgres"
            except Exception:  # noqa: BLE001 - a door: a relay that ends would hold back everything the service says
                cause = "unexpected"
                self._log.exception("the relay broke")
            backoff = 0.1 if (machine_now() - began).total_seconds() > LIVED_LONG else min(backoff * 2, BACKOFF_MAX)
            self.is_idle = False
            RELAY_RESTARTS.labels(self._service, cause).inc()
            self._log.warning("the relay starts again at its position", cause=cause, retry_in=backoff)
            await asyncio.sleep(backoff)

    async def _session(self) -> None:
        async with self._pool.acquire(timeout=10) as conn:
            try:
                while not await conn.fetchval(LOCK):  # noqa: ASYNC110 - the lock is another process's
                    await asyncio.sleep(POLL)
                await conn.execute(PLAN_ONCE)
                await self._lead(conn)
            except BaseException as error:
                if not isinstance(error, asyncio.CancelledError):
                    # Not given back to the pool: it may be left in the middle of an answer. The lock goes with it.
                    conn.terminate()
                raise
            finally:
                if not conn.is_closed():
                    with suppress(*DATABASE_DOWN):
                        await conn.execute(GIVE_BACK)

    async def _lead(self, conn: Any) -> None:
        row = await conn.fetchrow(OPEN)
        assert row is not None, "the migration writes the only row"
        producer = AIOKafkaProducer(
            bootstrap_servers=self._servers, enable_idempotence=True, max_batch_size=1 << 20, request_timeout_ms=10_000
        )
        try:
            await producer.start()
        except BaseException:
            await _abort(producer)
            raise
        self._in_flight.clear()
        self._reached = Position(row["since"], row["upto"], row["last_seq"])
        self._epoch, self._retold = row["epoch"], row["retold"]
        try:
            await self._relay(conn, producer, self._reached)
        except asyncio.CancelledError:
            # An orderly stop: what is under way may still arrive; whatever does not is sent again from the position.
            with suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(producer.stop(), 3)
            with suppress(asyncio.CancelledError, KafkaError, *DATABASE_DOWN):
                reached = await self._acknowledged(self._reached, must=False)
                await conn.execute(KEEP, reached.since, reached.upto, reached.last_seq, self._epoch)
            raise
        except BaseException:
            await _abort(producer)
            raise

    async def _relay(self, conn: Any, producer: AIOKafkaProducer, position: Position) -> None:
        self._reached = self._kept = position
        self._kept_at = machine_now()
        while True:
            self.is_idle = False
            self._wake.clear()
            before = position
            rows, position = await self._read(conn, before)
            if position != before:
                self._in_flight.append((position, await self._send(producer, [row for row in rows if not row["is_retold"]])))
            await self._move(conn, must=sum(sent.events for _, sends in self._in_flight for sent in sends) > IN_FLIGHT_MAX)
            if len(rows) == CHUNK or before.upto is not None:
                # What was committed while a pair was read is woken for no more.
                continue
            if len(rows) > 1:
                # One event alone goes at once; where several come, the next ones are worth gathering.
                await asyncio.sleep(GATHER)
            if await self._is_slow_poll(conn) and await conn.fetchval(EPOCH) != self._epoch:
                raise Fenced

    async def _is_slow_poll(self, conn: Any) -> bool:
        """Rest until a commit wakes it, or until the slow poll: True then. What is acknowledged meanwhile is no reason to read again."""
        loop = asyncio.get_running_loop()
        until = loop.time() + POLL
        while self._in_flight and not self._wake.is_set():
            pending = next((sent.arrival for sent in self._in_flight[0][1] if not sent.arrival.done()), None)
            if pending is not None:
                woken = asyncio.ensure_future(self._wake.wait())
                try:
                    done, _ = await asyncio.wait([woken, pending], timeout=until - loop.time(), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    woken.cancel()
                if not done:
                    return True
            await self._move(conn)
        self.is_idle = not self._wake.is_set()
        try:
            await asyncio.wait_for(self._wake.wait(), until - loop.time())
        except TimeoutError:
            return True
        return False

    async def _move(self, conn: Any, *, must: bool = False) -> None:
        """Past what is acknowledged, and keep the position now and then. Raises Fenced where a newer relay has taken over."""
        self._reached = reached = await self._acknowledged(self._reached, must=must)
        now = machine_now()
        if reached != self._kept and (now - self._kept_at).total_seconds() > KEEP_POSITION_EVERY:
            if await conn.execute(KEEP, reached.since, reached.upto, reached.last_seq, self._epoch) != "UPDATE 1":
                raise Fenced
            self._kept, self._kept_at = reached, now

    async def _read(self, conn: Any, at: Position) -> tuple[list[asyncpg.Record], Position]:
        if at.upto is None:
            rows = await conn.fetch(NEXT, at.since, CHUNK, COMPACTED, self._retold)
            if not rows:
                return rows, at
            at = replace(at, upto=rows[0]["upto"])
        else:
            rows = await conn.fetch(MORE, at.since, at.upto, at.last_seq, CHUNK, COMPACTED, self._retold)
        assert at.upto is not None
        if rows and rows[0]["epoch"] != self._epoch:
            raise Fenced
        last = rows[-1]["seq"] if rows else at.last_seq
        return rows, replace(at, last_seq=last) if len(rows) == CHUNK else Position(at.upto, None, last)

    async def _send(self, producer: AIOKafkaProducer, rows: Sequence[asyncpg.Record]) -> list[Sent]:
        """Each partition's rows in their order, in as few batches as hold them; one that waits for its turn keeps the next waiting."""
        counts = {topic: len(await producer.partitions_for(topic)) for topic in {row["topic"] for row in rows}}
        places: dict[tuple[str, int], list[asyncpg.Record]] = defaultdict(list)
        for row in rows:
            topic: str = row["topic"]
            places[topic, partition_of(row["key"].encode(), counts[topic])].append(row)
        return [sent for (topic, partition), mine in places.items() for sent in await self._send_to(producer, topic, partition, mine)]

    async def _send_to(self, producer: AIOKafkaProducer, topic: str, partition: int, rows: Sequence[asyncpg.Record]) -> list[Sent]:
        sends: list[Sent] = []
        left = deque(rows)
        while left:
            batch, legs = producer.create_batch(), []
            while left:
                leg, headers = self._headers_of(left[0])
                if batch.append(timestamp=None, key=left[0]["key"].encode(), value=left[0]["body"], headers=headers) is None:
                    break
                left.popleft()
                legs += [leg] if leg else []
            assert batch.record_count(), "the first of a batch always fits"
            sent = Sent(await producer.send_batch(batch, topic, partition=partition), batch.record_count())
            for leg in legs:
                sent.arrival.add_done_callback(leg.end)
            sends.append(sent)
        return sends

    def _headers_of(self, row: asyncpg.Record) -> tuple[traces.Leg | None, list[tuple[str, bytes]]]:
        # From the writing to the acknowledgement: what waits in the outbox is seen waiting.
        leg, traceparent = None, row["traceparent"]
        if traces.is_on() and traceparent is not None:
            noted = {"amends.event_id": str(row["event_id"]), "amends.topic": row["topic"]}
            leg = traces.Leg(f"{self._service} relays {row['type']}", traceparent, traces.PRODUCER, noted, since=row["created_at"])
            traceparent = leg.traceparent
        return leg, headers_of(Envelope(row["event_id"], row["type"], f"amends/{self._service}", row["at"], row["key"], traceparent))

    async def _acknowledged(self, reached: Position, *, must: bool) -> Position:
        """Move past every chunk that is acknowledged; wait for the first where `must`. Raises the KafkaError of a failed send."""
        while self._in_flight:
            position, sends = self._in_flight[0]
            if not must and not all(sent.arrival.done() for sent in sends):
                break
            must = False
            for done, (_, events) in zip(await asyncio.gather(*(sent.arrival for sent in sends)), sends, strict=True):
                place = (done.topic, done.partition)
                self.sent[place] = max(self.sent.get(place, 0), done.offset + events)
                EVENTS_RELAYED.labels(self._service, done.topic).inc(events)
            self._in_flight.popleft()
            reached = position
        return reached


@lru_cache(maxsize=4096)
def partition_of(key: bytes, count: int) -> int:
    """Which of `count` partitions a key belongs to: the same as Kafka's own producers would choose."""
    hashed: int = murmur2(key)
    return (hashed & 0x7FFFFFFF) % count


@asynccontextmanager
async def hold(pool: Pool, seconds: float) -> AsyncIterator[None]:
    """Inside, no relay of this service runs, and one that ran has noticed. Raises TimeoutError where one does not end within `seconds`."""
    async with pool.acquire(timeout=10) as conn:
        await conn.execute("update relay_position set epoch = epoch + 1")
        try:
            # Where it is given up, the lock may have come at that very moment.
            await conn.execute(WAIT_LOCK, timeout=seconds)
            yield
        finally:
            await conn.execute("select pg_advisory_unlock_all()")


async def snapshot(pool: Pool) -> str:
    """What can be seen by now, for `rewind`."""
    seen: str = await pool.fetchval(SEEN)
    return seen


async def rewind(conn: Connection, since: datetime, retold: str) -> int:
    """Set the position back, inside `hold`, so that everything said since then goes out again in its order; how many events that is.

    `retold`: the `snapshot` from before the rows of the compacted topics were said anew.
    """
    # A day earlier than told: an event's day is its writer's clock's, its created_at the database's.
    count: int = await conn.fetchval(REWIND, since, since.date() - timedelta(days=1), retold, COMPACTED)
    return count


async def _abort(producer: AIOKafkaProducer) -> None:
    """Drop what waits instead of flushing it: a later event must not overtake the one that failed (aiokafka has no public call for it)."""
    with suppress(Exception):
        producer._message_accumulator.fail_all(KafkaError("the relay starts again"))
    with suppress(Exception):
        await asyncio.wait_for(producer.stop(), 2)
