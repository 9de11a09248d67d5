"""Rosters behind their doors: who is on duty at T, what is laid on top of the shifts, open hours that nobody keeps."""

from datetime import date, datetime
from typing import Any

import pytest

from services.directory import usecases
from shared import reference
from tests.integration.directory.conftest import World

pytestmark = pytest.mark.integration

GROUP = usecases.demo_group(date(2026, 11, 23)).model_copy(update={"rosters": ()})
# Store 12 is open Monday to Friday from nine to six, New York; store 3 closes from one to two.
ELM, QUARRY = "/v1/rosters/store-12", "/v1/rosters/store-3"


def shift(who: str, starts: str, ends: str) -> dict[str, str]:
    return {"staff_id": who, "from": starts, "to": ends}


async def with_roster(world: World, *shifts: dict[str, str], door: str = ELM) -> dict[str, str]:
    """The group with this roster and no override at one store; a key that may write."""
    await world.load(GROUP)
    admin = await world.key("directory:write")
    assert (await world.http.put(door, json=list(shifts), headers=admin)).status_code == 200
    for row in (await world.http.get(f"{door}/overrides", headers=admin)).json()["items"]:
        assert (await world.http.delete(f"{door}/overrides/{row['id']}", headers=admin)).status_code == 200
    await world.spread()
    return admin


