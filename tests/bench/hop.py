"""One hop, whole and in its raw parts: a batch of events is taken (inbox, an upsert, outbox, one transaction), relayed, and lies on Kafka.

The service is a small one on a schema of its own; engine, subscriber, relay and statements are the product's.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from pydantic import TypeAdapter

from shared import timers
from shared.contracts.cases import CASES
from shared.contracts.envelope import Envelope, Fact
from shared.contracts.incidents import INCIDENTS, Incident, IncidentReported
from shared.db import Pool, open_pool
from shared.kernel.clock import MachineClock, machine_now
from shared.kernel.ids import new_id, time_of
from shared.messaging import Batch, Engine, Transaction, inbox, listen, make_broker, outbox
from shared.messaging.broker import BATCH_RECORDS, commit_offsets, places_of, provision, start
from shared.messaging.records import headers_of
from shared.messaging.relay import CHUNK, COMPACTED, NEXT, SEEN, Relay
from shared.runtime.host import migrate_service
from tests.bench.meter import Cpu, Servers
from tests.support.eventually import eventually
from tests.support.servers import fresh_database

NAME = "escalation"
SCHEMA = Path(__file__).parent / "schema"
AT = datetime(2026, 11, 23, 17, tzinfo=UTC)
KEYS = 5_000
TAKEN_WITHIN = 120.0

TALLY = """
insert into tallies (key, seen, word) select * from unnest($1::text[], $2::bigint[], $3::text[])
on conflict (key) do update set seen = tallies.seen + excluded.seen, word = excluded.word
"""


class IncidentEchoed(IncidentReported):
    """What the small service says of each incident; of the same size."""

    type_name: ClassVar[str] = "amends.bench.incident_echoed"
    topic: ClassVar[str] = CASES


Message = tuple[bytes, bytes, list[tuple[str, bytes]]]


def messages(count: int) -> list[Message]:
    """So many new incidents of `KEYS` patients, as they lie on Kafka: key, body, headers."""
    made = []
    for n in range(count):
        key = f"P-{n % KEYS}"
        event = IncidentReported(
            incident=Incident(
                incident_id=new_id(), incident_type="repeat_visit", catalyst="fit_adjustment", location_id="store-12", patient_ref=key,
                root_order_id=f"o-{n}", occurred_at=AT, reported_at=AT, source="pos/store-12", source_id=f"e-{n}",
            )
        )  # fmt: skip
        body = event.model_dump_json(exclude_none=True).encode()
        made.append((key.encode(), body, headers_of(Envelope(new_id(), event.type_name, "amends/intake", AT, key))))
    return made


async def send(producer: AIOKafkaProducer, topic: str, what: Sequence[Message]) -> None:
    """All of them, several in flight, until the last is acknowledged."""
    sends = [await producer.send(topic, body, key=key, headers=headers) for key, body, headers in what]
    await asyncio.gather(*sends)


@contextlib.asynccontextmanager
async def producer_on(bootstrap_servers: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer as the relay's."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, enable_idempotence=True, max_batch_size=1 << 20)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@dataclass
class Bed:
    """The small service's database and topics."""

    servers: Servers
    pool: Pool
    raw: "asyncpg.Connection[Any]"
    topics: dict[str, list[TopicPartition]]

    async def hop(self, count: int) -> Cpu:
        """The product: what lies unread on the topic is taken, and what is said of it relayed."""
        engine = Engine(NAME, self.pool, MachineClock(), writers=(timers.write,))
        broker = make_broker(self.servers.bootstrap_servers)
        relay = Relay(NAME, self.pool, self.servers.bootstrap_servers, engine.relay_wake)
        relayed = sum((await self.ends(CASES)).values())

        @listen(broker, engine, INCIDENTS)
        async def on_incident(batch: Batch) -> None:
            await engine.take(batch, tally)

        async def all_out() -> bool:
            return sum(relay.sent.values()) > 0 and relay.is_idle and not engine.busy and self.is_done(engine, ends)

        ends = await self.ends(INCIDENTS)
        before = self.servers.meter.now()
        running = [asyncio.create_task(relay.run()), asyncio.create_task(commit_offsets(engine))]
        await start(broker)
        try:
            await eventually(all_out, within_seconds=TAKEN_WITHIN, every_seconds=0.01)
            spent = self.servers.meter.since(before)
            await asyncio.sleep(0.5)
        finally:
            await broker.stop()
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        said = sum((await self.ends(CASES)).values()) - relayed
        assert said == count, f"{said:,} of {count:,} events came out"
        return spent

    @staticmethod
    def is_done(engine: Engine, ends: dict[TopicPartition, int]) -> bool:
        """Whether everything up to these offsets is applied."""
        return all(engine.done.get((place.topic, place.partition), 0) >= end for place, end in ends.items())

    async def ends(self, topic: str) -> dict[TopicPartition, int]:
        """Where each partition ends by now."""
        async with reader_on(self.servers.bootstrap_servers, self.topics[topic]) as reader:
            found: dict[TopicPartition, int] = await reader.end_offsets(self.topics[topic])
            return found

    # ---- the raw parts, each by itself

    async def raw_fetch(self, since: dict[TopicPartition, int], count: int) -> Cpu:
        """aiokafka's getmany of the same records."""
        async with reader_on(self.servers.bootstrap_servers, self.topics[INCIDENTS]) as reader:
            for place, offset in since.items():
                reader.seek(place, offset)
            before, got = self.servers.meter.now(), 0
            while got < count:
                got += sum(len(some) for some in (await reader.getmany(timeout_ms=1000, max_records=BATCH_RECORDS)).values())
            return self.servers.meter.since(before)

    def raw_validate(self, what: Sequence[Message]) -> Cpu:
        """pydantic's reading of the same bodies."""
        read = TypeAdapter(IncidentReported).validate_json
        before = self.servers.meter.now()
        for _, body, _ in what:
            read(body)
        return self.servers.meter.since(before)

    def raw_dump(self, what: Sequence[Message]) -> Cpu:
        """pydantic's writing of the same events."""
        events = [IncidentEchoed.model_validate_json(body) for _, body, _ in what]
        before = self.servers.meter.now()
        for event in events:
            event.model_dump_json(exclude_none=True).encode()
        return self.servers.meter.since(before)

    async def raw_sql(self, what: Sequence[Message]) -> Cpu:
        """The same statements by asyncpg, a transaction for 500 events: inbox, upsert, outbox; and the relay's reads of what they said."""
        batches = [self._arguments(what[at : at + BATCH_RECORDS]) for at in range(0, len(what), BATCH_RECORDS)]
        seen: str = await self.raw.fetchval(SEEN)
        before, unread = self.servers.meter.now(), 0
        for admitted, tallied, said in batches:
            async with self.raw.transaction():
                await self.raw.fetch(inbox.ADMIT, *admitted)
                await self.raw.execute(TALLY, *tallied)
                await self.raw.execute(outbox.APPEND, *said)
            unread += len(said[1])
            if unread >= CHUNK:
                rows, unread = await self.raw.fetch(NEXT, seen, CHUNK, COMPACTED, "1:1:"), 0
                seen = rows[-1]["upto"]
        return self.servers.meter.since(before)

    async def raw_send(self, what: Sequence[Message]) -> Cpu:
        """aiokafka's send of the same keys, bodies and headers."""
        async with producer_on(self.servers.bootstrap_servers) as producer:
            before = self.servers.meter.now()
            await send(producer, CASES, what)
            return self.servers.meter.since(before)

    async def skip_what_was_said(self) -> None:
        """What the raw part wrote into the outbox is nobody's to relay."""
        await self.pool.execute("update relay_position set since = pg_current_snapshot(), upto = null, last_seq = 0")

    @staticmethod
    def _arguments(what: Sequence[Message]) -> tuple[list[Any], list[Any], list[Any]]:
        ids = [new_id() for _ in what]
        keys = [key.decode() for key, _, _ in what]
        today, kind = machine_now().date(), IncidentEchoed.type_name
        admitted = [ids, [time_of(one).date() for one in ids], INCIDENTS, list(set(keys))]
        counted = tallies(keys, [f"o-{n}" for n in range(len(what))])
        said = [today, ids, [CASES] * len(ids), keys, [kind] * len(ids), [AT] * len(ids), [body for _, body, _ in what], [None] * len(ids)]
        return admitted, counted, said


