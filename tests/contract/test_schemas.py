"""Every event's schema is as written down, changes only in ways that break nobody, and what was stored once is read for ever."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.envelope import Envelope, Event
from shared.contracts.flow import EVENT_TYPES
from shared.kernel.ids import new_id
from shared.messaging.records import Record, headers_of, read
from tests.contract import compatible
from tests.contract.compatible import AT, breaks, schema_of
from tests.support import docs

pytestmark = pytest.mark.contract

GOLDEN = Path(__file__).parent / "golden"
IS_WRITING = os.environ.get("UPDATE_DOCS") == "1"
# Fields whose values do not come back as they were sent, because a newer class no longer has them. Empty: nothing was ever dropped.
DROPPED: dict[str, set[str]] = {}


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_docs_of_the_schema_change_only_compatibly(name: str) -> None:
    """Goal: no field removed, renamed, retyped or newly required. Method: against the schema as it was written down last."""
    now = schema_of(EVENT_TYPES[name])
    page = GOLDEN / "schemas" / f"{name}.json"
    if page.exists():
        assert not (broken := breaks(json.loads(page.read_text("utf-8")), now)), f"{name}: {'; '.join(broken)}"
    docs.hold(f"../tests/contract/golden/schemas/{name}.json", _json(now))


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_docs_of_an_example_are_there(name: str) -> None:
    """An example is written once, by the version that first said the event, and never again: it stands for what lies in the topics."""
    page = GOLDEN / "examples" / f"{name}.json"
    if IS_WRITING and not page.exists():
        docs.hold(f"../tests/contract/golden/examples/{name}.json", _json(compatible.example_of(EVENT_TYPES[name])))
    assert page.exists(), f"{page.name} is missing: run `make docs`"


@pytest.mark.parametrize("page", sorted((GOLDEN / "examples").glob("*.json")), ids=lambda page: page.stem)
def test_what_was_stored_once_is_still_read(page: Path) -> None:
    """Method: the stored text through the reader that every consumer uses, and nothing of it may get lost on the way."""
    stored = json.loads(page.read_text("utf-8"))
    event = _read(page.stem, stored)
    kept = {field: value for field, value in stored.items() if field not in DROPPED.get(page.stem, set())}
    assert list(_lost(kept, json.loads(event.model_dump_json()), page.stem)) == []
    assert event.key


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_a_field_of_a_newer_version_is_tolerated(name: str) -> None:
    stored = json.loads((GOLDEN / "examples" / f"{name}.json").read_text("utf-8"))
    assert _read(name, stored | {"from_tomorrow": {"deep": [1]}}) == _read(name, stored)


def test_no_schema_or_example_is_left_of_an_event_that_is_gone() -> None:
    """Goal: an event type cannot vanish unnoticed while its records lie in the topics."""
    for folder in ("schemas", "examples"):
        assert {page.stem for page in (GOLDEN / folder).glob("*.json")} == set(EVENT_TYPES)


OLD: dict[str, Any] = {
    "type": "object",
    "required": ["a"],
    "properties": {
        "a": {"type": "string"},
        "b": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        "c": {"$ref": "#/$defs/C"},
        "d": {"type": "array", "items": {"$ref": "#/$defs/C"}, "default": []},
    },
    "$defs": {"C": {"type": "object", "required": ["x"], "properties": {"x": {"enum": ["one", "two"], "type": "string"}}}},
}


def _changed(**changes: Any) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(OLD))
    for path, value in changes.items():
        *way, last = path.split("__")
        node = copy
        for part in way:
            node = node["$defs"] if part == "defs" else node[part]
        if value is None:
            del node[last]
        else:
            node[last] = value
    return copy


@pytest.mark.parametrize(
    ("new", "sentence"),
    [
        (_changed(properties__b=None), "/b is gone"),
        (_changed(properties__a={"type": "integer"}), "/a was string and is integer"),
        (_changed(properties__b={"type": "integer"}), "/b was integer or null and is integer"),
        (_changed(required=["a", "b"]), "/b is required now: stored events lack it"),
        (_changed(required=[]), "/a is no longer required: older listeners rely on it"),
        (_changed(properties__a={"type": "string", "format": "date"}), "/a had the format None and has date"),
        (_changed(defs__C__properties__x={"enum": ["one"], "type": "string"}), "/c/x no longer knows two"),
        (
            _changed(defs__C__required=["x", "y"], defs__C__properties__y={"type": "string"}),
            "/d/*/y is required now: stored events lack it",
        ),
    ],
)
def test_a_planted_change_is_found(new: dict[str, Any], sentence: str) -> None:
    assert sentence in breaks(OLD, new)


@pytest.mark.parametrize(
    "new",
    [
        _changed(),
        _changed(properties__e={"type": "string", "default": ""}),
        _changed(properties__a={"anyOf": [{"type": "string"}, {"type": "null"}]}),
        _changed(defs__C__properties__x={"enum": ["one", "two", "three"], "type": "string"}),
    ],
)
def test_what_breaks_nobody_is_let_through(new: dict[str, Any]) -> None:
    assert breaks(OLD, new) == []


def test_what_gets_lost_is_found_and_what_is_new_is_not() -> None:
    assert list(_lost({"a": [{"b": 1}]}, {"a": [{"b": 2, "new": 0}], "c": 1}, "x")) == ["x/a/0/b was 1 and is 2"]
    assert list(_lost({"a": [{"b": 1}]}, {"a": [{"b": 1, "new": 0}], "c": 1}, "x")) == []


def _lost(stored: Any, again: Any, path: str) -> Iterator[str]:
    """What of the stored value did not come back; fields that a newer version added do not matter."""
    if isinstance(stored, dict) and isinstance(again, dict):
        for field, value in stored.items():
            yield from _lost(value, again.get(field), f"{path}/{field}")
    elif isinstance(stored, list) and isinstance(again, list) and len(stored) == len(again):
        for place, (value, other) in enumerate(zip(stored, again, strict=True)):
            yield from _lost(value, other, f"{path}/{place}")
    elif stored != again:
        yield f"{path} was {stored} and is {again}"


def _read(name: str, stored: dict[str, Any]) -> Event:
    cls = EVENT_TYPES[name]
    envelope = Envelope(new_id(), name, "test", AT, "key")
    return read(Record(cls.topic, 0, 0, b"key", json.dumps(stored).encode(), tuple(headers_of(envelope)))).event


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
