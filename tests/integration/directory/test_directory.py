"""The directory as it is stored, asked and said."""

import asyncio
import base64
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from services.directory import usecases
from shared import reference
from shared.contracts.directory import ACCESS, LOCATIONS, STAFF
from shared.kernel.errors import Rejected
from tests.integration.directory.conftest import World

pytestmark = pytest.mark.integration

GROUP = usecases.demo_group(date(2026, 11, 23))
STORE: dict[str, Any] = {"name": "Annex", "region": "north", "timezone": "America/New_York", "coordinates": [40.71, -74.0]}


async def loaded(world: World) -> usecases.Loaded:
    first = await world.load(GROUP)
    await world.spread()
    return first


async def test_loading_the_group_twice_changes_nothing_and_says_nothing(world: World) -> None:
    first = await world.load(GROUP)
    assert (first.regions, first.locations, first.staff, first.rosters) == (3, 12, 41, 12)
    facts = await world.spread()
    assert [fact.event.version for fact in facts] == list(range(1, 54))
    assert first.reached == {LOCATIONS: 12, STAFF: 53} and first.version == 53
    again = await world.load(GROUP)
    assert (again.regions, again.locations, again.staff, again.rosters) == (0, 0, 0, 0)
    assert again.reached == first.reached
    assert await world.said() == []
    assert await reference.heard(world.engine.pool) == first.reached


async def test_the_local_copy_answers_what_services_ask(world: World) -> None:
    await loaded(world)
    pool = world.engine.pool
    places = await reference.locations(pool, ["store-12", "store-11", "nowhere"])
    assert set(places) == {"store-12", "store-11"}
    elm = places["store-12"]
    noon = datetime(2026, 11, 23, 17, tzinfo=UTC)
    assert (elm.region_name, elm.phone, elm.coordinates) == ("North", "+12125550100", ("40.71", "-74"))
    assert elm.calendar.is_open(noon) and not elm.calendar.is_open(datetime(2026, 12, 25, 17, tzinfo=UTC))
    assert "ana" in elm.duty.on_duty(noon) and places["store-11"].duty.on_duty(noon) == []
    people = (await reference.people_of(pool, ["store-12"]))["store-12"]
    assert (people.managers, people.associates, people.regional_managers) == (("ana",), ("ben-ostrander", "clara-wynn"), ("helen-varga",))
    assert (await reference.locations(pool, ["store-12"]))["store-12"] is elm


async def test_a_fact_that_comes_twice_or_late_changes_nothing(world: World) -> None:
    await loaded(world)
    admin = await world.key("directory:write")
    for name in ("Old name", "New name"):
        assert (await world.http.put("/v1/locations/store-late", json={**STORE, "name": name}, headers=admin)).status_code == 200
    old, new = await world.said()
    await world.hear(new, old, new, old)
    assert (await reference.locations(world.engine.pool, ["store-late"]))["store-late"].name == "New name"
    heard = await reference.heard(world.engine.pool)
    assert heard[LOCATIONS] == new.event.version
    async with world.engine.transaction() as tx:
        await reference.take_locations(tx, [old, new, old])
    assert (await reference.locations(world.engine.pool, ["store-late"]))["store-late"].name == "New name"


async def test_a_file_with_a_fault_writes_nothing(world: World) -> None:
    await loaded(world)
    before = await world.engine.pool.fetchval("select version from sequence")
    with pytest.raises(Rejected) as refused:
        await world.load(
            {"regions": [{"id": "south", "name": "South"}], "staff": [{"id": "x", "name": "X", "role": "admin", "regions": ["e"]}]}
        )
    assert refused.value.pointer == "/staff/0/regions/0"
    assert await world.engine.pool.fetchval("select version from sequence") == before
    assert await world.engine.pool.fetchval("select count(*) from regions where region_id = 'south'") == 0


async def test_put_and_get_of_a_location(world: World) -> None:
    await loaded(world)
    admin = await world.key("directory:write")
    put = await world.http.put("/v1/locations/store-13", json=STORE, headers=admin)
    assert put.status_code == 200
    body = put.json()
    assert (body["id"], body["coordinates"], body["weekly"]["sun"]) == ("store-13", [40.71, -74.0], [["00:00", "24:00"]])
    got = await world.http.get("/v1/locations/store-13", headers=admin)
    assert got.json() == body
    same = await world.http.put("/v1/locations/store-13", json=body, headers=admin)
    assert same.json() == body
    assert [fact.event.key for fact in await world.spread()] == ["store-13"]
    assert (await world.http.get("/v1/locations/store-99", headers=admin)).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "code", "pointer"),
    [
        ("/v1/locations/store-12", {"name": "Elm", "region": "north"}, "invalid-data", "/timezone"),
        ("/v1/locations/store-12", {**STORE, "region": "east"}, "unknown-region", "/region"),
        ("/v1/locations/store-12", {**STORE, "weekly": {"mon": [["10:00", "09:00"]]}}, "invalid-data", "/weekly/mon/0"),
        ("/v1/locations/store%20x", STORE, "invalid-data", "/id"),
        ("/v1/staff/ana", {"name": "Ana", "role": "store_manager", "locations": ["store-99"]}, "unknown-location", "/locations/0"),
        ("/v1/staff/ana", {"name": "Ana", "role": "store_manager", "phone": "12"}, "invalid-data", "/phone"),
        ("/v1/rosters/store-12", {"shifts": [{"staff_id": "ana", "from": "x", "to": "y"}]}, "invalid-data", "/shifts/0/from"),
        (
            "/v1/rosters/store-12",
            [{"staff_id": "nobody", "from": "2026-11-23T09:00", "to": "2026-11-23T10:00"}],
            "unknown-staff",
            "/shifts/0/staff_id",
        ),
    ],
)
async def test_a_wrong_body_is_refused_at_its_place(world: World, path: str, body: Any, code: str, pointer: str) -> None:
    await loaded(world)
    answer = await world.http.put(path, json=body, headers=await world.key("directory:write"))
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["errors"][0]["pointer"]) == (400, code, pointer)


