"""The outbox as a log and its relay, on the real broker: nothing is missed, order per key holds, a restart loses nothing."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, ClassVar

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.contracts.incidents import INCIDENTS
from shared.messaging import relay
from shared.messaging.broker import provision
from shared.messaging.relay import Relay
from tests.integration.engine.bed import NAME, Bed, emptied, incident
from tests.support.eventually import eventually
from tests.support.servers import forget_topics

Line = tuple[str, str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kafka(kafka_bootstrap: str) -> AsyncIterator[str]:
    await forget_topics(kafka_bootstrap)
    await provision(kafka_bootstrap, partitions=4, replication_factor=1, retention_ms=-1, ingress_hours=24)
    yield kafka_bootstrap


class Log:
    """What has come to lie on the topic since this was made."""

    def __init__(self, servers: str) -> None:
        self._consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False)
        self.lines: list[Line] = []

    async def open(self) -> "Log":
        await self._consumer.start()
        places = [TopicPartition(INCIDENTS, n) for n in range(4)]
        self._consumer.assign(places)
        await self._consumer.seek_to_end(*places)
        for place in places:
            await self._consumer.position(place)
        return self

    async def read(self) -> list[Line]:
        """(key, ce_id, word), in order per key."""
        batches = await self._consumer.getmany(timeout_ms=50, max_records=5000)
        for records in batches.values():
            for r in records:
                ce_id = dict(r.headers)["ce_id"].decode()
                self.lines.append((r.key.decode(), ce_id, r.value.decode().partition('"root_order_id":"')[2].partition('"')[0]))
        return self.lines

    async def ends(self) -> dict[tuple[str, int], int]:
        """Where each partition ends."""
        ends = await self._consumer.end_offsets(list(self._consumer.assignment()))
        return {(place.topic, place.partition): end for place, end in ends.items()}

    async def words(self, count: int, seconds: float = 30) -> list[Line]:
        """Once `count` different events have come."""

        async def there() -> bool:
            return len({ce_id for _, ce_id, _ in await self.read()}) >= count

        await eventually(there, within_seconds=seconds)
        return self.lines

    async def close(self) -> None:
        await self._consumer.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def log(kafka: str) -> AsyncIterator[Log]:
    log = await Log(kafka).open()
    yield log
    await log.close()


class Running:
    """A relay that can be cut off."""

    alive: ClassVar[list["Running"]] = []

    def __init__(self, bed: Bed, servers: str) -> None:
        self.alive.append(self)
        self.relay = Relay(NAME, bed.pool, servers, bed.engine.relay_wake)
        self.task = asyncio.create_task(self.relay.run())

    async def cut(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


@pytest_asyncio.fixture(loop_scope="session")
async def bed(made: Bed) -> AsyncIterator[Bed]:
    fresh = await emptied(made)
    await fresh.pool.execute("update relay_position set since = pg_current_snapshot(), upto = null, last_seq = 0")
    yield fresh
    while Running.alive:
        await Running.alive.pop().cut()


async def writer(bed: Bed, number: int, each: int, said: dict[str, list[str]]) -> None:
    """Takes ids early, holds its transaction open, commits late or rolls back; locks its key as a use case locks its state."""
    dice = random.Random(number)
    for n in range(each):
        key = f"K{dice.randrange(10)}"
        word = f"{number}-{n}"
        with suppress(ZeroDivisionError):
            async with bed.engine.transaction() as tx:
                await tx.conn.execute("select pg_current_xact_id()")
                await asyncio.sleep(dice.random() * 0.004)
                await tx.conn.execute("select pg_advisory_xact_lock(hashtext($1))", key)
                tx.say(incident(key, word))
                await bed.engine._write(tx)
                tx.said.clear()
                await asyncio.sleep(dice.random() * 0.004)
                if dice.random() < 0.15:
                    raise ZeroDivisionError
                # While the key is still locked: the order of commits is the order of this list.
                said.setdefault(key, []).append(word)
        bed.engine.relay_wake.set()


async def test_writers_that_commit_out_of_order_lose_nothing_and_keep_each_keys_order(
    bed: Bed, kafka: str, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: none missed, none doubled, order per key. Method: 24 writers overlap, while the relay reads in small chunks and polls never."""
    monkeypatch.setattr(relay, "POLL", 3600.0)
    relay.CHUNK, whole = 7, relay.CHUNK  # type: ignore[misc]
    running = Running(bed, kafka)
    said: dict[str, list[str]] = {}
    try:
        await asyncio.gather(*(writer(bed, n, 15, said) for n in range(24)))
        expected = sum(len(words) for words in said.values())
        lines = await log.words(expected)
        await eventually(lambda: running.relay.is_idle)
        await log.read()
    finally:
        relay.CHUNK = whole  # type: ignore[misc]
        await running.cut()
    assert expected > 200
    assert len(lines) == len({ce_id for _, ce_id, _ in lines}) == expected
    for key, words in said.items():
        assert [word for k, _, word in lines if k == key] == words


async def test_a_relay_cut_off_again_and_again_loses_nothing(bed: Bed, kafka: str, log: Log) -> None:
    """Goal: repeats at most, and the first appearance of each event is in the order it was said."""
    dice = random.Random(7)
    await bed.say(*[incident(f"K{n % 5}", f"{n:05}") for n in range(6000)])
    for _ in range(4):
        running = Running(bed, kafka)
        await asyncio.sleep(0.2 + dice.random() * 0.3)
        await running.cut()
    running = Running(bed, kafka)
    lines = await log.words(6000)
    await eventually(lambda: running.relay.is_idle)
    await running.cut()
    for key in {key for key, _, _ in lines}:
        first = list(dict.fromkeys(word for k, _, word in lines if k == key))
        assert first == sorted(first) and len(first) == 1200
    count = len(lines)
    running = Running(bed, kafka)
    await eventually(lambda: running.relay.is_idle)
    await running.cut()
    assert len(await log.read()) == count, "the position survived"


