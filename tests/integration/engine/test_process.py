"""A service in its process, on the real broker: the way of an event, a consumer that stops, positions, and the clock that moves."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from faststream.kafka import KafkaBroker

from shared import timers
from shared.contracts.incidents import INCIDENTS
from shared.embedded.devclock import DevClock
from shared.kernel.decision import Decision, Schedule
from shared.messaging import Batch, Transaction, consumer, listen
from shared.messaging.broker import BrokerLostItsMemory, group_of
from shared.messaging.records import Record
from shared.runtime import Host, Process, Service
from shared.timers import Due
from shared.vault import Vault, fresh_key
from tests.integration.engine.bed import NAME, NOON, SCHEMA, Bed, emptied, incident, raises, record
from tests.support.eventually import eventually
from tests.support.foreign import Raw, send_raw
from tests.support.servers import forget_topics


class World:
    """One service that says incidents to itself; each timer that fires says one and asks for the next."""

    def __init__(self, bed: Bed, servers: str) -> None:
        self.bed, self.servers = bed, servers
        self.fired: list[str] = []
        self.process: Process = None  # type: ignore[assignment]

    def build(self, host: Host) -> Service:
        engine = host.engine(NAME, schema=SCHEMA)
        self.bed.engine = engine

        def subscribe(broker: KafkaBroker) -> None:
            @listen(broker, engine, INCIDENTS)
            async def on_incident(batch: Batch) -> None:
                await engine.take(batch, self.hear)

        return Service(engine, None, subscribe, {"deadline": self.when_due}, ())

    async def hear(self, tx: Transaction, facts: Sequence[Any]) -> None:
        """Applies each, and what a first deadline said arms a second one, as a service that listens to another would."""
        await self.bed.usecase(tx, facts)
        for fact in facts:
            word = str(fact.event.incident.root_order_id)
            if word.startswith("d"):
                due = fact.envelope.time + timedelta(seconds=30)
                tx.apply(Decision(None, (), (Schedule("deadline", word, f"after-{word}", 0, due),)))

    async def when_due(self, tx: Transaction, due: Sequence[Due]) -> None:
        for one in await timers.fire(tx, due):
            self.fired.append(one.name)
            if one.name.startswith("d"):
                tx.say(incident("P-1", one.name))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Process]:
        vault = Vault.from_keys("k1", {"k1": fresh_key()}, fresh_key())
        host = Host({NAME: self.bed.pool}, self.bed.clock, vault, None, "http://localhost")
        self.process = Process(host, [self.build], bootstrap_servers=self.servers, partitions=2)
        try:
            await self.process.start()
            yield self.process
        finally:
            await self.process.stop()

    async def send(self, *records: Record) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.servers, enable_idempotence=True)
        await producer.start()
        try:
            for r in records:
                await producer.send_and_wait(r.topic, r.value, key=r.key, headers=list(r.headers), partition=r.partition)
        finally:
            await producer.stop()

    async def applied(self, count: int, seconds: float = 20) -> list[str]:
        async def there() -> bool:
            return len(await self.bed.words()) >= count

        await eventually(there, within_seconds=seconds)
        return await self.bed.words()


async def forget_positions(servers: str) -> None:
    """The broker forgets a deleted topic's positions in its own time; a broker that lost its folder has none."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:

        async def gone() -> bool:
            return not await admin.list_consumer_group_offsets(group_of(NAME, INCIDENTS))

        await eventually(gone, within_seconds=30)
    finally:
        await admin.close()


@pytest_asyncio.fixture(loop_scope="session")
async def world(made: Bed, kafka_bootstrap: str) -> World:
    await forget_topics(kafka_bootstrap)
    fresh = await emptied(made)
    fresh.clock.business_at = NOON
    await fresh.pool.execute("update relay_position set since = pg_current_snapshot(), upto = null, last_seq = 0")
    return World(fresh, kafka_bootstrap)


async def test_poison_of_every_kind_on_the_log_hurts_nobody_and_a_restart_repeats_nothing(world: World) -> None:
    """Goal: null and undecodable headers, broken bodies and tombstones between healthy records; then a stop in order and a start."""

    def bad() -> list[Record]:
        return [            record("B1", "x", headers_={"ce_type": None}),
            record("B2", "x", headers_={"traceparent": b"\xff\xfe", "ce_id": b"\xff"}),
            record("B3", "x", value=b"{"), record("B4", "x", value=None), record("B5", "x", headers=()),
        ]  # fmt: skip

    good = [record(f"P-{n}", f"w{n}") for n in range(10)]
    async with world.running() as process:
        await world.send(*(r for pair in zip(good, bad() + bad(), strict=True) for r in pair))
        await world.bed.say(incident("P-0", "own"))
        assert sorted(await world.applied(11)) == sorted([*(f"w{n}" for n in range(10)), "own"])
        await eventually(process.is_quiet)
        checks = await process.health()
        assert all(check.ok for check in checks.values()), checks
    assert sum((await world.bed.reasons()).values()) == 10
    places = await world.bed.pool.fetch('select distinct partition, "offset" from parked')
    assert len(places) == 10
    async with world.running() as process:
        await world.bed.say(incident("P-0", "again"))
        await world.applied(12)
    assert (await world.bed.words())[-1] == "again"
    assert sum((await world.bed.reasons()).values()) == 10


