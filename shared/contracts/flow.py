"""The whole choreography as one table: event → owner → listeners, and the topics they travel on.

Held by a contract test against the real subscribers and against what each `domain.py` returns; `docs/FLOW.md` is rendered from it.
"""

from dataclasses import dataclass
from typing import Final

from shared.contracts import cases, directory, incidents, notices, patients, restitutions
from shared.contracts.envelope import Event, typed

INGRESS: Final = "amends.ingress.v1"
ALL_SERVICES: Final = ("directory", "intake", "escalation", "restitution", "notification", "console")


@dataclass(frozen=True, slots=True)
class Topic:
    """A Kafka topic. One writer each. `compacted` keeps the latest event of a key for ever; else `keeps_hours`, None for ever."""

    name: str
    owner: str
    listeners: tuple[str, ...]
    events: tuple[type[Event], ...]
    # One partition where a listener must know that it has heard everything up to a version (the directory's topics are small).
    is_single: bool = False
    compacted: bool = False
    keeps_hours: int | None = None


_EVERYBODY = ("intake", "escalation", "restitution", "notification", "console", "directory")

TOPICS: Final[tuple[Topic, ...]] = (
    Topic(INGRESS, "integrations", ("intake",), (), keeps_hours=24),
    Topic(directory.LOCATIONS, "directory", _EVERYBODY, (directory.LocationChanged,), is_single=True, compacted=True),
    Topic(directory.STAFF, "directory", _EVERYBODY, (directory.StaffChanged,), is_single=True, compacted=True),
    Topic(directory.ACCESS, "directory", _EVERYBODY, (directory.AccessChanged,), is_single=True, compacted=True),
    Topic(patients.PATIENTS, "intake", ("escalation", "notification", "console"), patients.EVENTS, compacted=True),
    Topic(incidents.INCIDENTS, "intake", ("escalation",), incidents.EVENTS),
    Topic(cases.CASES, "escalation", ("intake", "restitution", "notification", "console"), cases.EVENTS),
    Topic(restitutions.RESTITUTIONS, "restitution", ("escalation", "notification", "console"), restitutions.EVENTS),
    Topic(notices.NOTICES, "notification", ("intake", "escalation", "restitution", "console"), notices.EVENTS),
)

BY_NAME: Final[dict[str, Topic]] = {topic.name: topic for topic in TOPICS}
EVENT_TYPES: Final[dict[str, type[Event]]] = typed(tuple(event for topic in TOPICS for event in topic.events))


def heard_by(service: str) -> tuple[str, ...]:
    """The topics a service listens to, in the table's order."""
    return tuple(topic.name for topic in TOPICS if service in topic.listeners)


def said_by(service: str) -> tuple[str, ...]:
    """The topics a service is the one writer of."""
    return tuple(topic.name for topic in TOPICS if topic.owner == service)
