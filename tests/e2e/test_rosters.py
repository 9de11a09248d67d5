"""Rosters as stores live with them: a calendar is taken, a colleague stands in, and open hours that nobody keeps are seen beforehand."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.support.browser import browser
from tests.support.builders import ANA, BAY, ELM, LEE, MIA, OAK, PHONES, RAJ, SAM, Patient, complaint
from tests.support.pictures import pictured
from tests.support.stack import ZONE, Amends

pytestmark = pytest.mark.e2e

HOME = "/operations/rosters"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with browser() as started:
        yield started


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def no_rosters_left(amends: Amends) -> AsyncIterator[None]:
    yield
    for store in (ELM, OAK, BAY):
        for row in await amends.items(f"/v1/rosters/{store}/overrides"):
            assert (await amends.http.delete(f"/v1/rosters/{store}/overrides/{row['id']}")).status_code == 200
        assert (await amends.http.put(f"/v1/rosters/{store}", json=[])).status_code == 200
    await amends.settle()


def event(who: str, starts: datetime, hours: int, rule: str = "") -> str:
    zone = "DT{};TZID=America/New_York:{:%Y%m%dT%H%M%S}"
    lines = ["BEGIN:VEVENT", f"SUMMARY:{who}", zone.format("START", starts), zone.format("END", starts + timedelta(hours=hours))]
    return "\r\n".join([*lines, *([f"RRULE:{rule}"] if rule else []), "END:VEVENT", ""])


async def take(amends: Amends, store: str, *events: str) -> dict[str, object]:
    """A store's calendar as its roster."""
    body = "BEGIN:VCALENDAR\r\n" + "".join(events) + "END:VCALENDAR\r\n"
    answer = await amends.http.post(f"/v1/rosters/{store}/import", content=body, headers={"content-type": "text/calendar"})
    assert answer.status_code == 200, answer.text
    await amends.settle()
    taken: dict[str, object] = answer.json()
    return taken


async def test_the_page_goes_to_the_next_shift_of_an_imported_calendar_and_to_who_stands_in_for_it(amends: Amends) -> None:
    """Lee until one, Ana from one; on the day itself Mia of Oak Avenue stands in for Ana until three."""
    nine = (await amends.open_hours(hours=9)).astimezone(ZONE)
    early, late = event("Lee Example", nine, 4, "FREQ=DAILY;COUNT=2"), event(ANA, nine + timedelta(hours=4), 5)
    assert len((await take(amends, ELM, early, late))["added"]) == 3  # type: ignore[arg-type]
    again = await take(amends, ELM, early, late)
    assert (again["added"], again["removed"], again["unchanged"]) == ([], [], 3)
    await amends.advance(minutes=4 * 60 - 5)
    patient = Patient("Rosa Example")
    await amends.send(complaint(patient, "The frame broke.", nine + timedelta(hours=4) - timedelta(minutes=5)))
    case = await amends.case_of(patient.ref)
    assert case["owner"] == {"staff_id": LEE}

    span = {"from": f"{nine:%Y-%m-%dT13:00}", "to": f"{nine:%Y-%m-%dT15:00}"}
    swap = {"staff_id": MIA, "instead_of": ANA, **span, "reason": "Ana is at the dentist"}
    made = await amends.http.post(f"/v1/rosters/{ELM}/overrides", json=swap)
    assert made.status_code == 201, made.text
    await amends.settle()
    one = nine + timedelta(hours=4)
    on_duty = await amends.people[LEE].get(f"/v1/rosters/{ELM}", params={"at": one.isoformat()})
    assert [row["staff_id"] for row in on_duty.json()["on_duty"]] == [MIA]
    assert (await amends.people[SAM].get(f"/v1/rosters/{ELM}", params={"at": one.isoformat()})).status_code == 404

    before = {who: len(await amends.texts(PHONES[who])) for who in (MIA, ANA)}
    await amends.advance(minutes=5)
    told = {who: (await amends.texts(PHONES[who]))[before[who] :] for who in (MIA, ANA)}
    assert [case["reference"] in text for text in told[MIA]] == [True] and told[ANA] == []
    # The stand-in cannot come: undone, the page goes to Ana at once.
    assert (await amends.http.delete(f"/v1/rosters/{ELM}/overrides/{made.json()['id']}")).status_code == 200
    await amends.settle()
    assert [case["reference"] in text for text in (await amends.texts(PHONES[ANA]))[before[ANA] :]] == [True]
    await amends.answer(PHONES[ANA], f"ACK {case['reference']}")
    assert (await amends.case_of(patient.ref))["acknowledged_by"] == ANA
    await ended(amends, case["id"])