async def test_staff_regions_and_rosters(world: World) -> None:
    await loaded(world)
    admin = await world.key("directory:write")
    person = {"name": "Nia Field", "role": "associate", "locations": ["store-12"], "phone": "+1 212 555 0199"}
    put = await world.http.put("/v1/staff/nia", json=person, headers=admin)
    assert put.json()["phone"] == "+12125550199" and (await world.http.get("/v1/staff/nia", headers=admin)).json() == put.json()
    shifts = [{"staff_id": "nia", "from": "2026-12-01T09:00", "to": "2026-12-01T18:00"}]
    roster = await world.http.put("/v1/rosters/store-3", json={"shifts": shifts}, headers=admin)
    assert roster.json() == {"location_id": "store-3", "shifts": shifts}
    assert (await world.http.get("/v1/rosters/store-3", headers=admin)).json() == roster.json()
    emptied = await world.http.put("/v1/rosters/store-3", json=[], headers=admin)
    assert emptied.json()["shifts"] == []
    missing = await world.http.put("/v1/rosters/nowhere", json=[], headers=admin)
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown-location")
    renamed = await world.http.put("/v1/regions/west", json={"name": "Far West"}, headers=admin)
    assert renamed.json() == {"id": "west", "name": "Far West"}
    facts = await world.spread()
    assert {fact.event.region_name for fact in facts if fact.event.key in ("store-8", "store-9", "store-10", "store-11")} == {"Far West"}
    assert sum(fact.event.key == "store-3" for fact in facts) == 2


async def test_lists_come_in_pages(world: World) -> None:
    await loaded(world)
    admin = await world.key("directory:write")
    for kind in ("regions", "locations", "staff", "keys"):
        seen: list[str] = []
        cursor: str | None = None
        while True:
            params = {"limit": 5} | ({"cursor": cursor} if cursor else {})
            answer = await world.http.get(f"/v1/{kind}", params=params, headers=admin)
            assert answer.status_code == 200
            seen += [item["id"] for item in answer.json()["items"]]
            cursor = answer.json()["next_cursor"]
            if cursor is None:
                break
        count = await world.engine.pool.fetchval(f"select count(*) from {kind}")
        assert len(seen) == len(set(seen)) == count
    assert (await world.http.get("/v1/staff?cursor=zzz", headers=admin)).json()["code"] == "bad-cursor"
    assert (await world.http.get("/v1/staff?limit=0", headers=admin)).status_code == 400


async def test_a_key_opens_what_it_may_until_it_is_revoked(world: World) -> None:
    await loaded(world)
    admin = await world.key("directory:write")
    made = await world.http.post("/v1/keys", json={"name": "Till", "scopes": ["events:write"]}, headers=admin)
    assert made.status_code == 201
    shown, key_id = made.json()["key"], made.json()["id"]
    prefix, named, secret = shown.split("_")
    assert (prefix, named) == ("amk", key_id) and len(secret) == 48
    assert secret not in str(await world.engine.pool.fetch("select * from keys"))
    assert "key" not in (await world.http.get(f"/v1/keys/{key_id}", headers=admin)).json()
    await world.spread()
    till = {"authorization": f"Bearer {shown}"}
    assert (await world.http.get("/v1/staff", headers=till)).status_code == 403
    revoked = await world.http.delete(f"/v1/keys/{key_id}", headers=admin)
    assert (revoked.status_code, revoked.json()["revoked"]) == (200, True)
    facts = await world.spread()
    assert [(fact.event.topic, fact.event.revoked) for fact in facts] == [(ACCESS, True)]
    assert (await world.http.get("/v1/staff", headers=till)).status_code == 401
    assert (await world.http.delete(f"/v1/keys/{key_id}", headers=admin)).status_code == 200
    assert await world.said() == []
    assert (await world.http.delete("/v1/keys/nothing", headers=admin)).status_code == 404
    assert (await world.http.get("/v1/staff")).status_code == 401


