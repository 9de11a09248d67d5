"""A relay that is set back, on the real broker: what was said since then goes out again in its order, also beside a running one."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from shared.contracts.incidents import INCIDENTS
from shared.contracts.patients import PatientChanged
from shared.kernel.clock import machine_now
from shared.kernel.errors import Poison
from shared.messaging.broker import StillRead, group_of, start_over, wait_until_unread
from shared.messaging.outbox import BYTES_MAX
from shared.messaging.relay import Relay, hold, rewind
from tests.integration.engine.bed import NAME, Bed, incident
from tests.integration.engine.test_relay import Log, Running, bed, kafka, log
from tests.support.eventually import eventually

__all__ = ["bed", "kafka", "log"]
NOTHING = "1:1:"


async def set_back(bed: Bed, since: object, retold: str = NOTHING) -> int:
    async with hold(bed.pool, 30), bed.pool.acquire() as conn:
        return await rewind(conn, since, retold)  # type: ignore[arg-type]


async def out(running: Running) -> None:
    await eventually(lambda: running.relay.is_idle)


async def test_everything_since_then_goes_out_again_in_its_order_and_nothing_before(bed: Bed, kafka: str, log: Log) -> None:
    await bed.say(*[incident(f"K{n % 3}", f"old-{n}") for n in range(30)])
    since = await bed.pool.fetchval("select clock_timestamp()")
    await bed.say(*[incident(f"K{n % 3}", f"new-{n:02}") for n in range(60)])
    running = Running(bed, kafka)
    await log.words(90)
    await out(running)
    await running.cut()
    assert await set_back(bed, since) == 60
    running = Running(bed, kafka)
    await out(running)
    lines = await log.words(90)
    await eventually(lambda: len(lines) >= 150)
    again = [word for _, _, word in lines[90:]]
    assert len(again) == 60
    for key in ("K0", "K1", "K2"):
        words = [word for k, _, word in lines[90:] if k == key]
        assert words == sorted(words) and len(words) == 20
    assert not [word for word in again if word.startswith("old")]


async def test_a_running_relay_is_fenced_and_its_next_event_comes_after_those_that_go_again(bed: Bed, kafka: str, log: Log) -> None:
    """Goal: order per key beside a running process. Method: set back while it idles; what is said then is the last of its key."""
    since = machine_now() - timedelta(minutes=1)
    running = Running(bed, kafka)
    await bed.say(*[incident("K1", f"{n:02}") for n in range(20)])
    await log.words(20)
    await out(running)
    async with hold(bed.pool, 30):
        await bed.say(incident("K1", "20"))
        async with bed.pool.acquire() as conn:
            await rewind(conn, since, NOTHING)
        lines = await log.read()
        assert [word for _, _, word in lines] == [f"{n:02}" for n in range(20)], "nothing leaves while it is held"
    lines = await log.words(21)
    await out(running)
    await log.read()
    assert [word for _, _, word in lines[20:]] == [f"{n:02}" for n in range(21)]


async def test_a_transaction_open_across_the_time_and_one_never_sent_are_not_skipped(bed: Bed, kafka: str, log: Log) -> None:
    """Goal: the position only moves back. Method: an event from before `since` that is not out yet, by a transaction still open then."""
    async with bed.engine.transaction() as late:
        await late.conn.execute("select pg_current_xact_id()")
        await bed.say(incident("K1", "out"))
        running = Running(bed, kafka)
        await log.words(1)
        await out(running)
        await running.cut()
        late.say(incident("K2", "late"))
    await bed.say(incident("K3", "unsent"))
    assert await set_back(bed, machine_now() + timedelta(minutes=1)) == 2
    running = Running(bed, kafka)
    lines = await log.words(3)
    await out(running)
    await log.read()
    assert sorted(word for _, _, word in lines) == ["late", "out", "unsent"]


async def test_of_a_compacted_topic_only_what_the_table_told_goes_out(bed: Bed, kafka: str) -> None:
    """Goal: an erased patient does not come back from the log. Method: three were said, two of them are said anew."""
    await bed.say(*[patient(ref, 1) for ref in ("P-1", "P-2", "P-3")])
    before = await bed.pool.fetchval("select pg_current_snapshot()::text")
    await bed.say(patient("P-1", 2), patient("P-3", 1))
    assert await set_back(bed, machine_now() - timedelta(minutes=1), before) == 2
    sent: list[tuple[str, str]] = []
    relay = Relay(NAME, bed.pool, kafka, bed.engine.relay_wake)
    real = relay._send

    async def send(producer: Any, rows: Sequence[Any]) -> Any:
        sent.extend((row["key"], row["type"]) for row in rows)
        return await real(producer, rows)

    relay._send = send  # type: ignore[method-assign]
    task = asyncio.create_task(relay.run())
    await eventually(lambda: relay.is_idle)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sent == [("P-1", "amends.patient.changed"), ("P-3", "amends.patient.changed")]


async def test_a_position_is_set_to_the_beginning_only_where_nobody_reads(bed: Bed, kafka: str) -> None:
    """Goal: no reader skips what a refilled log holds. Method: a member joins, is refused; it leaves, and reads all from the beginning."""
    await bed.say(*[incident("K1", f"{n}") for n in range(5)])
    running = Running(bed, kafka)
    await out(running)
    await running.cut()
    group = group_of(NAME, INCIDENTS)
    reader = AIOKafkaConsumer(INCIDENTS, bootstrap_servers=kafka, group_id=group, enable_auto_commit=False, auto_offset_reset="latest")
    await reader.start()
    await eventually(reader.assignment)
    for place in reader.assignment():
        await reader.position(place)
    await reader.commit()
    with pytest.raises(StillRead, match=group):
        await wait_until_unread(kafka, [group], seconds=0)
    with pytest.raises(StillRead, match=NAME):
        await start_over(kafka, NAME, [INCIDENTS])
    await reader.stop()
    await wait_until_unread(kafka, [group])
    await start_over(kafka, NAME, [INCIDENTS])
    again = AIOKafkaConsumer(INCIDENTS, bootstrap_servers=kafka, group_id=group, enable_auto_commit=False, auto_offset_reset="latest")
    await again.start()
    try:
        await eventually(again.assignment)
        assert {await again.position(place) for place in again.assignment()} == {0}
    finally:
        await again.stop()


async def test_what_kafka_would_not_take_is_refused_where_it_is_said(bed: Bed, kafka: str, log: Log) -> None:
    """Goal: no event stands in the relay's way for ever; its neighbours of other transactions go on."""
    with pytest.raises(Poison, match="bytes"):
        await bed.say(incident("K1", "x" * BYTES_MAX))
    await bed.say(incident("K1", "y" * (BYTES_MAX - 1000)), incident("K1", "next"))
    running = Running(bed, kafka)
    lines = await log.words(2)
    await out(running)
    await running.cut()
    assert [len(word) for _, _, word in lines] == [BYTES_MAX - 1000, 4]


def patient(ref: str, version: int) -> PatientChanged:
    return PatientChanged(patient_ref=ref, version=version, wrapped_key="AA==", location_id="store-12")
