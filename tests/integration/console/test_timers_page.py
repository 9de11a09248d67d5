"""The page of timers: what the auditors found, service by service, what to do, and what a person takes note of."""

import re
from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.flow import ALL_SERVICES
from shared.kernel.clock import machine_now
from shared.kernel.errors import Transient
from shared.kernel.ids import new_id
from tests.integration.console.conftest import World, refuses

pytestmark = pytest.mark.integration

HOME = "/operations/timers"


def finding(fault: str = "missing", **changes: Any) -> dict[str, Any]:
    return {
        "id": str(new_id()), "service": "escalation", "fault": fault,
        "words": "its subject waits for it, and it is not set", "kind": "step",
        "subject": str(new_id()), "name": "2", "generation": 1, "detail": "", "due_at": "2026-11-23T17:15:00+00:00",
        "created_at": "2026-11-23T17:00:00+00:00", "seen_at": "2026-11-23T17:00:10+00:00", "case_id": None,
        "is_for_good": fault in ("early", "twice"),
    } | changes  # fmt: skip


def told(world: World, *items: dict[str, Any], service: str = "escalation", seconds_ago: float = 12.5) -> None:
    """Every service answers, one of them with these findings."""
    for name in ALL_SERVICES:
        checked = (machine_now() - timedelta(seconds=seconds_ago)).isoformat()
        listed = list(items) if name == service else []
        world.services.answers[f"/v1/timers/{name}"] = {"items": listed, "next_cursor": None, "checked_at": checked, "went_round_at": None}


async def shown(world: World, staff_id: str = "ada") -> tuple[int, str]:
    async with world.signed_in(staff_id) as browser:
        answer = await browser.get(HOME)
    main = answer.text[answer.text.index("<main") :]
    return answer.status_code, re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main))


async def test_a_healthy_system_says_in_how_many_services_nothing_was_found_and_when(world: World) -> None:
    told(world)
    status, page = await shown(world)
    assert status == 200
    assert re.search(r"Nothing is overdue, missing, early or doubled in six services; checked 1[23] s ago\.", page), page


async def test_a_finding_is_shown_with_its_case_its_fault_in_words_and_what_to_do(world: World) -> None:
    case_id = str(new_id())
    told(world, finding(case_id=case_id))
    async with world.signed_in("ada") as browser:
        html = (await browser.get(HOME)).text
    assert f'<a href="/cases/{case_id}">Step of the ladder</a>' in html
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))
    for words in (
        "Escalation 1 found",
        "Missing",
        "Its subject waits for it, and it is not set.",
        "Count the case",
        "Mon 23 Nov, 12:15 pm",
    ):
        assert words in page, page
    assert "goes once it is mended" in page and "Nothing is overdue" not in page


async def test_a_service_that_does_not_answer_or_does_not_look_is_said(world: World) -> None:
    told(world)
    world.services.answers["/v1/timers/intake"] = Transient("intake does not answer")
    world.services.answers["/v1/timers/restitution"]["checked_at"] = (machine_now() - timedelta(minutes=3)).isoformat()
    _, page = await shown(world)
    assert "Intake does not answer: its timers cannot be told of now." in page
    assert "The timers of Restitution have not been looked at for more than a minute." in page
    assert "doubled in five services; checked 3 min ago" in page


async def test_a_service_that_has_just_started_has_yet_to_look_and_is_no_alarm(world: World) -> None:
    told(world)
    world.services.answers["/v1/timers/restitution"]["checked_at"] = None
    _, page = await shown(world)
    assert "Restitution: not looked at since the start" in page
    assert "more than a minute" not in page and "Nothing is overdue" not in page


async def test_what_fired_early_is_noted_with_a_reason_and_only_so(world: World) -> None:
    early = finding("early", kind="notice")
    told(world, early, service="notification")
    path = f"/v1/timers/notification/{early['id']}/noted"
    async with world.signed_in("ada") as browser:
        page = (await browser.get(HOME)).text
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="(\w[^"]*)">', page[page.index("note-it") :]))
        without = await browser.post(HOME + "/noted", data=fields | {"reason": "  "})
        assert (without.status_code, "Say why it is all right" in without.text) == (400, True)
        assert not [ask for ask in world.services.asked if ask[1] == path]
        done = await browser.post(HOME + "/noted", data=fields | {"reason": "The clock of the machine was wrong."})
        assert (done.status_code, done.headers["location"]) == (303, HOME + "?noted")
        ((_, _, asker, body),) = [ask for ask in world.services.asked if ask[1] == path]
        assert (asker.id, body) == ("ada", {"reason": "The clock of the machine was wrong."})
        world.services.answers[path] = refuses("unknown-finding", "There is none.")
        again = await browser.post(HOME + "/noted", data=fields | {"reason": "Again."})
        assert (again.status_code, "somebody else has taken note of it" in again.text) == (404, True)
        assert (await browser.post(HOME + "/noted", data=fields | {"reason": "x", "finding_id": "none"})).status_code == 400
        assert (await browser.post(HOME + "/noted", data=fields | {"reason": "x", "anti_forgery": "other"})).status_code == 403


async def test_the_page_is_for_administrators_and_nobody_else_finds_it(world: World) -> None:
    told(world)
    for staff_id in ("lee", "raj", "cleo"):
        status, page = await shown(world, staff_id)
        assert (status, "Nothing is overdue" in page) == (403, False)
        async with world.signed_in(staff_id) as browser:
            assert HOME not in (await browser.get("/")).text
    async with world.signed_in("ada") as browser:
        assert f'href="{HOME}"' in (await browser.get("/")).text
    async with world.browser() as browser:
        assert (await browser.get(HOME)).headers["location"] == "/sign-in"
