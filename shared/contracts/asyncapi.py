"""The Kafka contract as an AsyncAPI 3.0 document, made from `flow.py` and the event classes.

Called by whoever serves `/asyncapi.json`. Invariant: every topic, every event and every owner and listener of the table is in it, each
under a name of its own.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from shared.contracts.envelope import Event
from shared.contracts.flow import INGRESS, TOPICS, Topic
from shared.contracts.ingress import TYPES

VERSION: Final = "1.0.0"
_REF: Final = "#/components/schemas/{model}"
# What every record carries: CloudEvents, binary mode.
HEADERS: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time"],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "description": "Unique with ce_source; of our own events a UUIDv7."},
        "ce_type": {"type": "string"},
        "ce_source": {"type": "string"},
        "ce_time": {"type": "string", "format": "date-time", "description": "Business time."},
        "ce_subject": {"type": "string", "description": "The key: what stays in order."},
        "content-type": {"type": "string"},
        "traceparent": {"type": "string"},
    },
}


def asyncapi() -> dict[str, Any]:
    """The document, as JSON values; the same for the same code."""
    messages, schemas = _messages()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Amends",
            "version": VERSION,
            "description": "What happened, as the services tell one another on Kafka. Events are past facts; requests are HTTP.",
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {
            name: operation for topic in TOPICS for name, operation in (_sends(topic), *(_receives(topic, who) for who in topic.listeners))
        },
        "components": {"messages": messages, "schemas": {"EnvelopeHeaders": dict(HEADERS), **schemas}},
    }


def _channel(topic: Topic) -> dict[str, Any]:
    kept = "Compacted: the latest of each key is kept." if topic.compacted else _kept(topic.keeps_hours)
    return {
        "address": topic.name,
        "description": f"Said by {topic.owner}. {kept}",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _types_on(topic)},
        "bindings": {"kafka": {"topicConfiguration": {"cleanup.policy": ["compact" if topic.compacted else "delete"]}}},
    }


def _kept(hours: int | None) -> str:
    return f"Kept for {hours} hours." if hours else "Kept for ever."


def _types_on(topic: Topic) -> tuple[str, ...]:
    return tuple(TYPES) if topic.name == INGRESS else tuple(event.type_name for event in topic.events)


def _sends(topic: Topic) -> tuple[str, dict[str, Any]]:
    return f"{topic.owner}.sends.{topic.name}", {"action": "send", "channel": {"$ref": f"#/channels/{topic.name}"}}


def _receives(topic: Topic, service: str) -> tuple[str, dict[str, Any]]:
    return f"{service}.receives.{topic.name}", {"action": "receive", "channel": {"$ref": f"#/channels/{topic.name}"}}


def _messages() -> tuple[dict[str, Any], dict[str, Any]]:
    """Messages by type, and the schemas they refer to by a name each."""
    ours = {event.type_name: event for topic in TOPICS for event in topic.events}
    # Our own events as they are written; what integrations send as it is read.
    wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = dict.fromkeys(
        [*((event, "serialization") for event in ours.values()), *((data, "validation") for data in TYPES.values())]
    )
    references, document = models_json_schema(list(wanted), ref_template=_REF)
    messages = {name: _message(name, event, references[event, "serialization"]) for name, event in ours.items()}
    messages |= {name: _message(name, data, references[data, "validation"]) for name, data in TYPES.items()}
    return messages, dict(document.get("$defs", {}))


def _message(name: str, model: type[BaseModel], payload: Any) -> dict[str, Any]:
    about = (model.__doc__ or "").strip() if "__doc__" in model.__dict__ else ""
    message = {
        "name": name,
        "title": model.__name__,
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/EnvelopeHeaders"},
        "payload": payload,
    }
    if issubclass(model, Event):
        message["bindings"] = {"kafka": {"key": {"type": "string"}}}
    return message | ({"description": about} if about else {})
