"""Where an event goes: to the partition that every Kafka producer would choose for its key."""

from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.relay import partition_of


@given(st.binary(max_size=80), st.integers(1, 64))
def test_a_key_belongs_to_the_partition_that_kafka_would_choose(key: bytes, count: int) -> None:
    everywhere = list(range(count))
    assert partition_of(key, count) == DefaultPartitioner()(key, everywhere, everywhere)
