"""What was heard becomes rows: set-based, once, and never back to an older version."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.console import usecases
from shared.contracts.cases import CaseAcknowledged, CaseClosed, Target
from tests.integration.console.conftest import NOON, World

pytestmark = pytest.mark.integration


async def ids(world: World, staff_id: str, path: str = "/v1/queue") -> list[str]:
    async with world.signed_in(staff_id) as browser:
        return [item["id"] for item in (await browser.get(path)).json()["items"]]


async def test_the_most_urgent_comes_first_and_pages_follow_on_without_a_gap_or_a_repeat(world: World) -> None:
    events = [world.case(due_in=minutes, severity=minutes % 3 + 1) for minutes in (40, 5, 20, 5, 60, 10, 5)]
    await world.hears(*events)
    expected = [str(e.case_id) for e in sorted(events, key=lambda e: (e.targets[0].due_at, e.severity, e.case_id))]
    assert await ids(world, "ada") == expected
    found: list[str] = []
    async with world.signed_in("ada") as browser:
        cursor: str | None = ""
        while cursor is not None:
            body = (await browser.get("/v1/queue", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
            found += [item["id"] for item in body["items"]]
            cursor = body["next_cursor"]
    assert found == expected


async def test_an_older_version_that_comes_late_changes_nothing(world: World) -> None:
    opened = world.case()
    taken = world.case(CaseAcknowledged, opened.case_id, status="acknowledged")
    await world.hears(taken)
    await world.hears(opened)
    async with world.signed_in("lee") as browser:
        (item,) = (await browser.get("/v1/queue")).json()["items"]
        assert (item["status"], item["version"]) == ("acknowledged", 2)
        lines = (await browser.get(f"/v1/cases/{opened.case_id}/timeline")).json()["items"]
    assert {line["type"] for line in lines} == {"amends.case.opened", "amends.case.acknowledged"}


async def test_an_event_heard_twice_is_one_line(world: World) -> None:
    fact = world.fact(world.case())
    for _ in range(2):
        async with world.desk.engine.transaction() as tx:
            await usecases.take_cases(world.desk, tx, [fact])
    async with world.signed_in("lee") as browser:
        body = (await browser.get(f"/v1/cases/{fact.event.case_id}/timeline")).json()
    assert len(body["items"]) == 1


async def test_a_row_has_the_fields_of_the_contract(world: World) -> None:
    await world.hears(world.case())
    async with world.signed_in("lee") as browser:
        (item,) = (await browser.get("/v1/queue")).json()["items"]
    assert {
        "id", "reference", "status", "level", "severity", "catalyst", "location_id", "owner", "opened_at", "next_milestone", "next_due_at",
    } <= set(item)  # fmt: skip
    assert (item["owner"], item["next_milestone"]) == ({"staff_id": "lee"}, "acknowledge")
    assert item["next_due_at"] == (NOON + timedelta(minutes=15)).isoformat()


async def test_filters_narrow_and_closed_cases_show_only_when_asked_for(world: World) -> None:
    north, south = world.case(), world.case(location_id="bay", region="south", severity=1)
    closed = world.case(CaseClosed, status="closed", targets=(Target(milestone="resolve", state="met", due_at=NOON),))
    await world.hears(north, south, closed)
    expected: dict[str, list[UUID]] = {
        "": [south.case_id, north.case_id],
        "?region=south": [south.case_id],
        "?location=elm": [north.case_id],
        "?severity=1": [south.case_id],
        "?status=closed": [closed.case_id],
        "?due_before=2026-11-23T17:00:00Z": [],
    }
    for query, cases in expected.items():
        assert await ids(world, "ada", "/v1/queue" + query) == [str(case_id) for case_id in cases], query


@pytest.mark.parametrize(
    "query", ["cursor=zzz", "severity=many", "status=lost", "due_before=2026-11-23T17:00:00", "region=%00", "limit=0", "limit=100000"]
)
async def test_an_odd_question_is_a_400_that_says_so(world: World, query: str) -> None:
    async with world.signed_in("ada") as browser:
        answer = await browser.get(f"/v1/queue?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


async def test_walls_hold_in_lists_pages_and_timelines(world: World) -> None:
    north, south = world.case(), world.case(location_id="bay", region="south")
    await world.hears(north, south)
    sees: dict[str, set[Any]] = {
        "lee": {north.case_id}, "sam": {south.case_id}, "raj": {north.case_id}, "ada": {north.case_id, south.case_id},
        "cleo": {north.case_id, south.case_id},
    }  # fmt: skip
    for staff_id, cases in sees.items():
        assert set(await ids(world, staff_id)) == {str(case_id) for case_id in cases}
        async with world.signed_in(staff_id) as browser:
            for event in (north, south):
                expected = 200 if event.case_id in cases else 404
                for path in (f"/v1/cases/{event.case_id}/timeline", f"/cases/{event.reference}", f"/cases/{event.case_id}"):
                    assert (await browser.get(path)).status_code == expected, (staff_id, path)
            stores = {row["location_id"] for row in (await browser.get("/v1/trends")).json()["items"]}
            assert len(stores) == len(cases)


async def test_trends_count_what_is_open_and_overdue_now(world: World) -> None:
    await world.hears(world.case(due_in=-5), world.case(due_in=5), world.case(due_in=10, severity=1))
    async with world.signed_in("raj") as browser:
        (row,) = (await browser.get("/v1/trends")).json()["items"]
    assert (row["location_id"], row["open"], row["overdue"], row["critical"]) == ("elm", 3, 1, 1)
