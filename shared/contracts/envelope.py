"""The envelope of an event on Kafka: CloudEvents 1.0, binary mode; and the base of every event class.

Called by the outbox (which adds the envelope) and the consumer (which reads it).
Invariant: an event's class is found by its type alone, and a newer producer's unknown fields never break an older reader.
"""

from datetime import datetime
from typing import ClassVar, Generic, TypeVar
from uuid import UUID

from msgspec import Struct
from pydantic import BaseModel, ConfigDict


class Contract(BaseModel):
    """Base of everything that travels: frozen, and tolerant of fields that a newer version added."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_timedelta="iso8601")


class Event(Contract):
    """Something that happened, in the past tense. `version` is that of its aggregate: listeners ignore a lower one than they know."""

    type_name: ClassVar[str]
    topic: ClassVar[str]
    version: int = 1

    @property
    def key(self) -> str:
        """The Kafka key: what must stay in order."""
        raise NotImplementedError


E = TypeVar("E", bound=Event, covariant=True)


class Envelope(Struct, frozen=True, gc=False):
    """CloudEvents attributes. `time` is business time; the day of `id` (UUIDv7) is machine time."""

    id: UUID
    type: str
    source: str
    time: datetime
    subject: str
    traceparent: str | None = None


class Fact(Struct, Generic[E], frozen=True, gc=False):
    """An event as a listener gets it. Structs, not dataclasses: there is one of each for every event heard, at a tenth of the cost."""

    envelope: Envelope
    event: E

    @property
    def traceparent(self) -> str | None:
        """The trace it belongs to."""
        return self.envelope.traceparent


def typed(events: tuple[type[Event], ...]) -> dict[str, type[Event]]:
    """Event classes by their type name; raises ValueError where two share one."""
    found: dict[str, type[Event]] = {}
    for cls in events:
        if cls.type_name in found:
            raise ValueError(f"{cls.type_name} is declared twice")
        found[cls.type_name] = cls
    return found