async def test_at_the_limit_the_consumer_stops_and_readiness_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "PARK_LIMIT", 20)
    async with world.running() as process:
        await world.send(*[record(f"B-{n}", "bad", value=b"{") for n in range(60)])

        async def noticed() -> bool:
            checks = await process.health()
            return not checks[f"{NAME}.subscribers"].ok

        await eventually(noticed)
        assert INCIDENTS in (await process.health())[f"{NAME}.subscribers"].detail
        assert len(await world.bed.parked()) < 60
    monkeypatch.setattr(consumer, "PARK_LIMIT", 200)
    async with world.running():

        async def all_of_them() -> bool:
            return len(await world.bed.parked()) == 60

        await eventually(all_of_them)


async def test_a_broker_that_lost_its_memory_is_not_read_from_the_beginning(world: World) -> None:
    async with world.running():
        await world.bed.say(incident("P-1", "a"))
        await world.applied(1)
    servers = world.servers
    await forget_topics(servers)
    await forget_positions(servers)
    with pytest.raises(BrokerLostItsMemory, match=INCIDENTS.replace(".", r"\.")):
        async with world.running():
            raise AssertionError("started on a broker that knows nothing")


async def test_a_jump_past_ten_deadlines_fires_ten_and_what_follows_each_in_order(world: World) -> None:
    """Goal: each followed by what the broker brings of it, thirty seconds later, before the next minute's."""
    async with world.running() as process:
        dev = DevClock(world.bed.clock, None)
        dev.process = process
        deadlines = [Schedule("deadline", f"S{n}", f"d{n}", 0, NOON + timedelta(minutes=n)) for n in range(1, 11)]
        async with world.bed.engine.transaction() as tx:
            tx.apply(Decision(None, (), tuple(reversed(deadlines))))
        while not await dev.advance(0):
            pass
        moving = asyncio.create_task(dev._advance(3600))
        await asyncio.wait_for(moving, 60)
        assert world.fired == [name for n in range(1, 11) for name in (f"d{n}", f"after-d{n}")]
        assert world.bed.clock.now() == NOON + timedelta(hours=1)
        assert await world.bed.words() == [f"d{n}" for n in range(1, 11)]


async def test_unready_facts_come_in_by_themselves_in_the_process(world: World) -> None:
    from shared.kernel.errors import Unready

    world.bed.troubles["early"] = raises(Unready("location store-12", retry_in=0.05))
    async with world.running():
        await world.bed.say(incident("P-1", "early"), incident("P-1", "after"), incident("P-2", "other"))
        assert await world.applied(1) == ["other"]
        world.bed.troubles.clear()
        assert await world.applied(3) == ["other", "early", "after"]


async def test_44_a_header_whose_name_is_no_text_is_parked_with_its_bytes_and_stops_nothing(world: World) -> None:
    """Goal: the client library decodes names before any code of ours; one record must not hold its partition for ever, nor its batch."""

    def raw(one: Record, *more: tuple[bytes, bytes]) -> Raw:
        return one.key or b"", one.value or b"", [*((name.encode(), value) for name, value in one.headers), *more]

    odd, name = record("P-odd", "odd"), (b"\xff\xfename", b"\xff")
    batch = [raw(record("P-1", "before")), raw(odd, name), raw(record("P-1", "after")), raw(record("P-odd", "behind"))]
    async with world.running() as process:
        offset = await send_raw(world.servers, INCIDENTS, batch)
        await world.applied(2)
        await send_raw(world.servers, INCIDENTS, [raw(record("P-1", "next"))])
        assert await world.applied(3) == ["before", "after", "next"]
        checks = await process.health()
        assert all(check.ok for check in checks.values()), checks
    assert await world.bed.parked() == [("unreadable-envelope", False), ("behind", True)]
    row = await world.bed.pool.fetchrow("select * from parked where not is_behind")
    assert row is not None and (row["topic"], row["partition"], row["offset"]) == (INCIDENTS, 0, offset + 1)
    found = Record.unpacked(INCIDENTS, 0, offset + 1, row["record"])
    assert (found.key, found.value) == (odd.key, odd.value)
    assert [(n.encode("utf-8", "surrogateescape"), value) for n, value in found.headers] == list(raw(odd, name)[2])
    async with world.running():
        await world.bed.say(incident("P-1", "later"))
        assert (await world.applied(4))[-1] == "later", "nothing is met again"
