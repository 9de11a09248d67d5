"""Records that no client of ours would write, as another program may put them on the broker."""

from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

Raw = tuple[bytes, bytes, Sequence[tuple[bytes, bytes | None]]]


class _Name(str):
    """The name of a header that goes out as these bytes."""

    raw: bytes

    def __new__(cls, raw: bytes) -> "_Name":
        made = super().__new__(cls, raw.hex())
        made.raw = raw
        return made

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return self.raw


def builder_of(records: Sequence[Raw], *, first: int = 0, compression: int = 0) -> _DefaultRecordBatchBuilderPy:
    """A batch of (key, value, headers) whose headers' names are any bytes. The compiled builder takes text alone."""
    made = _DefaultRecordBatchBuilderPy(2, compression, False, -1, -1, -1, 1_000_000)
    for n, (key, value, headers) in enumerate(records, first):
        assert made.append(n, 1_700_000_000_000, key, value, [(_Name(name), found) for name, found in headers]) is not None
    return made


async def send_raw(bootstrap_servers: str, topic: str, records: Sequence[Raw], partition: int = 0) -> int:
    """Produce these records as one batch; gives the first one's offset."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers)
    await producer.start()
    try:
        batch = producer.create_batch()
        batch._builder = builder_of([])
        for key, value, headers in records:
            assert batch.append(key=key, value=value, timestamp=None, headers=[(_Name(name), found) for name, found in headers]) is not None
        sent = await (await producer.send_batch(batch, topic, partition=partition))
        offset: int = sent.offset
        return offset
    finally:
        await producer.stop()
