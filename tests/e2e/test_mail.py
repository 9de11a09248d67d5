"""A ladder that calls the manager by e-mail: the letter says where to take the case on, and there she does."""

import re
from collections.abc import AsyncIterator, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

import services.escalation
from services.escalation.domain.plan import POLICIES, Policies
from tests.support.browser import browser
from tests.support.builders import ANA, ELM, PHONES, RAJ, Patient, group, three_trips
from tests.support.pictures import pictured
from tests.support.servers import throwaway_folder
from tests.support.stack import Amends, running

pytestmark = pytest.mark.e2e

ADDRESS = "ana@example.org"
FOLDER = Path(services.escalation.__file__).parent / "policy"
# The manager is called by e-mail, the region by e-mail too, though it has no address.
BY_MAIL = """
name = "ladder"
version = 2
effective_from = 2020-01-02

[[ladders]]
severities = [1, 2, 3]
rungs = [
    { level = 0, who = ["owner"], hours = "always" },
    { level = 1, who = ["managers"], how = ["email"] },
    { level = 2, who = ["region"], how = ["email"], repeats = "until-taken" },
]
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def amends() -> AsyncIterator[Amends]:
    """A stack of this story's own: a page about cases of others at the same moment would be one with this one's."""
    with throwaway_folder() as folder:
        async with running(folder) as found:
            yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with browser() as started:
        yield started


@pytest.fixture
def by_mail(amends: Amends) -> Iterator[None]:
    """The stack with that ladder in force, as after a start with it."""
    assert amends.stack is not None and amends.stack.process is not None
    desk: Any = amends.stack.process.running["escalation"].service.desk
    before = desk.policies
    texts = {name: [file.read_text() for file in sorted((FOLDER / name).glob("*.toml"))] for name in POLICIES}
    texts["ladder"].append(BY_MAIL)
    object.__setattr__(desk, "policies", Policies.load(texts, date(2026, 11, 1)))
    yield
    object.__setattr__(desk, "policies", before)


async def letters(amends: Amends) -> list[dict[str, Any]]:
    return await amends.items("/dev/inbox/messages", to=ADDRESS)


async def test_the_manager_is_called_by_e_mail_and_takes_the_case_on_by_its_link(amends: Amends, chromium: Browser, by_mail: None) -> None:
    ana = next(person for person in group()["staff"] if person["id"] == ANA)
    changed = await amends.http.put(f"/v1/staff/{ANA}", json={**{k: v for k, v in ana.items() if k != "id"}, "email": ADDRESS})
    assert changed.status_code == 200, changed.text
    await amends.settle()
    now = await amends.open_hours(hours=3)
    vera = Patient("Vera Example")
    await amends.send(*three_trips(vera, "order-vera", now=now, store=ELM))
    case = await amends.case_of(vera.ref)
    await amends.advance(15)
    (letter,) = [one for one in await letters(amends) if case["reference"] in one["subject"]]
    assert letter["subject"] == f"Case {case['reference']} needs you" and vera.name not in letter["body"]
    assert not [text for text in await amends.texts(PHONES[ANA]) if case["reference"] in text], "no text beside the e-mail"

    context = await chromium.new_context(base_url=amends.url)
    page = await context.new_page()
    await page.goto("/dev/inbox")
    await expect(page.get_by_role("heading", name=letter["subject"])).to_be_visible()
    await pictured(page, "inbox")
    await page.goto("/")
    await page.locator("form.somebody select").select_option(ANA)
    await page.locator("form.somebody button").click()
    await expect(page.get_by_role("heading", name="Queue")).to_be_visible()
    link = re.search(r"http://\S+/cases/\S+", letter["body"])
    assert link is not None
    await page.goto(link[0])
    await expect(page.locator("#ladder")).to_contain_text("Paged Ana Example by e-mail")

    # The region has no address: Raj is texted, and told why.
    await amends.advance(15)
    text = next(text for text in await amends.texts(PHONES[RAJ]) if case["reference"] in text)
    assert text.endswith("(E-mail did not work.)")
    await page.get_by_role("button", name="Take it on").click()
    await expect(page.locator("#flash [role=status]")).to_be_visible()
    assert (await amends.case_of(vera.ref))["acknowledged_by"] == ANA
    await expect(page.locator("#texts .pages li", has_text="Ana Example")).to_contain_text(
        "another page by e-mail Sent", use_inner_text=False
    )
    await context.close()
    await amends.advance(60)
    assert len([one for one in await letters(amends) if case["reference"] in one["subject"]]) == 1
    await amends.do(f"/v1/cases/{case['id']}/story", {"verbatim": "It is well.", "read_back_confirmed": True})
    await amends.do(f"/v1/cases/{case['id']}/resolve", {"root_cause": "other", "action": "other"})
    await amends.http.put(f"/v1/staff/{ANA}", json={k: v for k, v in ana.items() if k != "id"})
    await amends.settle()
