"""What is a CloudEvent of ours, and what is said of one that is not."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.intake.domain import Arrival, judge, read_binary, read_json, read_structured
from services.intake.domain.reading import e164

pytestmark = pytest.mark.unit

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "cloudevents.json").read_text("utf-8"))
NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)


def event(**changes: Any) -> dict[str, Any]:
    base = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "pos/store-12",
        "type": "amends.pos.visit.checked_in",
        "time": "2026-11-23T14:00:00Z",
        "data": {"location_id": "store-12", "order_id": "O-1", "reason": "problem"},
    }
    return {name: value for name, value in {**base, **changes}.items() if value is not ...}


def code_of(arrival: Arrival) -> str | None:
    return arrival.problem.code if arrival.problem else None


@pytest.mark.parametrize("vector", list(VECTORS["accept"]), ids=lambda v: v["name"])
def test_a_well_formed_event_of_a_foreign_type_is_only_unknown(vector: dict[str, Any]) -> None:
    headers = vector["headers"]
    if headers["content-type"].startswith("application/cloudevents"):
        arrival = read_structured(json.loads(vector["body"]))
    else:
        attributes = {name[3:]: value for name, value in headers.items() if name[:2] == "ce"}
        arrival = read_binary({**attributes, "datacontenttype": headers["content-type"]}, json.loads(vector["body"]))
    assert code_of(arrival) == "unknown-type"
    assert (arrival.source, arrival.id) == (vector["attributes"]["source"], vector["attributes"]["id"])


@pytest.mark.parametrize("vector", list(VECTORS["reject"]), ids=lambda v: v["name"])
def test_a_malformed_event_is_invalid(vector: dict[str, Any]) -> None:
    assert code_of(read_structured(json.loads(vector["body"]))) == "invalid-event"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"id": ""}, "/id"),
        ({"id": 7}, "/id"),
        ({"id": "a\nb"}, "/id"),
        ({"id": "x" * 257}, "/id"),
        ({"source": "with space"}, "/source"),
        ({"time": "2026-11-23T14:00:00"}, "/time"),
        ({"time": "2026-13-23T14:00:00Z"}, "/time"),
        ({"time": "0001-01-01T00:00:00+14:00"}, "/time"),
        ({"subject": ""}, "/subject"),
        ({"Ext": "a"}, "/Ext"),
        ({"ext": {"a": 1}}, "/ext"),
        ({"ext": 2**31}, "/ext"),
        ({"specversion": 1}, "/specversion"),
        ({"data_base64": "e30="}, "/data_base64"),
        ({"data": ..., "data_base64": "***"}, "/data_base64"),
    ],
)
def test_each_rule_of_the_envelope_names_its_place(changes: dict[str, Any], pointer: str) -> None:
    arrival = read_structured(event(**changes))
    assert arrival.problem is not None and arrival.problem.code == "invalid-event"
    assert [where for where, _ in arrival.problem.errors] == [pointer]


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        ({"reason": "problem"}, "/data/location_id"),
        ({"location_id": "store-12", "reason": "boredom"}, "/data/reason"),
        ({"location_id": "store-12", "reason": "problem", "distance_miles": -1}, "/data/distance_miles"),
        ({"location_id": "store-12", "reason": "problem", "patient": {"ref": "P", "phone": "12"}}, "/data/patient/phone"),
        ({"location_id": 12, "reason": "problem"}, "/data/location_id"),
        ([], "/data"),
    ],
)
def test_data_that_does_not_hold_names_its_place(data: Any, pointer: str) -> None:
    arrival = read_structured(event(data=data))
    assert arrival.problem is not None and arrival.problem.code == "invalid-data"
    assert [where for where, _ in arrival.problem.errors] == [pointer]
    assert (arrival.source, arrival.id) == ("pos/store-12", "e-1")


def test_a_number_in_quotes_is_no_number() -> None:
    refund = {"location_id": "store-12", "order_id": "O-1", "amount_minor": "100", "currency": "USD"}
    assert code_of(read_structured(event(type="amends.pos.refund.created", data=refund))) == "invalid-data"


def test_data_in_base64_is_read() -> None:
    packed = "eyJsb2NhdGlvbl9pZCI6InN0b3JlLTEyIiwicmVhc29uIjoicHJvYmxlbSJ9"
    assert read_structured(event(data=..., data_base64=packed)).event is not None


def test_time_is_judged_against_business_time_and_the_location_against_the_directory() -> None:
    known = {"store-12": object()}
    in_time = read_structured(event(time=(NOW + timedelta(minutes=5)).isoformat()))
    ahead = read_structured(event(time=(NOW + timedelta(minutes=5, seconds=1)).isoformat()))
    old = read_structured(event(time="2019-01-01T00:00:00Z"))
    assert [code_of(judge(a, NOW, known)) for a in (in_time, ahead, old)] == [None, "future-time", None]
    assert code_of(judge(in_time, NOW, {})) == "unknown-location"


def test_an_event_without_a_time_happened_when_it_came() -> None:
    judged = judge(read_structured(event(time=...)), NOW, {"store-12": object()})
    assert judged.event is not None and judged.event.time == NOW


@pytest.mark.parametrize("raw", [b"", b"{", b'"\\ud800"', b'"\\u0000"', b"NaN", b"\xff", b"[" * 100_000])
def test_json_that_could_not_be_stored_again_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        read_json(raw)


def test_phones_are_spelled_one_way() -> None:
    assert e164("(212) 555-0143") == e164("+1 212 555 0143") == "+12125550143"
    assert e164("hello") is None and e164("+1") is None
