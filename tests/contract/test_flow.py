"""The choreography's table tells the truth: who listens is who is listed, and who is listed as the owner is who speaks."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.contracts.flow import ALL_SERVICES, EVENT_TYPES, TOPICS, heard_by, said_by
from tests.contract import building

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
TOPIC_OF = {event.__name__: event.topic for event in EVENT_TYPES.values()}
# A domain function may hand the class to the one who fills in what all events carry.
SPEAKERS = ("say", "page", "tell")
# Events that nobody says yet, each with its reason; a test fails as soon as one of them is said.
NOT_YET: dict[str, str] = {}


@pytest.mark.parametrize("name", ALL_SERVICES)
def test_a_service_listens_to_exactly_what_the_table_says(name: str) -> None:
    """Method: the service is built as in production and its registered subscribers are read."""
    assert sorted(building.service(name).engine.handlers) == sorted(heard_by(name))


@pytest.mark.parametrize("name", ALL_SERVICES)
def test_a_service_says_only_what_it_owns(name: str) -> None:
    """Method: every place in its syntax trees where an event is made."""
    strangers = [f"{place} makes {event}" for event, place in made_by(name) if TOPIC_OF[event] not in said_by(name)]
    assert not strangers, "\n" + "\n".join(strangers)


def test_every_event_is_said_by_somebody() -> None:
    made = {event for name in ALL_SERVICES for event, _ in made_by(name)}
    assert sorted(set(TOPIC_OF) - made) == sorted(NOT_YET)


def test_a_topic_has_one_owner_and_known_listeners() -> None:
    names = [topic.name for topic in TOPICS]
    assert len(names) == len(set(names))
    for topic in TOPICS:
        assert set(topic.listeners) <= set(ALL_SERVICES), topic.name
        assert len(topic.listeners) == len(set(topic.listeners)), topic.name
        assert topic.owner in (*ALL_SERVICES, "integrations"), topic.name
        assert {event.topic for event in topic.events} <= {topic.name}


def test_only_compacted_topics_and_ingress_may_lose_a_record() -> None:
    """Goal: a replay finds everything else. Method: what the table says of retention."""
    assert {topic.name for topic in TOPICS if topic.keeps_hours is not None} == {"amends.ingress.v1"}
    assert {topic.name for topic in TOPICS if topic.is_single} == {topic.name for topic in TOPICS if topic.owner == "directory"}


def test_words_and_numbers_travel_on_no_other_topic() -> None:
    """Goal: contact data only as ciphertext on the patients' topic, words nowhere. Method: the names of all fields."""
    private = {"phone", "email", "patient_name", "verbatim", "words", "text", "body", "wished_outcome", "to", "to_number", "address"}
    leaks = [
        f"{event.__name__}.{field}"
        for event in EVENT_TYPES.values()
        for field in event.model_fields
        if field in private and event.__name__ not in ("PatientChanged", "StaffChanged", "LocationChanged")
    ]
    assert not leaks


def test_the_search_for_speakers_finds_each_way_of_speaking() -> None:
    source = (
        "from shared.contracts import cases as say\n"
        "def f(turn, event):\n"
        "    turn.page(say.CaseReopened, ())\n"
        "    if isinstance(event, CaseClosed):\n"
        "        return (NoticeSent(a=1),)\n"
        "    match event:\n"
        "        case CaseOpened():\n"
        "            pass\n"
    )
    assert sorted(_made_in(ast.parse(source), "x.py")) == [("CaseReopened", "x.py:3"), ("NoticeSent", "x.py:5")]


def made_by(name: str) -> Iterator[tuple[str, str]]:
    """Each event class that the service makes, with `file:line`."""
    for file in sorted((ROOT / "services" / name).rglob("*.py")):
        yield from _made_in(ast.parse(file.read_text("utf-8")), file.relative_to(ROOT).as_posix())


def _made_in(tree: ast.Module, path: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if (event := _name(node.func)) in TOPIC_OF:
            yield event, f"{path}:{node.lineno}"
        elif isinstance(node.func, ast.Attribute) and node.func.attr in SPEAKERS and node.args and _name(node.args[0]) in TOPIC_OF:
            yield _name(node.args[0]), f"{path}:{node.lineno}"


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