async def test_of_two_relays_the_second_waits_and_takes_over(bed: Bed, kafka: str, log: Log) -> None:
    first = Running(bed, kafka)
    await eventually(lambda: first.relay.is_idle)
    epoch = await bed.pool.fetchval("select epoch from relay_position")
    second = Running(bed, kafka)
    await bed.say(incident("K1", "a"))
    await log.words(1)
    assert not second.relay.sent
    await eventually(lambda: first.relay.is_idle)
    await first.cut()
    await eventually(lambda: second.relay.is_idle)
    await bed.say(incident("K1", "b"))
    lines = await log.words(2)
    assert [word for _, _, word in lines] == ["a", "b"]
    assert await bed.pool.fetchval("select epoch from relay_position") == epoch + 1
    await second.cut()


async def test_a_relay_that_was_overtaken_moves_no_position(bed: Bed, kafka: str, log: Log) -> None:
    """Goal: fencing. Method: the epoch moves under a running relay, as another one's start would move it."""
    running = Running(bed, kafka)
    await eventually(lambda: running.relay.is_idle)
    before = await bed.pool.fetchrow("update relay_position set epoch = epoch + 5 returning epoch, since::text as since")
    assert before is not None
    await bed.say(incident("K1", "a"))

    async def restarted() -> bool:
        return bool(await bed.pool.fetchval("select epoch = $1 + 1 from relay_position", before["epoch"]))

    await eventually(restarted)
    await log.words(1)
    await running.cut()


async def test_its_connection_is_killed_and_it_goes_on(bed: Bed, kafka: str, log: Log) -> None:
    running = Running(bed, kafka)
    await eventually(lambda: running.relay.is_idle)
    for n in range(3):
        await bed.say(incident("K1", f"{n}"))
        await bed.as_owner("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted")
    lines = await log.words(3)
    assert list(dict.fromkeys(word for _, _, word in lines)) == ["0", "1", "2"]
    await running.cut()


async def test_a_whole_number_of_chunks_is_followed_by_what_came_meanwhile(bed: Bed, kafka: str, log: Log) -> None:
    """Goal: after exactly full chunks the relay is not idle before it has looked for what was said meanwhile."""
    relay.CHUNK, whole = 10, relay.CHUNK  # type: ignore[misc]
    running = Running(bed, kafka)
    try:
        await eventually(lambda: running.relay.is_idle)
        told = 0
        for round_ in range(6):
            await bed.say(*[incident("K1", f"{round_}-{n}") for n in range(20)])
            await bed.say(incident("K1", f"{round_}-last"))
            told += 21
            await eventually(lambda: running.relay.is_idle and not bed.engine.relay_wake.is_set(), every_seconds=0.0005)
            assert len(await log.words(told, seconds=1)) == told
    finally:
        relay.CHUNK = whole  # type: ignore[misc]
        await running.cut()


async def test_what_is_said_alone_is_read_once(bed: Bed, kafka: str, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: neither an acknowledgement nor the send is a reason to read the outbox again."""
    monkeypatch.setattr(relay, "POLL", 3600.0)
    running = Running(bed, kafka)
    await eventually(lambda: running.relay.is_idle)
    reads = []
    read = running.relay._read

    async def counted(conn: Any, at: relay.Position) -> Any:
        reads.append(at)
        return await read(conn, at)

    monkeypatch.setattr(running.relay, "_read", counted)
    for n in range(3):
        await bed.say(incident("K1", f"{n}"))
        await log.words(n + 1)
        await eventually(lambda: running.relay.is_idle)
    assert len(reads) == 3
    await running.cut()


async def test_what_is_too_much_for_one_batch_goes_in_several_in_its_order(bed: Bed, kafka: str, log: Log) -> None:
    """Method: four keys, of which each partition's events are several times what the broker takes at once; each ends where it was told."""
    words = [f"{n}-" + "w" * 300_000 for n in range(40)]
    for n, word in enumerate(words):
        await bed.say(incident(f"K{n % 4}", word))
    running = Running(bed, kafka)
    lines = await log.words(len(words))
    await eventually(lambda: running.relay.is_idle)
    ends = await log.ends()
    await running.cut()
    for k in range(4):
        assert [word for key, _, word in lines if key == f"K{k}"] == words[k::4]
    assert len(running.relay.sent) > 1 and all(ends[place] == offset for place, offset in running.relay.sent.items())


async def test_a_backlog_is_read_in_bounded_pieces(bed: Bed, kafka: str, log: Log) -> None:
    await bed.as_owner(
        "insert into outbox (day, event_id, topic, key, type, at, body)"
        " select (now() at time zone 'utc')::date, gen_random_uuid(), $1, 'K' || n % 50, 'amends.incident.reported', now(), '{}'::bytea"
        " from generate_series(1, 20000) n",
        INCIDENTS,
    )
    sizes: list[int] = []
    running = Running(bed, kafka)
    real = running.relay._read

    async def read(conn: Any, at: Any) -> Any:
        rows, position = await real(conn, at)
        sizes.append(len(rows))
        return rows, position

    running.relay._read = read  # type: ignore[method-assign]
    await log.words(20_000, seconds=60)
    await eventually(lambda: running.relay.is_idle)
    await running.cut()
    assert max(sizes) <= relay.CHUNK and sum(sizes) == 20_000
    position = await bed.pool.fetchrow("select upto, last_seq from relay_position")
    assert position is not None and position["upto"] is None
