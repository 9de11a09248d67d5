"""Records as they lie on Kafka, and how one becomes a fact.

Called by the consumer, the park and the relay. Invariant: whatever the bytes, reading raises `Poison` and nothing else.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final
from uuid import UUID

import msgspec
from pydantic import ValidationError

from shared.contracts.envelope import Envelope, Event, Fact
from shared.contracts.flow import EVENT_TYPES
from shared.kernel.errors import Poison
from shared.kernel.ids import time_of
from shared.messaging.wire import are_text

Headers = Sequence[tuple[str, bytes | None]]
# A longer key is known by its beginning and its hash: an index cannot hold every length that Kafka can.
_KEY_MAX = 400
# Bodies up to this size are read once for all listeners of this process, as long as so many others have not come between.
SHARED_BYTES: Final = 8_192
SHARED_EVENTS: Final = 1_024
COMPLAINTS_MAX: Final = 5


class Record(msgspec.Struct, frozen=True, gc=False):
    """One Kafka record, untouched."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    def header_bytes(self, name: str) -> bytes | None:
        """The first header of that name that is not null, as it came."""
        for found, value in self.headers:
            if found == name and value is not None:
                return value
        return None

    def header(self, name: str) -> str | None:
        """The first header of that name as text; None where absent, null or not UTF-8."""
        value = self.header_bytes(name)
        try:
            return None if value is None else value.decode()
        except UnicodeDecodeError:
            return None

    @property
    def ce_id(self) -> UUID | None:
        """The event's id, where it has one of ours."""
        try:
            return msgspec.convert(self.header("ce_id"), UUID)
        except msgspec.ValidationError:
            return None

    @property
    def traceparent(self) -> str | None:
        """The trace it belongs to, where its sender named one."""
        return self.header("traceparent")

    @property
    def order_key(self) -> str:
        """What must stay in order: the key as PostgreSQL can hold it, else the partition and offset, alone."""
        if self.key is None:
            return f"#{self.partition}:{self.offset}"
        text = self.key.decode("utf-8", "backslashreplace").replace("\x00", "\ufffd")
        return text if len(text) <= _KEY_MAX else f"{text[:100]}#{hashlib.sha256(self.key).hexdigest()}"

    def packed(self) -> bytes:
        """The record as JSON, byte for byte restorable."""
        text = {
            "key": _b64(self.key),
            "value": _b64(self.value),
            "headers": [[name, _b64(value)] for name, value in self.headers],
        }
        return json.dumps(text).encode()

    @classmethod
    def unpacked(cls, topic: str, partition: int, offset: int, packed: bytes) -> "Record":
        """The inverse of `packed`."""
        row = json.loads(packed)
        headers = tuple((name, _bytes(value)) for name, value in row["headers"])
        return cls(topic, partition, offset, _bytes(row["key"]), _bytes(row["value"]), headers)


def read(record: Record) -> Fact[Event]:
    """The fact in a record of one of our topics. Raises `Poison` with its reason."""
    if not are_text([name for name, _ in record.headers]):
        raise Poison("unreadable-envelope", "the name of a header is not UTF-8")
    event_type = record.header("ce_type")
    ce_id = record.ce_id
    if event_type is None or ce_id is None:
        raise Poison("unreadable-envelope", "no ce_type or no ce_id of ours in the headers")
    try:
        time_of(ce_id)
        time = datetime.fromisoformat(record.header("ce_time") or "")
    except ValueError as error:
        raise Poison("unreadable-envelope", f"ce_id or ce_time: {error}") from error
    if time.tzinfo is None:
        raise Poison("unreadable-envelope", "ce_time names no zone")
    cls = EVENT_TYPES.get(event_type)
    if cls is None or cls.topic != record.topic:
        raise Poison("unknown-type", f"{event_type} is not known on {record.topic}")
    if record.value is None:
        raise Poison("empty-body", "the record has no body")
    try:
        event = _shared(cls, record.value) if len(record.value) <= SHARED_BYTES else cls.model_validate_json(record.value)
    except ValidationError as error:
        raise Poison("unreadable-body", f"{event_type}: {_complaints(error)}") from error
    except ValueError as error:
        raise Poison("unreadable-body", f"{event_type}: {error}") from error
    envelope = Envelope(ce_id, event_type, record.header("ce_source") or "", time, record.order_key, record.header("traceparent"))
    return Fact(envelope, event)


@lru_cache(SHARED_EVENTS)
def _shared(cls: type[Event], body: bytes) -> Event:
    """What these bytes say. An event is frozen and the same for whoever reads it; four services of one process read each case's."""
    return cls.model_validate_json(body)


def _complaints(error: ValidationError) -> str:
    """Where a body is wrong and how, without what stands there: it may be somebody's words, and the reason of a park is read by many."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{'.'.join(str(part) for part in item['loc']) or 'the body'}: {item['msg']}" for item in found[:COMPLAINTS_MAX]]
    more = len(found) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "")


def headers_of(envelope: Envelope) -> list[tuple[str, bytes]]:
    """CloudEvents binary mode for Kafka."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(envelope.id).encode()),
        ("ce_type", envelope.type.encode()),
        ("ce_source", envelope.source.encode()),
        ("ce_time", envelope.time.isoformat().encode()),
        ("ce_subject", envelope.subject.encode()),
        ("content-type", b"application/json"),
    ]
    if envelope.traceparent:
        headers.append(("traceparent", envelope.traceparent.encode()))
    return headers


def _b64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else base64.b64decode(value)
