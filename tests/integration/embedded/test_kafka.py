"""The embedded Kafka keeps what it acknowledged, keeps its port while it can, and says in one sentence what is wrong."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.embedded import EmbeddedError, EmbeddedKafka, jars
from tests.integration.embedded.conftest import Keep
from tests.support.eventually import eventually

pytestmark = pytest.mark.integration
TOPIC = "words"


async def write(server: EmbeddedKafka, *words: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=server.bootstrap_servers)
    await admin.start()
    if TOPIC not in await admin.list_topics():
        await admin.create_topics([NewTopic(TOPIC, 1, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=server.bootstrap_servers, enable_idempotence=True)
    await producer.start()
    for word in words:
        await producer.send_and_wait(TOPIC, word.encode(), partition=0)
    await producer.stop()


async def words(server: EmbeddedKafka) -> list[str]:
    consumer = AIOKafkaConsumer(bootstrap_servers=server.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partition = TopicPartition(TOPIC, 0)
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        found: list[str] = []
        while len(found) < end:
            records = await asyncio.wait_for(consumer.getone(), 10)
            found.append(records.value.decode())
        return found
    finally:
        await consumer.stop()


async def test_a_restart_keeps_messages_and_port(folder: Path) -> None:
    server = EmbeddedKafka(folder)
    async with server:
        address = server.bootstrap_servers
        await write(server, "one", "two")
        assert server.is_up()
        with pytest.raises(EmbeddedError, match=f"process {os.getpid()}.* --data DIR"):
            await EmbeddedKafka(folder).start()
    assert not server.is_up()
    async with EmbeddedKafka(folder) as again:
        assert again.bootstrap_servers == address
        assert await words(again) == ["one", "two"]


async def test_a_taken_port_moves_the_broker_and_not_its_data(folder: Path) -> None:
    async with EmbeddedKafka(folder) as server:
        await write(server, "one")
        host, _, port = server.bootstrap_servers.partition(":")
    with socket.create_server((host, int(port))):
        async with EmbeddedKafka(folder) as moved:
            assert moved.bootstrap_servers != f"{host}:{port}"
            assert await words(moved) == ["one"]
        with pytest.raises(EmbeddedError, match=f"Port {port} is taken.*AMENDS_KAFKA__EMBEDDED_PORT"):
            await EmbeddedKafka(folder, port=int(port)).start()


async def test_a_killed_keeper_leaves_nothing_in_the_way(keep: Keep, folder: Path) -> None:
    """Kills a keeper whose broker stays behind, then starts on the same folder: the leftover ends, its messages stay."""
    keeper = await keep("kafka", "--unleashed")
    server = EmbeddedKafka(folder)
    await write(server, "survivor")
    keeper.kill()
    assert keeper.server_is_alive()
    async with server:
        assert not keeper.server_is_alive()
        assert await words(server) == ["survivor"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
async def test_a_start_right_after_a_kill_waits_for_the_old_broker_to_end(keep: Keep, folder: Path) -> None:
    """The killed keeper's broker is just shutting down when the next start arrives."""
    keeper = await keep("kafka")
    server = EmbeddedKafka(folder)
    await write(server, "survivor")
    keeper.kill()
    async with server:
        assert not keeper.server_is_alive()
        assert await words(server) == ["survivor"]


async def test_a_killed_broker_is_started_again_with_its_messages(folder: Path) -> None:
    async with EmbeddedKafka(folder) as server:
        await write(server, *(f"{number:03}" for number in range(100)))
        first = server.pid
        assert first
        os.kill(first, 9)
        await eventually(lambda: server.pid is None)
        await server.start()
        assert await words(server) == [f"{number:03}" for number in range(100)]
        await write(server, "more")


async def test_no_way_to_fetch_is_one_sentence_with_the_way_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(_: Path) -> Callable[[jars.Jar], Path]:
        def get(_: jars.Jar) -> Path:
            raise ConnectionError("network is unreachable")

        return get

    monkeypatch.setattr(jars, "_getter", unreachable)
    with pytest.raises(EmbeddedError, match=r"cannot be fetched.*network is unreachable.*AMENDS_KAFKA__BOOTSTRAP_SERVERS"):
        await EmbeddedKafka(folder / "data", cache=folder / "cache").start()
    assert not list((folder / "cache").glob("kafka-*"))


async def test_other_bytes_than_the_lock_names_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forged = folder / "forged.jar"
    forged.write_bytes(b"not the jar")
    monkeypatch.setattr(jars, "_getter", lambda _: lambda _: forged)
    with pytest.raises(EmbeddedError, match="another SHA-256"):
        await EmbeddedKafka(folder / "data", cache=folder / "cache").start()
    assert not list((folder / "cache").glob("kafka-*"))


async def test_a_cache_that_cannot_be_written_is_one_sentence(folder: Path) -> None:
    (folder / "cache").write_text("a file where the cache should be")
    with pytest.raises(EmbeddedError, match=r"cannot be written.*XDG_CACHE_HOME"):
        await EmbeddedKafka(folder / "data", cache=folder / "cache").start()


async def test_a_damaged_cache_is_removed_and_said(folder: Path) -> None:
    lock = jars.read_lock()
    home = folder / f"kafka-{lock.kafka_version}-{lock.key}"
    home.mkdir()
    (home / lock.jars[0].file).write_bytes(b"bit rot")
    with pytest.raises(EmbeddedError, match="damaged and has been removed"):
        await EmbeddedKafka(folder / "data", cache=folder).start()
    assert not home.exists()
