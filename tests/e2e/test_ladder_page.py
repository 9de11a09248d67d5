"""The ladder as people see it on the page of a case: who is called next, who was, and what stops it; through shifts and stale answers."""

from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import quote

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.support.browser import browser
from tests.support.builders import ANA, ELM, LEE, PHONES, RAJ, Patient, three_trips
from tests.support.pictures import pictured
from tests.support.stack import ZONE, Amends

pytestmark = pytest.mark.e2e


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with browser() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def context(chromium: Browser, amends: Amends) -> AsyncIterator[BrowserContext]:
    made = await chromium.new_context(base_url=amends.url)
    try:
        yield made
    finally:
        await made.close()


async def opened(amends: Amends, name: str) -> str:
    """A case at Elm Street, of somebody of that name; its reference."""
    patient = Patient(f"{name} Example")
    await amends.send(*three_trips(patient, f"order-{patient.ref}", now=await amends.now(), store=ELM))
    return str((await amends.case_of(patient.ref))["reference"])


async def looking_at(context: BrowserContext, staff_id: str, reference: str) -> Page:
    """The page of a case, as that person."""
    page = await context.new_page()
    await page.goto("/")
    await page.locator("form.somebody select").select_option(staff_id)
    await page.locator("form.somebody button").click()
    await expect(page.get_by_role("heading", name="Queue")).to_be_visible()
    await page.goto(f"/cases/{reference}")
    return page


async def ended(amends: Amends, reference: str) -> None:
    for name, body in (
        ("story", {"verbatim": "It is well now.", "wished_outcome": "Nothing.", "read_back_confirmed": True}),
        ("resolve", {"root_cause": "other", "action": "other"}),
    ):
        await amends.do(f"/v1/cases/{reference}/{name}", body)


async def test_the_page_tells_who_is_called_next_and_an_ack_on_the_phone_stops_it_until_it_goes_stale(
    amends: Amends, context: BrowserContext
) -> None:
    await amends.open_hours(hours=8)
    reference = await opened(amends, "Lara")
    page = await looking_at(context, ANA, reference)
    ladder, coming = page.locator("#ladder"), page.locator("#ladder .next")
    await expect(coming).to_contain_text("With the store manager")
    await expect(coming).to_contain_text("Ana Example by text")
    await expect(coming).to_contain_text("in 15 min")
    await expect(ladder.locator(".later")).to_contain_text("Raj Example")
    await expect(ladder.locator(".later")).to_contain_text("every 30 min until somebody does")
    await expect(ladder.locator(".paged")).to_contain_text("Paged Lee Example by text")
    await pictured(page, "ladder")

    # Nobody takes it: the page follows by itself.
    await amends.advance(16)
    await expect(coming).to_contain_text("With the region", timeout=15_000)
    await expect(ladder.locator(".paged").first).to_contain_text("Paged Ana Example")
    told = (await amends.get(f"/v1/cases/{reference}/clock"))["ladder"]["steps"]
    assert [(step["state"], step["level"], step["people"]) for step in told] == [
        ("paged", 0, [LEE]),
        ("paged", 1, [ANA]),
        ("next", 2, [RAJ]),
    ]

    # On her phone Ana types ACK, and which: cases of other stories may be open to her too.
    phone = await context.new_page()
    await phone.goto(f"/dev/phone?number={quote(PHONES[ANA])}")
    await phone.get_by_label("Your answer").fill(f"ACK {reference}")
    await phone.keyboard.press("Enter")
    await expect(ladder).to_contain_text("Ana Example has taken it on; nobody is called any more.", timeout=15_000)
    await expect(coming).to_have_count(0)
    await expect(ladder.locator(".paged").first).to_contain_text("Taken on by Ana Example")
    await pictured(page, "ladder-taken")

    # Four open hours later nothing was done: it is open again, and Ana and the owner are called.
    await amends.advance(4 * 60)
    await expect(ladder.locator(".paged").first).to_contain_text("When its acknowledgement went stale", timeout=15_000)
    await expect(page.locator("#head .chip").first).to_have_text("Open")
    await expect(coming).to_contain_text("With the region")
    await ended(amends, reference)
    await expect(ladder).to_contain_text("The case is over; nobody is called any more.", timeout=15_000)


async def test_at_the_change_of_shifts_the_page_tells_who_was_called_in_the_owners_place(amends: Amends, context: BrowserContext) -> None:
    now = await amends.open_hours(hours=9)
    day = f"{now.astimezone(ZONE):%Y-%m-%d}"
    shifts = [
        {"staff_id": LEE, "from": f"{day}T09:00", "to": f"{day}T13:00"},
        {"staff_id": ANA, "from": f"{day}T13:00", "to": f"{day}T18:00"},
    ]
    await _roster(amends, shifts)
    await amends.advance((now + timedelta(hours=3, minutes=55) - now).total_seconds() / 60)
    reference = await opened(amends, "Hanna")
    page = await looking_at(context, LEE, reference)
    await expect(page.locator("#ladder .paged")).to_contain_text("Paged Lee Example")
    await amends.advance(5)
    handed = page.locator("#ladder .paged").first
    await expect(handed).to_contain_text("At the change of shifts", timeout=15_000)
    await expect(handed).to_contain_text("Paged Ana Example by text")
    await expect(page.locator("#timeline")).to_contain_text("The shift of Lee Example is over and nobody has taken the case on.")
    await pictured(page, "ladder-shift")
    await _roster(amends, [])
    await ended(amends, reference)


async def _roster(amends: Amends, shifts: list[dict[str, str]]) -> None:
    answer = await amends.http.put(f"/v1/rosters/{ELM}", json={"shifts": shifts})
    assert answer.status_code == 200, answer.text
    await amends.settle()