async def ask(world: World, headers: dict[str, str], door: str = ELM, **query: str) -> Any:
    answer = await world.http.get(door, params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_who_is_on_duty_at_any_moment_and_who_comes_next(world: World) -> None:
    ana, ben = shift("ana", "2026-11-23T09:00", "2026-11-23T13:00"), shift("ben-ostrander", "2026-11-23T13:00", "2026-11-23T18:00")
    admin = await with_roster(world, ana, ben)
    found = await ask(world, admin, at="2026-11-23T10:30:00-05:00")
    assert found["on_duty"] == [
        {"staff_id": "ana", "name": "Ana Example", "from": "2026-11-23T14:00:00+00:00", "to": "2026-11-23T18:00:00+00:00"}
    ]
    assert (found["at"], found["is_open"], found["timezone"]) == ("2026-11-23T15:30:00+00:00", True, "America/New_York")
    assert found["next"] == {"at": "2026-11-23T18:00:00+00:00", "on_duty": [{"staff_id": "ben-ostrander", "name": "Ben Ostrander"}]}
    before, after = await ask(world, admin, at="1999-01-01T00:00:00Z"), await ask(world, admin, at="2027-01-01T00:00:00Z")
    assert before["on_duty"] == [] and before["next"]["at"] == "2026-11-23T14:00:00+00:00"
    assert after["on_duty"] == [] and after["next"] is None
    bare = await ask(world, admin)
    assert (await world.http.put(ELM, json=bare, headers=admin)).json() == bare == {"location_id": "store-12", "shifts": [ana, ben]}


async def test_what_is_shown_is_what_services_go_by(world: World) -> None:
    """Goal: the answer at T and the local copy that paging asks never differ. Method: both, each hour of an autumn clock change."""
    admin = await with_roster(
        world, shift("ana", "2026-10-31T22:00", "2026-11-01T01:30"), shift("ben-ostrander", "2026-11-01T01:30", "2026-11-01T06:00")
    )
    swap = {"staff_id": "clara-wynn", "instead_of": "ben-ostrander", "from": "2026-11-01T04:00", "to": "2026-11-01T05:00"}
    assert (await world.http.post(f"{ELM}/overrides", json={**swap, "reason": "Swapped"}, headers=admin)).status_code == 201
    await world.spread()
    seen = set()
    elm = (await reference.locations(world.engine.pool, ["store-12"]))["store-12"]
    for minute in range(0, 12 * 60, 15):
        at = f"2026-11-01T{minute // 60:02}:{minute % 60:02}:00+00:00"
        shown = (await ask(world, admin, at=at))["on_duty"]
        paged = elm.duty.on_duty(datetime.fromisoformat(at), await reference.left(world.engine.pool, [elm.duty]))
        assert [row["staff_id"] for row in shown] == paged, at
        seen.add(tuple(paged))
    assert seen == {(), ("ana",), ("ana", "ben-ostrander"), ("ben-ostrander",), ("clara-wynn",)}


async def test_a_span_shows_gaps_in_open_hours_and_who_is_at_two_stores_at_once(world: World) -> None:
    """Two people at once at one store is how a store is run, and no fault."""
    admin = await with_roster(world, shift("ana", "2026-11-23T12:00", "2026-11-23T16:00"), door=QUARRY)
    await with_roster(
        world,
        shift("ana", "2026-11-23T09:00", "2026-11-23T13:00"), shift("ben-ostrander", "2026-11-23T09:00", "2026-11-23T12:00"),
        shift("clara-wynn", "2026-11-23T15:00", "2026-11-23T18:00"),
    )  # fmt: skip
    found = await ask(world, admin, **{"from": "2026-11-23T00:00:00-05:00", "to": "2026-11-24T00:00:00-05:00"})
    assert found["gaps"] == [{"from": "2026-11-23T18:00:00+00:00", "to": "2026-11-23T20:00:00+00:00"}]
    assert found["double_booked"] == [
        {"staff_id": "ana", "from": "2026-11-23T17:00:00+00:00", "to": "2026-11-23T18:00:00+00:00", "also_at": "store-3"}
    ]
    assert [row["on_duty"] for row in found["stretches"]] == [[], ["ben-ostrander", "ana"], ["ana"], [], ["clara-wynn"], []]
    assert found["has_roster"] and found["stretches"][0]["from"] == found["from"] and found["stretches"][-1]["to"] == found["to"]
    fortnight = await ask(world, admin, **{"from": "2026-11-23T05:00:00Z"})
    assert fortnight["to"] == "2026-12-07T05:00:00+00:00"
    none = await ask(world, admin, "/v1/rosters/store-7", **{"from": "2026-11-23T05:00:00Z"})
    assert (none["has_roster"], none["gaps"], none["double_booked"]) == (False, [], [])


async def test_who_left_is_on_duty_nowhere_and_leaves_a_gap(world: World) -> None:
    admin = await with_roster(world)
    nia: dict[str, Any] = {"name": "Nia Field", "role": "associate", "locations": ["store-12"]}
    await world.http.put("/v1/staff/nia", json=nia, headers=admin)
    await world.http.put(ELM, json=[shift("nia", "2026-11-23T09:00", "2026-11-23T18:00")], headers=admin)
    day = {"from": "2026-11-23T05:00:00Z", "to": "2026-11-24T05:00:00Z"}
    assert (await ask(world, admin, **day))["gaps"] == []
    await world.http.put("/v1/staff/nia", json={**nia, "active": False}, headers=admin)
    assert (await ask(world, admin, at="2026-11-23T15:00:00Z"))["on_duty"] == []
    assert (await ask(world, admin, **day))["gaps"] == [{"from": "2026-11-23T14:00:00+00:00", "to": "2026-11-23T23:00:00+00:00"}]


async def test_an_override_is_laid_on_top_says_who_and_why_and_can_be_undone(world: World) -> None:
    admin = await with_roster(world, shift("ben-ostrander", "2026-11-27T09:00", "2026-11-27T18:00"))
    manager = await world.key("directory:write", staff_id="helen-varga")
    await world.said()
    swap = {"staff_id": "ana", "instead_of": "ben-ostrander", "from": "2026-11-27T14:00", "to": "2026-11-27T18:00"}
    swap["reason"] = "At the dentist"
    made = await world.http.post(f"{ELM}/overrides", json=swap, headers=manager)
    assert made.status_code == 201 and {key: made.json()[key] for key in swap} == swap
    assert made.json()["made_by"] == "staff:helen-varga"
    (fact,) = await world.said()
    assert [(o.staff_id, o.instead_of) for o in fact.event.roster_overrides] == [("ana", "ben-ostrander")] and len(fact.event.roster) == 1
    assert "dentist" not in fact.event.model_dump_json()
    for at, who in (("2026-11-27T18:59:00Z", "ben-ostrander"), ("2026-11-27T19:00:00Z", "ana"), ("2026-11-27T22:59:00Z", "ana")):
        assert [row["staff_id"] for row in (await ask(world, admin, at=at))["on_duty"]] == [who]
    closed = {"from": "2026-11-27T17:00", "to": "2026-11-27T18:00", "reason": "Stocktaking"}
    nobody = await world.http.post(f"{ELM}/overrides", json=closed, headers=admin)
    day = {"from": "2026-11-27T05:00:00Z", "to": "2026-11-28T05:00:00Z"}
    assert (await ask(world, admin, **day))["gaps"] == [{"from": "2026-11-27T22:00:00+00:00", "to": "2026-11-27T23:00:00+00:00"}]
    listed = (await ask(world, admin, f"{ELM}/overrides"))["items"]
    assert [row["id"] for row in listed] == [made.json()["id"], nobody.json()["id"]]
    # A location said for another reason keeps what is laid on top of its roster, and so does a roster that is put anew.
    place = (await world.http.get("/v1/locations/store-12", headers=admin)).json()
    await world.http.put("/v1/locations/store-12", json={**place, "name": "Elm Street and Fifth"}, headers=admin)
    await world.http.put(ELM, json=[], headers=admin)
    assert [len(fact.event.roster_overrides) for fact in await world.said()][-2:] == [2, 2]
    for row in (made.json(), nobody.json()):
        undone = await world.http.delete(f"{ELM}/overrides/{row['id']}", headers=admin)
        assert (undone.status_code, undone.json()) == (200, row)
        again = await world.http.delete(f"{ELM}/overrides/{row['id']}", headers=admin)
        assert (again.status_code, again.json()["code"]) == (404, "unknown-override")
    assert (await world.said())[-1].event.roster_overrides == ()
    await world.http.put("/v1/locations/store-12", json=place, headers=admin)


async def test_what_is_said_anew_carries_the_overrides(world: World) -> None:
    admin = await with_roster(world)
    beside = {"staff_id": "ana", "from": "2026-11-27T17:00", "to": "2026-11-27T18:00", "reason": "x"}
    await world.http.post(f"{ELM}/overrides", json=beside, headers=admin)
    await world.said()
    await usecases.say_again(world.desk)
    said = {fact.event.key: fact.event for fact in await world.said() if fact.envelope.type == "amends.location.changed"}
    assert len(said["store-12"].roster_overrides) == 1 and said["store-3"].roster_overrides == ()


@pytest.mark.parametrize(
    ("fields", "code", "pointer"),
    [
        ({"staff_id": "nobody"}, "unknown-staff", "/staff_id"),
        ({"instead_of": "nobody"}, "unknown-staff", "/instead_of"),
        ({"staff_id": "ana", "instead_of": "ana"}, "invalid-data", "/instead_of"),
        ({"from": "2026-11-27T18:00"}, "invalid-data", "/to"),
        ({"to": "2028-11-27T18:00"}, "invalid-data", "/to"),
        ({"from": "14:00"}, "invalid-data", "/from"),
        ({"reason": " "}, "invalid-data", "/reason"),
        ({"reason": "a\x7fb"}, "invalid-data", "/reason"),
        ({"why": "x"}, "invalid-data", "/why"),
    ],
)
async def test_a_wrong_override_is_refused_at_its_place(world: World, fields: dict[str, str], code: str, pointer: str) -> None:
    admin = await with_roster(world)
    body = {"staff_id": "ana", "from": "2026-11-27T14:00", "to": "2026-11-27T18:00", "reason": "Swapped", **fields}
    answer = await world.http.post(f"{ELM}/overrides", json=body, headers=admin)
    assert answer.status_code == 400, answer.text
    assert (answer.json()["code"], answer.json()["errors"][0]["pointer"]) == (code, pointer)


@pytest.mark.parametrize(
    "query",
    [
        {"at": "2026-11-23T10:00:00"},
        {"at": "0001-01-01T00:00:00+14:00"},
        {"at": "9999-12-31T23:59:59-14:00"},
        {"at": "tomorrow"},
        {"to": "2026-11-23T10:00:00Z"},
        {"from": "2026-11-23T10:00:00"},
        {"from": "2026-11-23T10:00:00Z", "to": "2026-11-23T10:00:00Z"},
        {"from": "2026-11-23T10:00:00Z", "to": "2027-11-23T10:00:00Z"},
        {"from": "9995-12-30T10:00:00Z", "to": "9999-11-23T10:00:00Z"},
        {"from": "2026-11-23T10:00:00Z", "to": "2026-11-24T10:00:00"},
        {"at": "2026-11-23T10:00:00Z", "from": "2026-11-23T10:00:00Z"},
    ],
)
async def test_a_moment_has_its_zone_and_a_span_its_bounds(world: World, query: dict[str, str]) -> None:
    admin = await with_roster(world, shift("ana", "2026-11-23T09:00", "2026-11-23T13:00"))
    answer = await world.http.get(ELM, params=query, headers=admin)
    assert answer.status_code == 400, answer.text


async def test_the_first_and_last_years_that_are_answered_are_no_error_of_ours(world: World) -> None:
    admin = await with_roster(world, shift("ana", "2026-11-23T09:00", "2026-11-23T13:00"))
    for day in ("0003-01-01T00:00:00+14:00", "9995-12-31T23:59:59-14:00"):
        await ask(world, admin, at=day)
        await ask(world, admin, **{"from": day})


async def test_who_may_see_a_store_may_read_its_roster_and_who_may_not_does_not_learn_of_it(world: World) -> None:
    await with_roster(world, shift("ana", "2026-11-23T09:00", "2026-11-23T13:00"))
    ben, helen = await world.key(staff_id="ben-ostrander"), await world.key(staff_id="helen-varga")
    machine, events = await world.key("cases:read"), await world.key("events:write")
    at = {"at": "2026-11-23T15:00:00Z"}
    for reader in (ben, helen, machine):
        assert (await ask(world, reader, **at))["on_duty"] and (await ask(world, reader, f"{ELM}/overrides"))["items"] == []
    elsewhere = await world.http.get("/v1/rosters/store-7", params=at, headers=ben)
    nowhere = await world.http.get("/v1/rosters/nowhere", params=at, headers=ben)
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (nowhere.status_code, nowhere.json()["code"]) == (404, "unknown-location")
    assert (await world.http.get(ELM, headers=events)).status_code == 403
    assert (await world.http.get(ELM)).status_code == 401
    body = {"from": "2026-11-27T14:00", "to": "2026-11-27T18:00", "reason": "x"}
    for writer in (ben, helen, machine):
        assert (await world.http.post(f"{ELM}/overrides", json=body, headers=writer)).status_code == 403


CSV = {"content-type": "text/csv"}
WEEK = "email,from,to\nana@example.org,2026-11-23T09:00,2026-11-23T13:00\nben-ostrander@example.org,2026-11-23T13:00,2026-11-23T18:00\n"
ICS = """BEGIN:VCALENDAR
BEGIN:VEVENT
DTSTART;TZID=America/New_York:20261123T090000
DTEND;TZID=America/New_York:20261123T130000
RRULE:FREQ=DAILY;COUNT=2
ATTENDEE:mailto:ana@example.org
END:VEVENT
END:VCALENDAR
"""


async def take(world: World, headers: dict[str, str], body: str | bytes, kind: str = "text/csv", **query: str) -> Any:
    headers = {**headers, "content-type": kind}
    return await world.http.post(f"{ELM}/import", content=body, headers=headers, params=query)


async def test_a_file_is_taken_for_the_days_it_covers_and_a_second_time_changes_nothing(world: World) -> None:
    before, old = shift("ana", "2026-11-22T09:00", "2026-11-22T18:00"), shift("clara-wynn", "2026-11-23T09:00", "2026-11-23T18:00")
    admin = await with_roster(world, before, old)
    ana, ben = shift("ana", "2026-11-23T09:00", "2026-11-23T13:00"), shift("ben-ostrander", "2026-11-23T13:00", "2026-11-23T18:00")
    wanted = {"location_id": "store-12", "from": "2026-11-23", "to": "2026-11-23", "added": [ana, ben], "removed": [old], "unchanged": 0}
    tried = await take(world, admin, WEEK, dry_run="true")
    assert tried.json() == {**wanted, "dry_run": True, "left_out": 0}
    assert await world.said() == [] and (await ask(world, admin))["shifts"] == [before, old]
    taken = await take(world, admin, WEEK)
    assert (taken.status_code, taken.json()) == (200, {**wanted, "dry_run": False, "left_out": 0})
    assert (await ask(world, admin))["shifts"] == [before, ana, ben]
    (fact,) = await world.spread()
    assert [row.staff_id for row in fact.event.roster] == ["ana", "ana", "ben-ostrander"]
    again = (await take(world, admin, WEEK)).json()
    assert (again["added"], again["removed"], again["unchanged"]) == ([], [], 2) and await world.said() == []
    calendar = (await take(world, admin, ICS, "text/calendar; charset=utf-8")).json()
    assert (calendar["unchanged"], calendar["removed"], calendar["to"]) == (1, [ben], "2026-11-24")


async def test_a_file_with_a_fault_is_refused_whole_with_its_lines(world: World) -> None:
    admin = await with_roster(world, shift("ana", "2026-11-23T09:00", "2026-11-23T18:00"))
    refused = await take(world, admin, WEEK + "zed@example.org,2026-11-24T09:00,2026-11-24T13:00\nana@example.org,x,y\n")
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid-data")
    assert [(error["line"], error["pointer"]) for error in refused.json()["errors"]] == [(4, "/lines/4"), (5, "/lines/5")]
    assert len((await ask(world, admin))["shifts"]) == 1 and await world.said() == []


async def test_whatever_comes_as_a_file_is_no_error_of_ours(world: World) -> None:
    admin = await with_roster(world)
    vevent = "BEGIN:VCALENDAR\nBEGIN:VEVENT\n{}\nEND:VEVENT\nEND:VCALENDAR\n".format
    for body, kind, status in (
        (b"", "text/csv", 400),
        (b"\xff\xfe\x00", "text/csv", 400),
        (b"\xff", "text/calendar", 400),
        (b"a" * (1024 * 1024 + 1), "text/csv", 413),
        (b"staff_id,from,to\n" + b"ana,2026-11-23T09:00,2026-11-23T18:00\n" * 6_000, "text/csv", 400),
        (b"staff_id,from,to\na\x00b,2026-11-23T09:00,2026-11-23T18:00\n", "text/csv", 400),
        (vevent("SUMMARY:ana\nDTSTART:20261123T090000\nDURATION:PT1S\nRRULE:FREQ=SECONDLY"), "text/calendar", 400),
        (vevent("SUMMARY:ana\nDTSTART:99991231T235959Z\nDURATION:P9999999999W"), "text/calendar", 400),
        (vevent("SUMMARY:ana\nDTSTART;TZID=../../etc/passwd:20261123T090000\nDURATION:PT1H"), "text/calendar", 400),
        (b"BEGIN:VCALENDAR\n" * 60_000, "text/calendar", 400),
        (WEEK, "application/json", 415),
        (WEEK, "", 415),
    ):
        answer = await take(world, admin, body, kind)
        assert answer.status_code == status, (body[:60], answer.text)
    assert (await world.http.post("/v1/rosters/nowhere/import", content=WEEK, headers={**admin, **CSV})).status_code == 404
    assert (await world.http.post("/v1/rosters/a%00b/import", content=WEEK, headers={**admin, **CSV})).status_code == 404
    assert (await take(world, await world.key("cases:read"), WEEK)).status_code == 403
