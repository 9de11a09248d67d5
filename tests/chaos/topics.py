"""What lies on the broker and who has read how far, asked without being a listener."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from shared.contracts.flow import TOPICS
from shared.messaging.broker import group_of

Places = Mapping[str, list[TopicPartition]]


async def unread(servers: str) -> list[str]:
    """Every group that has records before it, as a sentence."""
    admin, asking = AIOKafkaAdminClient(bootstrap_servers=servers), AIOKafkaConsumer(bootstrap_servers=servers)
    await admin.start()
    await asking.start()
    try:
        found = []
        places = await _places(admin)
        for topic in TOPICS:
            ends = await asking.end_offsets(places[topic.name])
            for listener in topic.listeners:
                known = await admin.list_consumer_group_offsets(group_of(listener, topic.name))
                behind = sum(end - (max(known[place].offset, 0) if place in known else 0) for place, end in ends.items())
                if behind:
                    found.append(f"{listener} has {behind} of {topic.name} before it")
        return found
    finally:
        await asking.stop()
        await admin.close()


async def arrived(servers: str) -> dict[str, list[tuple[str, UUID]]]:
    """Every topic from its first record to its last, partition by partition: key and event."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        places = await _places(admin)
    finally:
        await admin.close()
    found: dict[str, list[tuple[str, UUID]]] = {}
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        for topic, some in places.items():
            ends = {place: end for place, end in (await consumer.end_offsets(some)).items() if end}
            found[topic] = await _read(consumer, ends)
        return found
    finally:
        await consumer.stop()


async def _read(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> list[tuple[str, UUID]]:
    found: list[tuple[str, UUID]] = []
    consumer.assign(list(ends))
    while ends:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            heads: list[tuple[Any, Any]] = [(r.key, dict(r.headers).get("ce_id")) for r in records]
            found += [(key.decode(), UUID(ce_id.decode())) for key, ce_id in heads if key and ce_id]
        for place in [p for p in ends if await consumer.position(p) >= ends[p]]:
            del ends[place]
    return found


async def _places(admin: AIOKafkaAdminClient) -> Places:
    told = await admin.describe_topics([topic.name for topic in TOPICS])
    return {row["topic"]: [TopicPartition(row["topic"], p["partition"]) for p in row["partitions"]] for row in told}
