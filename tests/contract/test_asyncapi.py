"""The AsyncAPI document says what flow.py says, and is a valid AsyncAPI 3.0 document."""

import json
import re
from typing import Any

import pytest
from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema

from shared.contracts.asyncapi import asyncapi
from shared.contracts.flow import EVENT_TYPES, INGRESS, TOPICS
from shared.contracts.ingress import TYPES

pytestmark = pytest.mark.contract

DOCUMENT = asyncapi()


def test_it_is_a_valid_document() -> None:
    """Method: read by the models of another implementation of AsyncAPI 3.0, and its names by the specification's pattern."""
    assert ApplicationSchema.model_validate(DOCUMENT).asyncapi == "3.0.0"
    for kind in ("messages", "schemas"):
        for name in DOCUMENT["components"][kind]:
            assert re.fullmatch(r"[\w.-]+", name), name


def test_every_topic_and_every_event_is_in_it() -> None:
    assert set(DOCUMENT["channels"]) == {topic.name for topic in TOPICS}
    for topic in TOPICS:
        listed = set(DOCUMENT["channels"][topic.name]["messages"])
        assert listed == ({*TYPES} if topic.name == INGRESS else {event.type_name for event in topic.events})
    assert set(DOCUMENT["components"]["messages"]) == {*EVENT_TYPES, *TYPES}


def test_every_owner_sends_and_every_listener_receives() -> None:
    sends = {(name, operation["action"]) for name, operation in DOCUMENT["operations"].items()}
    expected = {(f"{topic.owner}.sends.{topic.name}", "send") for topic in TOPICS}
    expected |= {(f"{who}.receives.{topic.name}", "receive") for topic in TOPICS for who in topic.listeners}
    assert sends == expected


def test_every_reference_leads_somewhere() -> None:
    references = list(_references(DOCUMENT))
    assert len(references) > 100
    for reference in references:
        found: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            assert part in found, reference
            found = found[part]


def test_model_names_are_unique_and_short() -> None:
    """Goal: no module path in a name, which is how pydantic tells two models of one name apart."""
    events = [event.__name__ for event in EVENT_TYPES.values()]
    assert len(events) == len(set(events))
    assert not [name for name in DOCUMENT["components"]["schemas"] if "__" in name or "-" in name]


def test_it_is_the_same_every_time_and_is_json() -> None:
    assert json.dumps(asyncapi()) == json.dumps(DOCUMENT)


def _references(node: Any) -> Any:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)
