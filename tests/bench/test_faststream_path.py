"""What FastStream and our subscriber add to the way from bytes to facts: interleaved rounds of `listen` with a use case that does nothing,
and of bare aiokafka with the same validation.
"""

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from statistics import median
from typing import Any

import pytest
from aiokafka import TopicPartition
from pydantic import TypeAdapter

from shared.contracts.incidents import INCIDENTS, IncidentReported
from shared.kernel.clock import MachineClock
from shared.messaging import Batch, Engine, listen, make_broker
from shared.messaging.broker import BATCH_RECORDS, places_of, provision, start
from shared.messaging.records import read
from shared.messaging.tracing import Legs
from shared.runtime.memory import collect_rarely
from tests.bench.figures import calibrate, note, spread
from tests.bench.hop import messages, producer_on, reader_on, send
from tests.bench.meter import Cpu, Meter
from tests.support.eventually import eventually
from tests.support.servers import kafka_server

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]
ROUNDS, EACH = 7, 40_000
RATIO = 1.5
Ends = dict[TopicPartition, int]


async def test_bytes_to_facts_beside_bare_aiokafka(capsys: pytest.CaptureFixture[str]) -> None:
    ours: list[Cpu] = []
    bare: list[Cpu] = []
    meter = Meter(None, None)
    async with kafka_server() as at, producer_on(at) as producer:
        await provision(at, partitions=4, replication_factor=1, retention_ms=-1, ingress_hours=24)
        places = (await places_of(at, [INCIDENTS]))[INCIDENTS]
        sent = messages(EACH)
        for n in range(ROUNDS + 1):
            since, ends = await _round(at, places, partial(send, producer, INCIDENTS, sent))
            if n == 0:
                collect_rarely()
            first = await through_faststream(at, ends, meter)
            second = await through_aiokafka(at, since, meter)
            calibrate()
            # The first warms everything, and its group starts at the beginning.
            if n:
                ours.append(first)
                bare.append(second)
    ratios = [one.python / other.python for one, other in zip(ours, bare, strict=True)]
    with capsys.disabled():
        what = "FastStream's path, bytes to facts: CPU beside bare aiokafka and validation"
        note(what, median(ratios), " x", at_most=RATIO, spread=spread(ratios))
        each = [1e6 * median(cpu.python for cpu in some) / EACH for some in (ours, bare)]
        print(f"  CPU an event: {each[0]:.1f} µs through `listen`, {each[1]:.1f} µs bare")
    assert len(ratios) == ROUNDS


async def through_faststream(at: str, ends: Ends, meter: Meter) -> Cpu:
    """The product's subscriber; each record becomes a fact as in `Engine.take`, and nothing is done with it."""
    # Neither a database nor a transaction belongs to this way.
    engine = Engine("escalation", None, MachineClock())  # type: ignore[arg-type]
    broker = make_broker(at)
    took = 0

    @listen(broker, engine, INCIDENTS)
    async def on_incident(batch: Batch) -> None:
        nonlocal took
        legs = Legs(engine.name)
        took += len([legs.of_fact(read(record)) for record in batch.records])

    async def done() -> bool:
        return all(engine.done.get((place.topic, place.partition), 0) >= end for place, end in ends.items())

    before = meter.now()
    await start(broker)
    await eventually(done, within_seconds=60, every_seconds=0.005)
    spent = meter.since(before)
    consumer = engine.subscribers[INCIDENTS].consumer
    await consumer.commit(dict(ends))
    await broker.stop()
    assert took >= EACH
    return spent


async def through_aiokafka(at: str, since: Ends, meter: Meter) -> Cpu:
    """getmany of as many at a time, and pydantic."""
    validate = TypeAdapter(IncidentReported).validate_json
    before, took = meter.now(), 0
    async with reader_on(at, list(since)) as reader:
        for place, offset in since.items():
            reader.seek(place, offset)
        while took < EACH:
            for records in (await reader.getmany(timeout_ms=1000, max_records=BATCH_RECORDS)).values():
                took += len([validate(record.value) for record in records])
        return meter.since(before)


async def _round(at: str, places: Sequence[TopicPartition], fill: Callable[[], Coroutine[Any, Any, None]]) -> tuple[Ends, Ends]:
    """Where the partitions end before and after they are filled."""
    async with reader_on(at, places) as reader:
        since: Ends = await reader.end_offsets(list(places))
        await fill()
        return since, await reader.end_offsets(list(places))
