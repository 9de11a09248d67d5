"""A busy morning: what came in overnight is picked on the queue and taken on in one act, by keyboard."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from tests.support.browser import browser
from tests.support.builders import ANA, ELM, OAK, PHONES, Patient, three_trips
from tests.support.pictures import pictured
from tests.support.stack import Amends

pytestmark = pytest.mark.e2e


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with browser() as started:
        yield started


async def picked(page: Page, box: Locator) -> None:
    """By the space bar; once more where the list put a new row under the key at that moment, as it may when the page has just opened."""
    for _ in range(5):
        await box.focus()
        await page.keyboard.press("Space")
        if await box.is_checked():
            return
    await expect(box).to_be_checked()


async def test_several_cases_are_picked_confirmed_and_taken_on_together(amends: Amends, chromium: Browser) -> None:
    now = await amends.open_hours(hours=3)
    people = [Patient(f"{name} Example") for name in ("Mona", "Mora", "Mila")]
    elsewhere = Patient("Olaf Example")
    await amends.send(*(event for person in people for event in three_trips(person, f"order-{person.ref}", now=now, store=ELM)))
    await amends.send(*three_trips(elsewhere, "order-olaf", now=now, store=OAK))
    cases = [await amends.case_of(person.ref) for person in people]
    foreign = await amends.case_of(elsewhere.ref)
    context = await chromium.new_context(base_url=amends.url)
    page = await context.new_page()
    await page.goto("/")
    await page.locator("form.somebody select").select_option(ANA)
    await page.locator("form.somebody button").click()
    await expect(page.locator("#many")).to_be_hidden()
    assert await page.locator(f"[data-case='{foreign['id']}']").count() == 0, "another store's case is not hers to see"

    # The space bar picks, the list renewing itself keeps what is picked, Enter goes on.
    for case in cases[:2]:
        await picked(page, page.get_by_label(f"Pick {case['reference']}"))
    await amends.do(f"/v1/cases/{cases[1]['id']}/notes", {"text": "Called twice."})
    many = page.get_by_role("button", name=re.compile("Acknowledge 2 selected"))
    await expect(many).to_be_visible()
    await pictured(page, "many-picked")
    await many.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Take 2 cases on?")).to_be_visible()
    await pictured(page, "many-confirm")
    # Where the page opens, the button has the focus.
    await expect(page.get_by_role("button", name="Take 2 cases on")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status").first).to_contain_text("2 cases are yours now.")
    await expect(page.get_by_label(f"Pick {cases[0]['reference']}")).to_have_count(0)
    await amends.settle()
    assert [(await amends.case_of(person.ref))["acknowledged_by"] for person in people] == [ANA, ANA, None]
    await context.close()

    # By API: each its own answer, and another store's case is not there.
    answer = await amends.ask("/v1/cases/acknowledge", {"ids": [cases[2]["id"], foreign["id"], cases[0]["reference"]]}, by=ANA)
    assert [(r["status"], r.get("problem", {}).get("code")) for r in answer.json()["results"]] == [
        ("acknowledged", None),
        ("refused", "not-found"),
        ("acknowledged", None),
    ]
    await amends.settle()
    assert (await amends.case_of(elsewhere.ref))["status"] == "open"
    before = len(await amends.texts(PHONES[ANA]))
    await amends.advance(60)
    assert not any(case["reference"] in text for text in (await amends.texts(PHONES[ANA]))[before:] for case in cases)
    for case in (*cases, foreign):
        await amends.do(f"/v1/cases/{case['id']}/story", {"verbatim": "It is well.", "read_back_confirmed": True})
        await amends.do(f"/v1/cases/{case['id']}/resolve", {"root_cause": "other", "action": "other"})
