"""Topics read again from their beginning to where they end now, beside every group: no position is moved, no inbox is asked.

Called by a replay of projections. Invariant: each record below the ends that were met at the start is given once, in the order of its key.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.messaging.broker import places_of
from shared.messaging.records import Record
from shared.messaging.wire import read_any_name

BATCH_RECORDS: Final = 2000
POLL_MS: Final = 1000
# A broker that gives nothing for so many polls, though there is more, is away.
POLLS_MAX: Final = 30


class Reread:
    """`total`: how many offsets lie before the reader; `read`: how many of them it has passed; `records`: how many of them held one."""

    def __init__(self, consumer: AIOKafkaConsumer, begins: dict[TopicPartition, int], ends: dict[TopicPartition, int]) -> None:
        self._consumer, self._begins, self._ends = consumer, begins, ends
        self.total, self.read, self.records = sum(ends.values()) - sum(begins.values()), 0, 0

    def lacking(self) -> list[str]:
        """Topics whose beginning the broker no longer keeps."""
        return sorted({place.topic for place, offset in self._begins.items() if offset > 0})

    async def batches(self) -> AsyncIterator[tuple[str, list[Record]]]:
        """(topic, records of one of its partitions) until the ends. Raises KafkaError where the broker stops giving."""
        idle = 0
        while left := await self._left():
            found = await self._consumer.getmany(*left, timeout_ms=POLL_MS, max_records=BATCH_RECORDS)
            idle = 0 if found else idle + 1
            if idle > POLLS_MAX:
                raise KafkaError(f"the broker gives no more of {', '.join(sorted({place.topic for place in left}))}")
            for place, records in found.items():
                end = self._ends[place]
                batch = [Record(r.topic, r.partition, r.offset, r.key, r.value, tuple(r.headers)) for r in records if r.offset < end]
                self.records += len(batch)
                if batch:
                    yield place.topic, batch

    async def _left(self) -> list[TopicPartition]:
        at = {place: min(await self._consumer.position(place), end) for place, end in self._ends.items()}
        self.read = sum(at.values()) - sum(self._begins.values())
        return [place for place, offset in at.items() if offset < self._ends[place]]


@asynccontextmanager
async def reread(bootstrap_servers: str, topics: Sequence[str]) -> AsyncIterator[Reread]:
    """These topics as they are now."""
    read_any_name()
    places = [place for found in (await places_of(bootstrap_servers, topics)).values() for place in found]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(places)
        begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        for place, offset in begins.items():
            consumer.seek(place, offset)
        yield Reread(consumer, begins, ends)
    finally:
        await consumer.stop()
