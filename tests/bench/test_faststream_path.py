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
from shared.messaging import Batch, Engine, Record, listen, make_broker
from shared.messaging.broker import BATCH_RECORDS, places_of, provision, start
from shared.messaging.records import read
from shared.runtime.memory import collect_rarely
from tests.bench.figures import calibrate, note, spread
from tests.bench.hop import messages, producer_on, reader_on, send
from tests.bench.meter import Cpu, Meter
from tests.support.eventually import eventually
from tests.support.servers import kafka_server

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]
ROUNDS, EACH = 5, 40_000
RATIO = 1.5
VALIDATE = TypeAdapter(IncidentReported).validate_json
Ends = dict[TopicPartition, int]
Read = Callable[[Record], object]


async def test_bytes_to_facts_beside_bare_aiokafka(capsys: pytest.CaptureFixture[str]) -> None:
    ways: dict[str, Read] = {"validated": validated, "facts": fact}
    found: dict[str, list[Cpu]] = {name: [] for name in (*ways, "bare")}
    meter = Meter(None, None)
    async with kafka_server() as at, producer_on(at) as producer:
        await provision(at, partitions=4, replication_factor=1, retention_ms=-1, ingress_hours=24)
        places = (await places_of(at, [INCIDENTS]))[INCIDENTS]
        sent = messages(EACH)
        for n in range(ROUNDS + 1):
            since, ends = await _round(at, places, partial(send, producer, INCIDENTS, sent))
            if n == 0:
                collect_rarely()
            spent = {name: await through_faststream(at, ends, meter, name, each) for name, each in ways.items()}
            spent["bare"] = await through_aiokafka(at, since, meter)
            calibrate()
            # The first warms everything, and its groups start at the beginning.
            for name in found if n else ():
                found[name].append(spent[name])
    with capsys.disabled():
        for name, what in {"validated": "the same validation in both", "facts": "with the envelope read and checked"}.items():
            ratios = [one.python / other.python for one, other in zip(found[name], found["bare"], strict=True)]
            note(f"FastStream's path, {what}: CPU x bare aiokafka + validation", median(ratios), " x", at_most=RATIO, spread=spread(ratios))
        told = ", ".join(f"{name} {1e6 * median(cpu.python for cpu in some) / EACH:.1f}" for name, some in found.items())
        print(f"  CPU an event in µs: {told}")
    assert all(len(some) == ROUNDS for some in found.values())


def validated(record: Record) -> object:
    """The body alone, as the bare way does."""
    return VALIDATE(record.value or b"")


def fact(record: Record) -> object:
    """A fact as `Engine.take` makes it."""
    return read(record)


async def through_faststream(at: str, ends: Ends, meter: Meter, name: str, each: Read) -> Cpu:
    """The product's subscriber with a use case that does nothing; `each` is done with every record."""
    # Neither a database nor a transaction belongs to this way.
    engine = Engine(name, None, MachineClock())  # type: ignore[arg-type]
    broker = make_broker(at)
    took = 0

    @listen(broker, engine, INCIDENTS)
    async def on_incident(batch: Batch) -> None:
        nonlocal took
        took += len([each(record) for record in batch.records])

    async def done() -> bool:
        return all(engine.done.get((place.topic, place.partition), 0) >= end for place, end in ends.items())

    before = meter.now()
    await start(broker)
    await eventually(done, within_seconds=60, every_seconds=0.005)
    spent = meter.since(before)
    await engine.subscribers[INCIDENTS].consumer.commit(dict(ends))
    await broker.stop()
    assert took >= EACH
    return spent


async def through_aiokafka(at: str, since: Ends, meter: Meter) -> Cpu:
    """getmany of as many at a time, and pydantic."""
    before, took = meter.now(), 0
    async with reader_on(at, list(since)) as reader:
        for place, offset in since.items():
            reader.seek(place, offset)
        while took < EACH:
            for records in (await reader.getmany(timeout_ms=1000, max_records=BATCH_RECORDS)).values():
                took += len([VALIDATE(record.value) for record in records])
        return meter.since(before)


async def _round(at: str, places: Sequence[TopicPartition], fill: Callable[[], Coroutine[Any, Any, None]]) -> tuple[Ends, Ends]:
    """Where the partitions end before and after they are filled."""
    async with reader_on(at, places) as reader:
        since: Ends = await reader.end_offsets(list(places))
        await fill()
        return since, await reader.end_offsets(list(places))
