"""The Kafka door: one FastStream broker per process, batch subscribers that take raw bytes, offsets committed on a timer.

Called by `handlers.py` (`listen`) and the runtime. Invariants: no header can take a batch down (the parser is ours: FastStream's decodes
every header and drops the batch on the first that is null or not UTF-8; what names may be, `wire` says); an offset is committed only after
the batch that held it was; a handler that fails stops its consumer instead of letting FastStream go on with the next batch.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import CommitFailedError, KafkaError, TopicAlreadyExistsError
from faststream import AckPolicy
from faststream.exceptions import StopConsume
from faststream.kafka import KafkaBroker
from faststream.kafka.message import FAKE_CONSUMER, KafkaMessage

from shared.contracts.envelope import Event
from shared.contracts.flow import BY_NAME, TOPICS, Topic
from shared.db import Pool
from shared.messaging.consumer import Batch, Engine, Halted
from shared.messaging.records import Record
from shared.messaging.wire import read_any_name
from shared.telemetry import logs
from shared.telemetry.metrics import CONSUMERS_STOPPED

Handler = Callable[[Batch], Awaitable[None]]

BATCH_RECORDS: Final = 500
COMMIT_EVERY: Final = 0.5
# A fetch that follows a batch of several waits this long for more to come, unless so many bytes are there at once: a hundred small batches
# cost many times what one of a hundred costs. One that follows a single event does not wait.
GATHER_MS, GATHER_BYTES = 10, 1 << 18
# The same for who is not hurried, after single events too: what only shows what happened leaves the machine to what makes it happen.
UNHURRIED_MS: Final = 100
# Without events for so long, a topic's fetches may be held by the broker for longer; the first event ends the one under way at once.
IDLE_AFTER: Final = 2.0
IDLE_WAIT_MS: Final = 1000
# While the broker is away each reader asks for it this often. At aiokafka's own pace (100 ms) six processes spend half a core on it and
# write 400 kB of log a second (measured).
RETRY_MS: Final = 500
# A reader that was killed keeps its group until its session ends (aiokafka: 10 s).
SESSION_ENDS: Final = 20.0
_HOUR_MS: Final = 3_600_000

HEARD: Final = "select topic from topics_heard where topic = any($1::text[])"
HEAR: Final = "insert into topics_heard (topic) select unnest($1::text[]) on conflict do nothing"


class BrokerLostItsMemory(RuntimeError):
    """The broker knows no position for a topic that was consumed before."""


def make_broker(bootstrap_servers: str) -> KafkaBroker:
    """A broker without type injection (handlers take a `Batch`) and without topic creation (topics are provisioned)."""
    read_any_name()
    return KafkaBroker(
        bootstrap_servers, apply_types=False, allow_auto_create_topics=False, logger=None, graceful_timeout=5.0, retry_backoff_ms=RETRY_MS
    )


def listen(
    broker: KafkaBroker,
    engine: Engine,
    topic: str,
    *,
    only: Sequence[type[Event]] | None = None,
    fetch_max_wait_ms: int = 25,
    is_hurried: bool = True,
) -> Callable[[Handler], Handler]:
    """Subscribe the decorated handler to `topic` in the service's group.

    `only`: the types that it does something about, all without; the topic's others are done when they come, unread.
    `fetch_max_wait_ms`: how long the broker holds a fetch while events come; where this process reads several partitions, data on a just
    drained one waits that long (measured).
    `is_hurried`: whether somebody further on waits for each event. Without, what follows one gathers for as long as nobody would notice.
    """
    log = logs.get("broker", service=engine.name, topic=topic)
    passed_over = engine.passed_over[topic] = skipped(topic, only)

    def decorate(handler: Handler) -> Handler:
        subscriber = broker.subscriber(
            topic,
            batch=True,
            group_id=group_of(engine.name, topic),
            group_instance_id=engine.member,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            parser=_parse,
            decoder=_decode,
            max_records=BATCH_RECORDS,
            fetch_max_wait_ms=IDLE_WAIT_MS,
            max_poll_interval_ms=3_600_000,
        )

        relaxing: asyncio.Handle | None = None

        @subscriber
        async def consume(batch: Batch) -> None:
            nonlocal relaxing
            if relaxing is not None:
                relaxing.cancel()
            relaxing = _pace(subscriber, len(batch.records), fetch_max_wait_ms, is_hurried=is_hurried)
            wanted = (
                [record for record in batch.records if record.header_bytes("ce_type") not in passed_over] if passed_over else batch.records
            )
            try:
                if wanted:
                    await handler(Batch(wanted))
            except asyncio.CancelledError:
                raise
            except Exception as error:
                CONSUMERS_STOPPED.labels(engine.name, topic).set(1)
                log.exception("the consumer stops and waits for a person", reason="halted" if isinstance(error, Halted) else "unexpected")
                raise StopConsume from error
            for record in batch.records:
                engine.done[record.topic, record.partition] = record.offset + 1

        engine.handlers[topic] = handler
        engine.subscribers[topic] = subscriber
        return handler

    return decorate


def skipped(topic: str, only: Sequence[type[Event]] | None) -> frozenset[bytes]:
    """The types of a topic, as they stand in a header, that its listener does nothing about. What is not known at all is not among them."""
    if only is None:
        return frozenset()
    assert {cls.topic for cls in only} <= {topic}, "a listener names types of its own topic"
    return frozenset(cls.type_name.encode() for cls in BY_NAME[topic].events if cls not in only)


def _pace(subscriber: Any, came: int, busy_wait_ms: int, *, is_hurried: bool) -> asyncio.Handle:
    """How the next fetches are held after a batch of `came` records; the handle is of what lets them be held for longer, later.

    One that gathers is sent at once or never. Where one partition is all there is, a held fetch keeps nothing waiting: what comes ends it.
    """
    loop = asyncio.get_running_loop()
    is_alone = subscriber.consumer is not None and len(subscriber.consumer.assignment()) <= 1
    wait = IDLE_WAIT_MS if is_alone else busy_wait_ms
    if came > 1 or not is_hurried:
        gather = GATHER_MS if is_hurried else UNHURRIED_MS
        _hold(subscriber, gather, GATHER_BYTES)
        loop.call_later(gather / 1000, _hold, subscriber, wait)
    else:
        _hold(subscriber, wait)
    return loop.call_later(IDLE_AFTER, _hold, subscriber, IDLE_WAIT_MS)


def _hold(subscriber: Any, milliseconds: int, size: int = 1) -> None:
    """From its next fetch on, the broker may hold it so long, or until so many bytes are there: an idle process at a busy pace spends a
    quarter of a core on fetches.

    aiokafka has no public way to change it.
    """
    if subscriber.consumer is not None:
        subscriber.consumer._fetcher._fetch_max_wait_ms = milliseconds
        subscriber.consumer._fetcher._fetch_min_bytes = size


def group_of(service: str, topic: str) -> str:
    """A group per service and topic: members of one group that hear different topics make each other wait at every start."""
    return f"{service}.{topic}"


async def start(broker: KafkaBroker) -> None:
    """Connect, and start all subscribers side by side (FastStream does it one after the other)."""
    await broker.connect()
    await asyncio.gather(*(subscriber.start() for subscriber in broker.subscribers))
    broker.running = True


async def _parse(message: Any) -> KafkaMessage:
    """The batch as it came: nothing is decoded here, so nothing can fail here."""
    return KafkaMessage(body=b"", headers={}, reply_to="", message_id="", raw_message=message, consumer=FAKE_CONSUMER)


async def _decode(message: KafkaMessage) -> Batch:
    raw = message.raw_message
    return Batch([Record(r.topic, r.partition, r.offset, r.key, r.value, tuple(r.headers)) for r in raw])


async def commit_offsets(engine: Engine) -> None:
    """Until cancelled: twice a second, tell the broker what is done. A failed commit is no error, the inbox absorbs the repeats."""
    told: dict[tuple[str, int], int] = {}
    while True:
        await asyncio.sleep(COMMIT_EVERY)
        await commit_once(engine, told)


async def commit_once(engine: Engine, told: dict[tuple[str, int], int]) -> None:
    """Commit what moved since `told`."""
    for topic, subscriber in engine.subscribers.items():
        consumer: AIOKafkaConsumer | None = subscriber.consumer
        if consumer is None:
            continue
        mine = consumer.assignment()
        moved = {
            TopicPartition(t, p): offset
            for (t, p), offset in engine.done.items()
            if t == topic and TopicPartition(t, p) in mine and told.get((t, p)) != offset
        }
        if not moved:
            continue
        with suppress(KafkaError, TimeoutError):
            await asyncio.wait_for(consumer.commit(moved), timeout=5)
            told.update({(tp.topic, tp.partition): offset for tp, offset in moved.items()})


def dead_subscribers(engine: Engine) -> list[str]:
    """Topics whose subscriber does not run or has not joined its group: what `ping()` does not notice."""
    dead = []
    for topic, subscriber in engine.subscribers.items():
        tasks = getattr(subscriber, "tasks", [])
        alive = subscriber.running and subscriber.consumer is not None and any(not task.done() for task in tasks)
        if not alive or not _has_joined(subscriber.consumer):
            dead.append(topic)
    return dead


def _has_joined(consumer: AIOKafkaConsumer) -> bool:
    """Whether the group has told this member its partitions, none among them where there are more members than partitions.

    aiokafka's public `assignment()` is empty either way.
    """
    subscription = consumer._subscription.subscription
    return subscription is not None and subscription.assignment is not None


async def provision(bootstrap_servers: str, *, partitions: int, replication_factor: int, retention_ms: int, ingress_hours: int) -> None:
    """Make the topics of `flow.py` that are missing; existing ones are left as they are."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        known = set(await admin.list_topics())
        new = [
            NewTopic(
                topic.name,
                1 if topic.is_single else partitions,
                replication_factor,
                topic_configs=_configs(topic, retention_ms, ingress_hours),
            )
            for topic in TOPICS
            if topic.name not in known
        ]
        if new:
            with suppress(TopicAlreadyExistsError):
                await admin.create_topics(new)
        await _coordinated(admin)
    finally:
        await admin.close()


