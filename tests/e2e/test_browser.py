"""The third trip as people see it: the store in the console, the patient on the page behind the link."""

import re
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.support.browser import browser
from tests.support.builders import ELM, Patient, three_trips
from tests.support.stack import Amends, client

pytestmark = pytest.mark.e2e

LINK = re.compile(r"https?://\S+/p/\S+")
CODE = re.compile(r"\b[A-Z0-9]{4}(?:-[A-Z0-9]{4})+\b")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with browser() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def page(chromium: Browser, amends: Amends) -> AsyncIterator[Page]:
    """A new window of somebody who has never been here."""
    context = await chromium.new_context(base_url=amends.url)
    try:
        yield await context.new_page()
    finally:
        await context.close()


async def test_a_manager_takes_the_case_on_hears_the_story_and_the_patient_finds_the_code(amends: Amends, page: Page) -> None:
    now = await amends.open_hours(hours=3)
    await page.goto("/")
    await page.locator("form.somebody select").select_option("ana")
    await page.locator("form.somebody button").click()
    await expect(page.get_by_role("heading", name="Queue")).to_be_visible()

    # She looks at the queue when the third trip happens: the row comes by itself.
    wanda = Patient("Wanda Example")
    await amends.send(*three_trips(wanda, "order-wanda", now=now, store=ELM))
    case = await amends.case_of(wanda.ref)
    row = page.locator(f"[data-case='{case['id']}']")
    await expect(row).to_be_visible()
    await row.get_by_role("link").click()
    await expect(page.locator("#head")).to_contain_text(case["reference"])

    await page.get_by_role("button", name="Take it on").click()
    await expect(page.locator("#flash [role=status]")).to_be_visible()
    assert (await amends.case_of(wanda.ref))["acknowledged_by"] == "ana"

    # Resolving before the story was heard is refused in words.
    await page.locator("#work summary", has_text="Resolve").click()
    await page.get_by_role("button", name="Resolve the case").click()
    await expect(page.get_by_role("alert")).to_contain_text("story")

    if not await page.locator("textarea[name=verbatim]").is_visible():
        await page.locator("summary", has_text="Write down the story").click()
    await page.locator("textarea[name=verbatim]").fill("They slide down when I read.")
    await page.locator("input[name=read_back_confirmed]").check()
    await page.get_by_role("button", name="Save the story").click()
    await expect(page.locator("#story")).to_contain_text("They slide down when I read.")
    await amends.settle()
    await expect(page.locator("#gifts")).to_contain_text("$26.10")
    await expect(page.locator("#timeline")).to_be_visible()

    text = next(text for text in await amends.texts(wanda.phone) if "26.10" in text)
    found = LINK.search(text)
    assert found, text
    await the_patient_finds_the_code(page, found[0].rstrip("."), wanda)


async def the_patient_finds_the_code(page: Page, link: str, patient: Patient) -> None:
    """The link alone shows the state of things; the code needs the last four digits."""
    await page.context.clear_cookies()
    await page.goto(link)
    before = await page.content()
    assert patient.name not in before
    assert not CODE.search(await page.locator("main").inner_text()), "no code before the second factor"
    await page.locator("#digits").fill("0000")
    await page.get_by_role("button", name="Show").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await page.locator("#digits").fill(patient.phone[-4:])
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator(".code code")).to_have_text(re.compile(r"\S{6,}"))
    await expect(page.locator("main")).to_contain_text("$26.10")


async def test_a_link_that_never_was_tells_nothing(amends: Amends) -> None:
    async with client(amends.url) as visitor:
        answer = await visitor.get("/p/never-was-a-link")
    assert answer.status_code == 404
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "no-store" in answer.headers["cache-control"]


async def test_texts_are_seen_and_answered_on_the_phone(amends: Amends, page: Page) -> None:
    now = await amends.open_hours(hours=3)
    wilma = Patient("Wilma Example")
    await amends.send(*three_trips(wilma, "order-wilma", now=now, store=ELM))
    case = await amends.case_of(wilma.ref)
    await page.goto(f"/dev/phone?number={quote(wilma.phone)}")
    await expect(page.locator("body")).to_contain_text(case["reference"])
    await amends.answer(wilma.phone, "STOP")
    await expect(page.locator("body")).to_contain_text("Reply START")
