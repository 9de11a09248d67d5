"""How the engine stands, as gauges: read in the background every few seconds, never when somebody asks.

Called by the runtime. Invariant: each question is bounded by an index and a limit, whatever lies in the tables.
"""

import asyncio
from contextlib import suppress
from typing import Any, Final

from aiokafka.errors import KafkaError

from shared.kernel.clock import machine_now
from shared.messaging.broker import dead_subscribers
from shared.messaging.consumer import Engine
from shared.telemetry.metrics import (
    CONSUMER_LAG,
    EVENTS_PARKED_NOW,
    EVENTS_WAITING,
    OLDEST_TRANSACTION_SECONDS,
    POOL_CONNECTIONS,
    POOL_CONNECTIONS_MAX,
    RELAY_LAG_SECONDS,
    SUBSCRIBERS_DEAD,
)

STANDING: Final = """
-- The oldest row the relay has not kept as out, what lies parked, and this role's oldest transaction that writes.
select (select o.created_at from outbox o, relay_position r
        where o.xid >= pg_snapshot_xmin(r.since) and not pg_visible_in_snapshot(o.xid, r.since)
            and (r.upto is null or o.seq > r.last_seq or not pg_visible_in_snapshot(o.xid, r.upto))
        order by o.xid, o.seq limit 1) as unsent_since,
    (select count(*) from (select 1 from parked where redriven_at is null limit 10000) p) as parked,
    (select count(*) from (select 1 from parked where redriven_at is null and retry_at is not null limit 10000) w) as waiting,
    (select min(xact_start) from pg_stat_activity where usename = current_user and backend_xid is not null and pid <> pg_backend_pid())
        as writing_since
"""


async def measure(engine: Engine) -> None:
    """Set the gauges of outbox, park, transactions, connections and consumers. Raises one of DATABASE_DOWN."""
    row = await engine.pool.fetchrow(STANDING)
    assert row is not None, "a select of scalars has a row"
    now = machine_now()

    def age(at: Any) -> float:
        return max((now - at).total_seconds(), 0.0) if at is not None else 0.0

    RELAY_LAG_SECONDS.labels(engine.name).set(age(row["unsent_since"]))
    OLDEST_TRANSACTION_SECONDS.labels(engine.name).set(age(row["writing_since"]))
    EVENTS_PARKED_NOW.labels(engine.name).set(row["parked"])
    EVENTS_WAITING.labels(engine.name).set(row["waiting"])
    held, idle = engine.pool.get_size(), engine.pool.get_idle_size()
    POOL_CONNECTIONS.labels(engine.name, "busy").set(held - idle)
    POOL_CONNECTIONS.labels(engine.name, "idle").set(idle)
    POOL_CONNECTIONS_MAX.labels(engine.name).set(engine.pool.get_max_size())
    dead = dead_subscribers(engine)
    for topic, subscriber in engine.subscribers.items():
        SUBSCRIBERS_DEAD.labels(engine.name, topic).set(topic in dead)
        CONSUMER_LAG.labels(engine.name, topic).set(await _lag(engine, topic, subscriber.consumer))


async def _lag(engine: Engine, topic: str, consumer: Any) -> int:
    """How far the partitions this process has are ahead of what is done; from what the last fetches told, no question to the broker."""
    if consumer is None:
        return 0
    behind = 0
    for place in consumer.assignment():
        end = consumer.highwater(place)
        if end is None:
            continue
        at = engine.done.get((topic, place.partition))
        if at is None:
            with suppress(KafkaError, TimeoutError):
                at = await asyncio.wait_for(consumer.position(place), 1)
        behind += max(end - at, 0) if at is not None else 0
    return behind
