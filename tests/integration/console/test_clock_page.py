"""How the time was counted, on the page of a case: escalation's own account, in the store's wall time."""

import re

import pytest

from tests.integration.console.conftest import World

pytestmark = pytest.mark.integration

TARGET = {
    "milestone": "contact", "goal": "a person is in touch", "segment": 1, "state": "running", "open_seconds": 7200, "elapsed_seconds": 1800,
    "counted_seconds": 7200, "paused_seconds": 0, "is_whole": True, "summary": "2 h of open time from Wed 25 Nov, 5:30 pm are over at "
    "Fri 27 Nov, 10:30 am.",
    "stretches": [
        {"from": "2026-11-25T22:30:00Z", "to": "2026-11-25T23:00:00Z", "kind": "counted", "seconds": 1800, "total_seconds": 1800,
         "words": "The store was open."},
        {"from": "2026-11-25T23:00:00Z", "to": "2026-11-27T14:00:00Z", "kind": "closed", "seconds": 0, "total_seconds": 1800,
         "words": "The store was closed (Thu 26 Nov: Thanksgiving Day)."},
        {"from": "2026-11-27T14:00:00Z", "to": "2026-11-27T15:30:00Z", "kind": "counted", "seconds": 5400, "total_seconds": 7200,
         "words": "The store was open."},
    ],
    "history": [{"at": "2026-11-25T22:30:00Z", "what": "planned", "words": "2 h of open time, until Fri 27 Nov, 10:30 am."}],
}  # fmt: skip


async def test_the_page_of_a_case_tells_each_deadline_stretch_by_stretch(world: World) -> None:
    case = world.case()
    await world.hears(case)
    world.services.answers[f"/v1/cases/{case.case_id}/clock"] = {
        "patient_clock_seconds": 5400, "next_step_at": "2026-11-23T17:45:00Z", "targets": [TARGET],
    }  # fmt: skip
    async with world.signed_in("lee") as browser:
        page = (await browser.get(f"/cases/{case.reference}")).text
    section = re.sub(r"<[^>]+>|\s+", " ", page[page.index('id="clock"') : page.index('id="timeline"')])
    told = re.sub(r"\s+", " ", section)
    assert "waiting for 1 h 30 min, nights and pauses included. Unless somebody takes it on, it goes up Mon 23 Nov, 12:45 pm." in told
    for words in (
        "Wed 25 Nov, 5:30 pm \u2013 6:00 pm 30 min The store was open.",
        "Wed 25 Nov, 6:00 pm \u2013 Fri 27 Nov, 9:00 am",
        "Thanksgiving Day",
        "Together 2 h Of 2 h, 30 min are gone so far.",
    ):
        assert words in told, told


async def test_a_clock_that_cannot_be_had_leaves_a_gap_and_no_error(world: World) -> None:
    case = world.case()
    await world.hears(case)
    async with world.signed_in("lee") as browser:
        answer = await browser.get(f"/cases/{case.reference}")
    assert (answer.status_code, "How the time was counted cannot be fetched" in answer.text) == (200, True)
