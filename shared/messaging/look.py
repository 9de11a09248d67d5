"""A look at the broker from outside: who is there, and how our topics stand. Called by `amends doctor`; changes nothing."""

from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.contracts.flow import TOPICS

ANSWER_MS = 5_000


@dataclass(frozen=True, slots=True)
class TopicAsIs:
    """A topic as the broker has it: `replicas` of its least replicated partition, `behind` counts partitions with a replica out of sync."""

    partitions: int
    replicas: int
    leaderless: int
    behind: int
    is_compacted: bool


@dataclass(frozen=True, slots=True)
class Cluster:
    """`topics` holds those of `flow.py` that exist."""

    brokers: int
    topics: dict[str, TopicAsIs]


async def look(bootstrap_servers: str) -> Cluster:
    """The cluster as it answers now. Raises KafkaError or TimeoutError where it does not."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=ANSWER_MS)
    await admin.start()
    try:
        brokers = (await admin.describe_cluster())["brokers"]
        known = set(await admin.list_topics())
        ours = [topic.name for topic in TOPICS if topic.name in known]
        told = await admin.describe_topics(ours) if ours else []
        compacted = await _compacted(admin, ours)
        return Cluster(len(brokers), {t["topic"]: _as_is(t["partitions"], t["topic"] in compacted) for t in told})
    finally:
        await admin.close()


def _as_is(partitions: list[dict[str, Any]], is_compacted: bool) -> TopicAsIs:
    return TopicAsIs(
        partitions=len(partitions),
        replicas=min((len(p["replicas"]) for p in partitions), default=0),
        leaderless=sum(p["leader"] < 0 for p in partitions),
        behind=sum(len(p["isr"]) < len(p["replicas"]) for p in partitions),
        is_compacted=is_compacted,
    )


async def _compacted(admin: AIOKafkaAdminClient, topics: list[str]) -> set[str]:
    if not topics:
        return set()
    asked = [ConfigResource(ConfigResourceType.TOPIC, name, configs={"cleanup.policy": None}) for name in topics]
    found = set()
    for answer in await admin.describe_configs(asked):
        for _, _, _, name, entries in (resource[:5] for resource in answer.resources):
            found |= {name for entry in entries if entry[0] == "cleanup.policy" and "compact" in str(entry[1])}
    return found