async def _coordinated(admin: AIOKafkaAdminClient) -> None:
    """A broker that is new makes the topic of the groups' positions at the first question; ask once instead of from every consumer."""
    for _ in range(100):
        with suppress(KafkaError):
            await admin.find_coordinator("amends")
            return
        await asyncio.sleep(0.05)


def _configs(topic: Topic, retention_ms: int, ingress_hours: int) -> dict[str, str]:
    if topic.compacted:
        # An erased patient's key is gone from the log within a day.
        return {"cleanup.policy": "compact", "max.compaction.lag.ms": str(24 * _HOUR_MS), "delete.retention.ms": str(24 * _HOUR_MS)}
    return {"retention.ms": str(ingress_hours * _HOUR_MS if topic.keeps_hours else retention_ms)}


async def remember_positions(bootstrap_servers: str, engine: Engine, pool: Pool, topics: Sequence[str] = ()) -> None:
    """Before the first fetch: a group without a position starts at the beginning if it never heard the topic, else it stops and says so.

    `topics`: instead of those that are subscribed to.
    """
    topics = list(topics or engine.subscribers)
    heard = {row["topic"] for row in await pool.fetch(HEARD, topics)}
    places = await places_of(bootstrap_servers, topics)
    known = (_has_position(bootstrap_servers, group_of(engine.name, topic), places[topic], topic in heard) for topic in topics)
    outcomes = await asyncio.gather(*known)
    lost = sorted(topic for topic, known in zip(topics, outcomes, strict=True) if not known)
    if lost:
        raise BrokerLostItsMemory(
            f"the broker has no position of {engine.name} for {', '.join(lost)}, which was read before: its log was lost or it is another"
            " broker; name the right one with AMENDS_KAFKA__BOOTSTRAP_SERVERS, or fill it again with `amends republish --since TIME`"
        )
    await pool.execute(HEAR, topics)


