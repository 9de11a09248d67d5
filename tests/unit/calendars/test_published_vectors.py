"""Every published business-hours vector holds: due times, open time, pauses, breaks, zone arithmetic."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.calendars import Calendar, due_at, open_seconds, wall_to_utc

pytestmark = pytest.mark.unit

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "vectors" / "business_hours_vectors.json").read_text())["vectors"]


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _calendar(vector: dict[str, Any]) -> Calendar:
    return Calendar(
        vector["timezone"],
        vector["hours"],
        [date.fromisoformat(day) for day in vector["holidays"]],
        {date.fromisoformat(day): hours for day, hours in vector["date_overrides"].items()},
        breaks=vector.get("breaks"),
    )


def _pauses(vector: dict[str, Any]) -> list[tuple[datetime, datetime]]:
    return [(_at(start), _at(end)) for start, end in vector["pauses"]]


def _of(op: str) -> Any:
    chosen = [vector for vector in VECTORS if vector["op"] == op]
    return pytest.mark.parametrize("vector", chosen, ids=[f"{vector['id']}: {vector['case']}" for vector in chosen])


def test_all_kinds_of_vectors_are_tried() -> None:
    assert {vector["op"] for vector in VECTORS} == {"due", "between", "is_open", "open_intervals", "wall_to_utc"}
    assert len(VECTORS) == 52
    assert any(vector.get("breaks") for vector in VECTORS)


@_of("due")
def test_due(vector: dict[str, Any]) -> None:
    due = due_at(_calendar(vector), _at(vector["start"]), vector["business_seconds"], _pauses(vector))
    # Of the two spellings of an end on a closing, ours is the closing: always the earlier one.
    assert due == min(_at(vector["expected"]), _at(vector.get("also_accept", vector["expected"])))
    assert due.tzinfo is UTC


@_of("between")
def test_between(vector: dict[str, Any]) -> None:
    found = open_seconds(_calendar(vector), _at(vector["start"]), _at(vector["end"]), _pauses(vector))
    assert found == vector["expected_business_seconds"]


@_of("is_open")
def test_is_open(vector: dict[str, Any]) -> None:
    assert _calendar(vector).is_open(_at(vector["at"])) is vector["expected"]


@_of("open_intervals")
def test_open_intervals(vector: dict[str, Any]) -> None:
    origin = _at(vector["origin"])
    expected = [(_at(opens), _at(closes)) for opens, closes in vector["expected"]]
    assert _calendar(vector).intervals(origin, origin + timedelta(days=60))[: len(expected)] == expected


@_of("wall_to_utc")
def test_wall_to_utc(vector: dict[str, Any]) -> None:
    day, at = vector["local"].split("T")
    assert wall_to_utc(vector["timezone"], date.fromisoformat(day), at[:5]) == _at(vector["expected"])
