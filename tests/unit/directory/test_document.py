"""The file format: what is refused, where it points, and what it is turned into."""

from decimal import Decimal
from typing import Any

import pytest

from services.directory.domain import Location, Shift, Staff, moved, parse, read, read_part, read_roster
from shared.kernel.errors import Rejected

pytestmark = pytest.mark.unit

STORE: dict[str, Any] = {
    "id": "store-12", "name": "Elm Street", "region": "north", "timezone": "America/New_York", "phone": "+1 (212) 555-0112",
    "coordinates": [40.71, -74.0], "country": "US", "subdivision": "NY",
    "weekly": {"mon": [["14:00", "18:00"], ["09:00", "13:00"]], "tue": [["00:00", "24:00"]]},
    "observe_holidays": True, "closures": ["2026-12-24"], "overrides": {"2026-12-31": [["09:00", "13:00"]], "2026-12-30": []},
}  # fmt: skip
ANA: dict[str, Any] = {"id": "ana", "name": "Ana Example", "role": "store_manager", "locations": ["store-12"], "phone": "+12125550143"}


def faults(document: Any) -> dict[str, str]:
    with pytest.raises(Rejected) as refused:
        read(document)
    assert refused.value.code == "invalid-data"
    return {error["pointer"]: error["detail"] for error in refused.value.facts["errors"]}


def store(**changes: Any) -> dict[str, Any]:
    return {"locations": [{k: v for k, v in {**STORE, **changes}.items() if v is not ...}]}


def test_a_location_is_kept_in_one_spelling() -> None:
    row: Location = read(store()).locations[0]
    assert row.phone == "+12125550112"
    assert row.coordinates == ("40.71", "-74")
    assert row.weekly["mon"] == (("09:00", "13:00"), ("14:00", "18:00"))
    assert row.overrides == {"2026-12-30": (), "2026-12-31": (("09:00", "13:00"),)}


def test_a_location_without_weekly_hours_never_closes() -> None:
    assert set(read(store(weekly=...)).locations[0].weekly.values()) == {(("00:00", "24:00"),)}


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"timezone": ...}, "/timezone"),
        ({"timezone": "America/Nowhere"}, "/timezone"),
        ({"timezone": "EST"}, "/timezone"),
        ({"timezone": "Etc/GMT+5"}, "/timezone"),
        ({"timezone": "../etc/passwd"}, "/timezone"),
        ({"phone": "555-0112"}, "/phone"),
        ({"phone": "+1212555"}, "/phone"),
        ({"phone": 12125550112}, "/phone"),
        ({"coordinates": [91, 0]}, "/coordinates/0"),
        ({"coordinates": [0, "NaN"]}, "/coordinates/1"),
        ({"coordinates": [1]}, "/coordinates/1"),
        ({"weekly": {"mon": [["9:00", "17:00"]]}}, "/weekly/mon/0/0"),
        ({"weekly": {"mon": [["09:00", "24:01"]]}}, "/weekly/mon/0/1"),
        ({"weekly": {"mon": [["18:00", "09:00"]]}}, "/weekly/mon/0"),
        ({"weekly": {"mon": [["24:00", "24:00"]]}}, "/weekly/mon/0"),
        ({"weekly": {"mon": [["09:00", "13:00"], ["12:59", "18:00"]]}}, "/weekly/mon"),
        ({"weekly": {"monday": [["09:00", "13:00"]]}}, "/weekly/monday"),
        ({"weekly": {}}, "/weekly"),
        ({"closures": ["2026-02-29"]}, "/closures/0"),
        ({"closures": ["24.12.2026"]}, "/closures/0"),
        ({"overrides": {"2026-13-01": []}}, "/overrides/2026-13-01"),
        ({"country": "XQ"}, "/country"),
        ({"subdivision": "QQ"}, "/subdivision"),
        ({"name": "  "}, "/name"),
        ({"id": "store 12"}, "/id"),
        ({"timezon": "America/New_York"}, "/timezon"),
    ],
)
def test_a_wrong_location_is_refused_at_its_place(changes: dict[str, Any], pointer: str) -> None:
    assert list(faults(store(**changes))) == [f"/locations/0{pointer}"]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [({"role": "boss"}, "/role"), ({"phone": "+44"}, "/phone"), ({"email": "ana"}, "/email"), ({"name": "a\x07b"}, "/name")],
)
def test_a_wrong_member_of_staff_is_refused_at_its_place(changes: dict[str, Any], pointer: str) -> None:
    assert list(faults({"staff": [{**ANA, **changes}]})) == [f"/staff/0{pointer}"]