async def ended(amends: Amends, case_id: str) -> None:
    """The case is worked through, so that it pages nobody in another story."""
    await amends.do(f"/v1/cases/{case_id}/story", {"verbatim": "It broke.", "read_back_confirmed": True}, by=ANA)
    await amends.do(f"/v1/cases/{case_id}/resolve", {"root_cause": "frame_defect", "action": "adjustment"}, by=ANA)


async def signed_in(chromium: Browser, amends: Amends, staff_id: str) -> Page:
    context = await chromium.new_context(base_url=amends.url, viewport={"width": 1440, "height": 900})
    page = await context.new_page()
    await page.goto("/")
    await page.locator("form.somebody select").select_option(staff_id)
    await page.locator("form.somebody button").click()
    await page.get_by_role("link", name="Rosters").click()
    await expect(page.get_by_role("heading", name="Rosters", level=1)).to_be_visible()
    return page


async def test_open_hours_that_nobody_keeps_are_seen_before_they_come(amends: Amends, chromium: Browser) -> None:
    """Elm Street's roster ends within the fortnight, Oak Avenue's forgets the afternoons, Bay Road uses none."""
    nine = (await amends.open_hours(hours=9)).astimezone(ZONE)
    page = await signed_in(chromium, amends, "ada")
    await expect(page.locator(".empty")).to_contain_text("No store here uses a roster.")
    await pictured(page, "rosters-none")

    midnight = nine.replace(hour=0)
    await take(amends, ELM, event(LEE, midnight, 24, "FREQ=DAILY;COUNT=9"))
    await take(amends, OAK, event(MIA, nine, 4, "FREQ=DAILY;COUNT=30"))
    await page.reload()
    elm, oak = page.locator(f"#cover-{ELM}"), page.locator(f"#cover-{OAK}")
    await expect(elm).to_contain_text("last shift ends")
    await expect(oak.locator(".when li").first).to_contain_text("1:00 pm")
    await expect(page.locator("section", has=page.locator("#rosterless"))).to_contain_text("Bay Road")
    assert await page.locator("tbody tr").first.get_attribute("id") == f"cover-{OAK}", "the longest first"
    # By keyboard alone: the rest of a long list opens with Enter.
    more = oak.locator("summary")
    await expect(more).to_contain_text("more")
    await more.focus()
    await page.keyboard.press("Enter")
    await expect(oak.locator("details li").first).to_be_visible()
    await pictured(page, "rosters")
    for width in (1440, 390):
        await page.set_viewport_size({"width": width, "height": 900})
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width

    await page.set_viewport_size({"width": 1440, "height": 900})
    await page.get_by_label("Region").select_option("south")
    await expect(page.locator(".empty")).to_contain_text("No store here uses a roster.")
    await page.context.close()

    await take(amends, ELM, event(LEE, midnight, 24, "FREQ=DAILY;COUNT=30"))
    await take(amends, OAK, event(MIA, midnight, 24, "FREQ=DAILY;COUNT=30"))
    page = await signed_in(chromium, amends, RAJ)
    await expect(page.locator(".empty")).to_contain_text("Somebody is on duty in every open hour.")
    await expect(page.locator("main")).not_to_contain_text("Bay Road")
    await pictured(page, "rosters-kept")
    await page.context.close()
