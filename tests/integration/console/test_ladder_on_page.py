"""The ladder on the page of a case: who is called next, in words; who was; and a gap where escalation does not tell."""

import re
from typing import Any

import pytest

from shared.kernel.errors import Transient
from tests.integration.console.conftest import World

pytestmark = pytest.mark.integration


def step(state: str, level: int | None, people: list[str], **more: Any) -> dict[str, Any]:
    return {
        "state": state, "what": "step", "level": level, "rung": level, "repeat": 0, "generation": 1, "who": ["managers"], "otherwise": [],
        "hours": "open", "people": people, "how": ["text"], "due_at": "2026-11-23T17:15:00Z", "at": None, "repeats": None,
        "acknowledged": None,
    } | more  # fmt: skip


async def shown(world: World, answer: Any) -> str:
    case = world.case()
    await world.hears(case)
    world.services.answers[f"/v1/cases/{case.case_id}/clock"] = answer
    async with world.signed_in("lee") as browser:
        page = (await browser.get(f"/cases/{case.reference}")).text
    part = page[page.index('id="ladder"') : page.index('id="clock"')]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", part))


def told(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    ladder = {"name": "ladder", "version": 1, "generation": 1, "is_asleep": False, "acknowledged": None, "steps": list(steps)}
    return {"patient_clock_seconds": 5, "next_step_at": None, "targets": [], "ladder": ladder | more}


async def test_what_comes_is_told_before_what_was_with_names_channels_and_words_of_the_ladder(world: World) -> None:
    page = await shown(
        world,
        told(
            step("paged", 0, ["lee"], at="2026-11-23T17:00:00Z", due_at=None),
            step("next", 1, ["sam", "raj"], how=["text", "email"], who=["next:store_manager", "staff:ada"]),
            step("later", 2, [], hours="always", who=["on_duty:regional_manager"], repeats={"times": None, "every_seconds": 1800}),
        ),
    )
    assert "With the store manager in 15 min Sam Example and Raj Example by text and e-mail" in page, page
    assert "the store manager whose turn it is and Ada Example" in page
    assert "nobody by text" in page and "at any hour; then every 30 min until somebody does" in page
    assert page.index("With the region") < page.index("So far") < page.index("Paged Lee Example by text")


async def test_a_case_that_was_taken_says_by_whom_and_until_when_it_holds(world: World) -> None:
    acknowledged = {"at": "2026-11-23T17:05:00Z", "by": "lee"}
    page = await shown(
        world,
        told(
            step("paged", 0, ["lee"], at="2026-11-23T17:00:00Z", acknowledged=acknowledged),
            acknowledged=acknowledged | {"expires_at": "2026-11-23T21:05:00Z"},
        ),
    )
    assert "Lee Example has taken it on; nobody is called any more." in page
    assert "If nothing is done until Mon 23 Nov, 4:05 pm, it is open again" in page
    assert "Taken on by Lee Example, 12:05 pm" in page


@pytest.mark.parametrize("answer", [Transient("away"), {"patient_clock_seconds": 5, "targets": [], "next_step_at": None}])
async def test_where_escalation_does_not_tell_there_is_a_gap_and_no_error(world: World, answer: Any) -> None:
    assert "Who is called next cannot be told at the moment." in await shown(world, answer)