async def places_of(bootstrap_servers: str, topics: Sequence[str]) -> dict[str, list[TopicPartition]]:
    """Each topic's partitions, which an unsubscribed consumer never learns of. A topic just made may be unknown for a moment."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        for _ in range(100):
            told = await admin.describe_topics(list(topics))
            found = {t["topic"]: [TopicPartition(t["topic"], p["partition"]) for p in t["partitions"]] for t in told}
            if all(found.get(topic) for topic in topics):
                return found
            await asyncio.sleep(0.1)
    finally:
        await admin.close()
    raise KafkaError(f"the broker does not know {', '.join(topic for topic in topics if not found.get(topic))}")


async def _has_position(bootstrap_servers: str, group: str, places: list[TopicPartition], was_heard: bool) -> bool:
    """Whether the group may go on; one that never heard the topic gets the beginning as its position."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(places)
        start = {place: 0 for place in places if await consumer.committed(place) is None}
        if was_heard and len(start) == len(places):
            return False
        if start:
            try:
                await consumer.commit(start)
            except KafkaError:
                # A process beside this one was faster, and has joined since: then the positions are there.
                if any([await consumer.committed(place) is None for place in start]):
                    raise
        return True
    finally:
        await consumer.stop()


class StillRead(RuntimeError):
    """Somebody reads in a group whose position is to be set."""


async def wait_until_unread(bootstrap_servers: str, groups: Collection[str], *, seconds: float = SESSION_ENDS) -> None:
    """Until nobody is a member of these groups. Raises StillRead where somebody still is after so long."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await _coordinated(admin)
        until = asyncio.get_running_loop().time() + seconds
        while read := await _with_members(admin, groups):
            if asyncio.get_running_loop().time() > until:
                raise StillRead(f"{', '.join(read)} is still read")
            await asyncio.sleep(0.5)
    finally:
        await admin.close()


async def _with_members(admin: AIOKafkaAdminClient, groups: Collection[str]) -> list[str]:
    # One by one: aiokafka 0.14 cannot read an answer about several groups.
    told = await asyncio.gather(*(admin.describe_consumer_groups([group]) for group in groups))
    # (error, group, state, protocol type, protocol, members)
    found = [group for (response,) in told for group in response.groups]
    return sorted(group[1] for group in found if group[2] not in ("Empty", "Dead"))


async def start_over(bootstrap_servers: str, service: str, topics: Sequence[str]) -> None:
    """Set the service's position on each of these topics to the beginning. Raises StillRead where a group has members."""
    places = await places_of(bootstrap_servers, topics)
    try:
        await asyncio.gather(*(_to_the_beginning(bootstrap_servers, group_of(service, topic), places[topic]) for topic in topics))
    except CommitFailedError as error:
        raise StillRead(f"{service} is running") from error


async def _to_the_beginning(bootstrap_servers: str, group: str, places: list[TopicPartition]) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(places)
        await consumer.commit(await consumer.beginning_offsets(places))
    finally:
        await consumer.stop()