async def test_a_key_with_staff_can_do_what_that_person_can_while_they_work_here(world: World) -> None:
    await loaded(world)
    simon, ana = await world.key(staff_id="simon-adeyemi"), await world.key(staff_id="ana")
    assert (await world.http.get("/v1/staff", headers=simon)).status_code == 200
    assert (await world.http.get("/v1/staff", headers=ana)).status_code == 403
    left = {"name": "Simon Adeyemi", "role": "admin", "active": False}
    assert (await world.http.put("/v1/staff/simon-adeyemi", json=left, headers=simon)).status_code == 200
    await world.spread()
    assert (await world.http.get("/v1/staff", headers=simon)).status_code == 401
    with pytest.raises(Rejected, match="nobody of that id"):
        await world.key(staff_id="simon-adeyemi")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "x", "scopes": ["all"]}, "/scopes/0"),
        ({"name": "x"}, "/scopes"),
        ({"scopes": ["cases:read"]}, "/name"),
        ({"name": "x", "staff_id": "nobody"}, "/staff_id"),
        ({"name": "x", "scopes": "cases:read"}, "/scopes"),
    ],
)
async def test_a_wrong_key_is_refused_at_its_place(world: World, body: Any, pointer: str) -> None:
    answer = await world.http.post("/v1/keys", json=body, headers=await world.key("directory:write"))
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_versions_follow_the_order_of_commits_under_many_writers(world: World) -> None:
    """Goal: a listener that has heard version n has heard everything before it. Method: 40 writers at once; the log is in version order."""
    await loaded(world)
    admin = await world.key("directory:write")

    async def put(n: int) -> int:
        return (await world.http.put(f"/v1/locations/rush-{n % 10}", json={**STORE, "name": f"Rush {n}"}, headers=admin)).status_code

    assert set(await asyncio.gather(*(put(n) for n in range(40)))) == {200}
    versions = [fact.event.version for fact in await world.spread()]
    assert len(versions) == 40
    assert versions == list(range(versions[0], versions[0] + 40))


async def test_what_was_changed_by_whom_is_audited(world: World) -> None:
    await loaded(world)
    admin = await world.key(staff_id="ruth-pemberton")
    assert (await world.http.get("/v1/keys", headers=admin)).status_code == 403
    writer = await world.key("directory:write")
    await world.http.put("/v1/regions/south", json={"name": "South"}, headers=writer)
    row = await world.engine.pool.fetchrow("select actor, action, subject from audit order by seq desc limit 1")
    assert row is not None
    assert (row["action"], row["subject"]) == ("put region", "region:south") and row["actor"].startswith("key:")


MALFORMED = json.loads((Path(__file__).parents[2] / "vectors" / "malformed_json.json").read_text("utf-8"))["cases"]


def bodies() -> list[bytes]:
    """The small vectors; the long ones are tried once for all doors, where bodies are read."""
    return [base64.b64decode(case["b64"]) for case in MALFORMED if "b64" in case and case["size"] < 2000]


async def test_whatever_is_sent_is_no_error_of_ours(world: World) -> None:
    """Every malformed body on every door that takes one, and NUL wherever text goes: 4xx as a problem."""
    await loaded(world)
    admin = await world.key("directory:write")
    headers = {**admin, "content-type": "application/json"}
    doors = [("POST", "/v1/keys")] + [("PUT", f"/v1/{kind}/any") for kind in ("regions", "locations", "staff", "rosters")]
    doors += [("POST", "/v1/rosters/store-12/overrides"), ("POST", "/v1/rosters/any/overrides")]
    for method, path in doors:
        for body in bodies():
            answer = await world.http.request(method, path, content=body, headers=headers)
            assert 400 <= answer.status_code < 500, (method, path, body[:80], answer.text)
            assert answer.headers["content-type"].startswith("application/problem+json")
    nul = "a\x00b"
    for method, path, value in (
        ("POST", "/v1/keys", {"name": nul, "scopes": ["cases:read"]}),
        ("POST", "/v1/keys", {"name": "x", "staff_id": nul}),
        ("PUT", "/v1/staff/any", {"name": "Any", "role": "admin", "email": f"{nul}@example.org"}),
        ("PUT", "/v1/staff/any", {"name": nul, "role": "admin"}),
        ("PUT", "/v1/locations/any", {**STORE, "timezone": nul}),
        ("PUT", "/v1/locations/any", {**STORE, "region": nul}),
        ("PUT", "/v1/locations/a%00b", STORE),
        ("PUT", "/v1/rosters/a%00b", []),
        ("POST", "/v1/rosters/store-12/overrides", {"from": "2026-11-27T14:00", "to": "2026-11-27T18:00", "reason": nul}),
        ("POST", "/v1/rosters/a%00b/overrides", {"from": "2026-11-27T14:00", "to": "2026-11-27T18:00", "reason": "x"}),
        ("GET", "/v1/rosters/a%00b/overrides", None),
        ("DELETE", "/v1/rosters/store-12/overrides/a%00b", None),
        ("DELETE", "/v1/keys/a%00b", None),
        *(("GET", f"/v1/{kind}/a%00b", None) for kind in ("locations", "staff", "rosters", "keys")),
    ):
        answer = await world.http.request(method, path, json=value, headers=admin)
        assert 400 <= answer.status_code < 500, (method, path, value, answer.text)
