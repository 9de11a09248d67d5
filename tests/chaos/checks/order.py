"""I2: each case's events apply in order, once, at everybody who listens, or are parked."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from shared.contracts.flow import BY_NAME
from tests.chaos.checks.finding import Finding

# Their events carry every version of what they tell of; a notice has versions that nobody needs to hear of.
WITHOUT_GAPS = frozenset({"amends.cases.v1", "amends.restitutions.v1"})


@dataclass(frozen=True, slots=True)
class Said:
    """One event of an owner's outbox. `aggregate`: what is locked while it is said, within which it keeps its order; None for one that
    stands alone. `version`: of the aggregate, None where events of it are not counted."""

    event_id: UUID
    key: str
    aggregate: str | None
    version: int | None
    type: str = ""


@dataclass(frozen=True, slots=True)
class Copy:
    """One row that `listener` keeps of what `owner` tells, beside the owner's: None where one of them has none."""

    what: str
    listener: str
    aggregate: str
    owner_version: int | None
    version: int | None


@dataclass(frozen=True, slots=True)
class Order:
    """`said`: each topic's events as their owner said them, in order; `arrived`: as they lie on the broker; `taken`: how often each
    service's inbox has an event; `passed_over`: the types that a listener does nothing about, by (listener, topic); `parked`: what still
    lies there, as sentences."""

    said: Mapping[str, Sequence[Said]] = field(default_factory=dict)
    arrived: Mapping[str, Sequence[tuple[str, UUID]]] = field(default_factory=dict)
    taken: Mapping[str, Mapping[UUID, int]] = field(default_factory=dict)
    passed_over: Mapping[tuple[str, str], Collection[str]] = field(default_factory=dict)
    copies: Sequence[Copy] = ()
    parked: Sequence[str] = ()


def versions_follow(seen: Order) -> Iterator[Finding]:
    """What an owner says of one thing is said in the order of its versions, cases and restitutions without a gap."""
    for topic, said in seen.said.items():
        last: dict[str, int] = {}
        for event in said:
            if event.aggregate is None or event.version is None:
                continue
            before = last.get(event.aggregate, 0)
            last[event.aggregate] = event.version
            is_next = event.version == before + 1 if topic in WITHOUT_GAPS else event.version > before
            if not is_next:
                yield Finding("I2", "versions_follow", f"{topic}: version {event.version} of {event.aggregate} after {before}")


def broker_has_all_in_order(seen: Order) -> Iterator[Finding]:
    """Every event lies on the broker, and the first copies of what was said of one thing lie in the order it was said."""
    for topic, said in seen.said.items():
        if BY_NAME[topic].compacted:
            continue
        place: dict[UUID, int] = {}
        for n, (_, event_id) in enumerate(seen.arrived.get(topic, ())):
            place.setdefault(event_id, n)
        last: dict[str, int] = {}
        for event in said:
            found = place.get(event.event_id)
            if found is None:
                yield Finding("I2", "broker_has_all_in_order", f"{topic}: event {event.event_id} of {event.key} never arrived")
            elif event.aggregate is not None and found < last.get(event.aggregate, -1):
                yield Finding(
                    "I2", "broker_has_all_in_order", f"{topic}: event {event.event_id} of {event.aggregate} overtook an earlier one"
                )
            elif event.aggregate is not None:
                last[event.aggregate] = found


def each_taken_once(seen: Order) -> Iterator[Finding]:
    """Every listener took every event that it does something about, and none twice. Of a compacted topic it may have missed what was
    overtaken by then."""
    for topic, said in seen.said.items():
        for listener in BY_NAME[topic].listeners:
            inbox, passed = seen.taken.get(listener, {}), seen.passed_over.get((listener, topic), ())
            for event in said:
                times = inbox.get(event.event_id, 0)
                if times > 1 or (times == 0 and not BY_NAME[topic].compacted and event.type not in passed):
                    yield Finding("I2", "each_taken_once", f"{listener} took event {event.event_id} of {topic} {times} times")


def none_taken_twice(seen: Order) -> Iterator[Finding]:
    """Nothing is in an inbox twice, wherever it came from."""
    said = {event.event_id for some in seen.said.values() for event in some}
    for service, inbox in seen.taken.items():
        for event_id, times in inbox.items():
            if times > 1 and event_id not in said:
                yield Finding("I2", "none_taken_twice", f"{service} took event {event_id} {times} times")


def copies_agree(seen: Order) -> Iterator[Finding]:
    """What a listener holds is what the owner has."""
    for copy in seen.copies:
        if copy.owner_version != copy.version:
            yield Finding(
                "I2",
                "copies_agree",
                f"{copy.what} {copy.aggregate}: {copy.listener} has version {copy.version}, the owner {copy.owner_version}",
            )


def nothing_is_parked(seen: Order) -> Iterator[Finding]:
    """Nothing in a storm is unreadable, and what waited for another topic's row has got it by the end."""
    for what, times in Counter(seen.parked).items():
        yield Finding("I2", "nothing_is_parked", f"{what} ({times})")
