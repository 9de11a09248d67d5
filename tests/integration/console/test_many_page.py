"""Picking many cases on the queue: asked once more, taken in the person's name, each with its answer."""

import re
from typing import Any
from uuid import UUID

import pytest

from shared.contracts.cases import CaseAcknowledged
from shared.kernel.errors import Transient
from shared.kernel.ids import new_id
from tests.integration.console.conftest import World

pytestmark = pytest.mark.integration
PATH = "/v1/cases/acknowledge"


async def grown(world: World, *places: str) -> list[Any]:
    cases = [world.case(location_id=place, region="north" if place == "elm" else "south") for place in places]
    for case in cases:
        await world.hears(case)
    return cases


def hidden(page: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(anti_forgery|form_id)" value="([^"]+)">', page))


async def test_what_was_picked_is_asked_once_more_and_then_taken_in_the_persons_name(world: World) -> None:
    cases = await grown(world, "elm", "elm")
    ids = [str(case.case_id) for case in cases]
    world.services.answers[PATH] = {
        "acknowledged": 2, "results": [{"id": key, "status": "acknowledged", "changed": False, "case": {}} for key in ids]
    }  # fmt: skip
    async with world.signed_in("lee") as browser:
        queue = (await browser.get("/")).text
        assert queue.count('name="case"') == 2
        asked = await browser.post("/acknowledge", data=hidden(queue) | {"case": ids})
        assert (asked.status_code, "Take 2 cases on?" in asked.text, "cannot be undone" in asked.text) == (200, True, True)
        assert not [ask for ask in world.services.asked if ask[1] == PATH], "nothing is taken before it was confirmed"
        done = await browser.post("/acknowledge/confirmed", data=hidden(asked.text[asked.text.index("decide") :]) | {"case": ids})
        assert (done.status_code, done.headers["location"]) == (303, "/?taken=2")
        ((_, _, asker, body),) = [ask for ask in world.services.asked if ask[1] == PATH]
        assert (asker.id, sorted(body["ids"])) == ("lee", sorted(ids))
        assert "2 cases are yours now." in (await browser.get("/?taken=2")).text


async def test_half_good_half_bad_says_beside_each_why(world: World) -> None:
    good, bad = await grown(world, "elm", "elm")
    problem = {"code": "case-resolved", "detail": "The case is resolved; reopen it first."}
    world.services.answers[PATH] = {
        "acknowledged": 1,
        "results": [
            {"id": str(good.case_id), "status": "acknowledged", "changed": False, "case": {}},
            {"id": str(bad.case_id), "status": "refused", "problem": problem},
        ],
    }
    async with world.signed_in("lee") as browser:
        fields = hidden((await browser.get("/")).text) | {"case": [str(good.case_id), str(bad.case_id)]}
        answer = await browser.post("/acknowledge/confirmed", data=fields)
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))
    assert answer.status_code == 200 and "1 of 2 taken on" in page and "The case is resolved; reopen it first." in page


async def test_another_stores_case_is_not_even_asked_for(world: World) -> None:
    own, foreign = await grown(world, "elm", "bay")
    async with world.signed_in("lee") as browser:
        fields = hidden((await browser.get("/")).text)
        page = (await browser.post("/acknowledge", data=fields | {"case": [str(own.case_id), str(foreign.case_id)]})).text
        assert own.reference in page and foreign.reference not in page and "Take 1 case on?" in page
        nothing = await browser.post("/acknowledge", data=fields | {"case": [str(foreign.case_id)]})
        assert (nothing.status_code, "Pick the cases first" in nothing.text) == (400, True)


async def test_what_makes_no_sense_is_refused_and_an_absent_service_is_said(world: World) -> None:
    (case,) = await grown(world, "elm")
    async with world.signed_in("lee") as browser:
        fields = hidden((await browser.get("/")).text)
        assert (await browser.post("/acknowledge", data=fields | {"case": ["none"]})).status_code == 400
        assert (await browser.post("/acknowledge", data=fields | {"case": [str(new_id()) for _ in range(201)]})).status_code == 400
        assert (await browser.post("/acknowledge", data={"case": [str(case.case_id)]})).status_code == 403
        world.services.answers[PATH] = Transient("escalation does not answer")
        away = await browser.post("/acknowledge/confirmed", data=fields | {"case": [str(case.case_id)]})
        assert (away.status_code, "does not answer at the moment" in away.text) == (503, True)


async def test_only_what_nobody_has_can_be_picked_and_only_by_who_works_cases(world: World) -> None:
    open_case, taken = await grown(world, "elm", "elm")
    case_id: UUID = taken.case_id
    await world.hears(world.case(CaseAcknowledged, case_id, status="acknowledged", reference=taken.reference))
    async with world.signed_in("lee") as browser:
        assert re.findall(r'name="case" value="([^"]+)"', (await browser.get("/")).text) == [str(open_case.case_id)]
    async with world.signed_in("cleo") as browser:
        assert 'name="case"' not in (await browser.get("/")).text