async def tally(tx: Transaction, facts: Sequence[Fact[Any]]) -> None:
    """The small use case: decide each, save all by one upsert, say an event of each."""
    taken: list[IncidentReported] = []

    def decide(fact: Fact[Any]) -> None:
        taken.append(fact.event)
        tx.say(IncidentEchoed(incident=fact.event.incident), cause=fact)

    tx.decide_each(facts, decide)
    columns = tallies([event.key for event in taken], [str(event.incident.root_order_id) for event in taken])
    await tx.conn.execute(TALLY, *columns)


def tallies(keys: Sequence[str], words: Sequence[str]) -> list[Any]:
    """The upsert's columns: a row for each key, sorted, so that two transactions lock in one order."""
    seen: dict[str, tuple[int, str]] = {}
    for key, word in zip(keys, words, strict=True):
        seen[key] = (seen.get(key, (0, ""))[0] + 1, word)
    order = sorted(seen)
    return [order, [seen[key][0] for key in order], [seen[key][1] for key in order]]


@contextlib.asynccontextmanager
async def reader_on(bootstrap_servers: str, places: Sequence[TopicPartition]) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer outside any group."""
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, enable_auto_commit=False, fetch_max_wait_ms=25)
    await reader.start()
    try:
        reader.assign(list(places))
        yield reader
    finally:
        await reader.stop()


@contextlib.asynccontextmanager
async def bed_on(on: Servers) -> AsyncIterator[Bed]:
    """The schema, the topics, and a connection without anything of ours."""
    async with fresh_database(on.dsn, "hop") as database:
        await migrate_service(database.dsn, NAME, SCHEMA)
        dsn = database.dsn_of(f"amends_{NAME}")
        pool = await open_pool(dsn, schema=NAME)
        raw = await asyncpg.connect(dsn, server_settings={"search_path": NAME})
        try:
            await inbox.keep_partitions(pool)
            await provision(on.bootstrap_servers, partitions=4, replication_factor=1, retention_ms=-1, ingress_hours=24)
            yield Bed(on, pool, raw, await places_of(on.bootstrap_servers, [INCIDENTS, CASES]))
        finally:
            await raw.close()
            await pool.close()