@pytest.mark.parametrize(
    ("start", "end", "pointer"),
    [
        ("2026-11-23T09:00", "2026-11-23T09:00", "/rosters/0/to"),
        ("2026-11-23", "2026-11-23T18:00", "/rosters/0/from"),
        ("2026-11-23T09:00", "2026-11-23T18:00Z", "/rosters/0/to"),
        ("2026-11-31T09:00", "2026-12-01T18:00", "/rosters/0/from"),
    ],
)
def test_a_wrong_shift_is_refused_at_its_place(start: str, end: str, pointer: str) -> None:
    assert list(faults({"rosters": [{"location_id": "store-12", "staff_id": "ana", "from": start, "to": end}]})) == [pointer]


def test_all_faults_are_told_at_once() -> None:
    document = {"regions": [{"id": "north"}], **store(phone="x", timezone=5), "staff": [{**ANA, "role": "boss"}], "stores": []}
    assert set(faults(document)) == {"/regions/0/name", "/locations/0/phone", "/locations/0/timezone", "/staff/0/role", "/stores"}


def test_yaml_without_its_surprises() -> None:
    told = parse("{opens: 18:00, day: 2026-12-24, country: NO, at: [40.71, -74.0], many: 12, on: true, phone: +12125550112, none: }")
    assert told == {
        "opens": "18:00", "day": "2026-12-24", "country": "NO", "at": [Decimal("40.71"), Decimal("-74.0")], "many": 12, "on": True,
        "phone": "+12125550112", "none": None,
    }  # fmt: skip
    assert parse('{"regions": [{"id": "north", "name": "North"}]}') == {"regions": [{"id": "north", "name": "North"}]}


@pytest.mark.parametrize("text", ["a: 1\na: 2", "a: [", "a: !!python/object:os.system x", "1: a", "\x00", "a: " + "[" * 5000])
def test_a_text_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(Rejected) as refused:
        parse(text)
    assert refused.value.code == "malformed-document"


def test_a_body_takes_its_id_from_the_address_and_may_be_an_answer_sent_back() -> None:
    body = {k: v for k, v in STORE.items() if k != "id"}
    assert read_part("locations", "store-12", {**body, "version": 7}).locations[0].id == "store-12"
    with pytest.raises(Rejected) as differs:
        read_part("locations", "store-7", STORE)
    assert differs.value.pointer == "/id"
    with pytest.raises(Rejected) as wrong:
        read_part("locations", "store-7", {**body, "weekly": {"mon": [["09:00", "08:00"]]}})
    assert wrong.value.pointer == "/weekly/mon/0"


def test_a_roster_is_a_list_or_its_shifts() -> None:
    shifts = [{"staff_id": "ana", "from": "2026-11-23T09:00", "to": "2026-11-23 18:00"}]
    wanted = (Shift(location_id="store-12", staff_id="ana", starts="2026-11-23T09:00", ends="2026-11-23T18:00"),)
    assert read_roster("store-12", shifts).rosters == read_roster("store-12", {"shifts": shifts}).rosters == wanted
    for body, pointer in (
        ({"shifts": [{"staff_id": "ana"}]}, "/shifts/0/from"),
        ({"shift": []}, "/shift"),
        ({}, "/shifts"),
        ({"shifts": 5}, "/shifts"),
        ([3], "/shifts/0"),
        ([{**shifts[0], "location_id": "store-7"}], "/shifts/0/location_id"),
    ):
        with pytest.raises(Rejected) as refused:
            read_roster("store-12", body)
        assert refused.value.pointer == pointer


def test_a_refusal_without_places_stays_as_it_is() -> None:
    fault = Rejected("unknown-location")
    assert moved(fault, "/locations/0", "") is fault


def test_staff_may_be_away() -> None:
    person: Staff = read({"staff": [{**ANA, "active": False}]}).staff[0]
    assert not person.active and person.regions == ()
