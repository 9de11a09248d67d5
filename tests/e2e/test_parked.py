"""Events that cannot be handled, as the administrator meets them: they stand on a page with their reason, and go on after a press."""

import json
from collections.abc import AsyncIterator
from functools import partial

import httpx
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from playwright.async_api import Browser, BrowserContext, Page, expect

from shared.contracts.cases import CASES
from shared.contracts.flow import INGRESS
from shared.kernel.ids import new_id
from tests.support.browser import browser
from tests.support.builders import ELM, event
from tests.support.eventually import eventually
from tests.support.foreign import Raw, send_raw
from tests.support.pictures import pictured
from tests.support.stack import Amends, client

pytestmark = pytest.mark.e2e

WORDS = "My left lens fell out at dinner."
HOME = "/operations/parked"


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


def broker_of(amends: Amends) -> str:
    stack = amends.stack
    assert stack is not None
    return stack.settings.kafka.bootstrap_servers or (stack.kafka.bootstrap_servers if stack.kafka else "")


async def produced(amends: Amends, topic: str, body: bytes, **headers: str) -> str:
    """One record of somebody who does not know better; gives its key."""
    producer = AIOKafkaProducer(bootstrap_servers=broker_of(amends))
    await producer.start()
    key = f"K-{new_id().hex[-6:]}"
    try:
        named = [(name, value.encode()) for name, value in headers.items()]
        await producer.send_and_wait(topic, body, key=key.encode(), headers=named)
    finally:
        await producer.stop()
    return key


async def unknown_kind(amends: Amends, kind: str = "amends.case.celebrated") -> str:
    """An event of a newer version, on the cases' topic."""
    body = json.dumps({"case_id": str(new_id()), "version": 1}).encode()
    return await produced(amends, CASES, body, ce_type=kind, ce_id=str(new_id()), ce_time="2026-11-17T15:00:00+00:00", ce_source="test")


async def parked_of(http: httpx.AsyncClient, service: str, key: str) -> dict[str, object]:
    """The event of that key, once it lies parked."""

    async def there() -> dict[str, object]:
        answer = await http.get(f"/v1/parked/{service}", params={"limit": 200})
        assert answer.status_code == 200, answer.text
        found: dict[str, object] | None = next((item for item in answer.json()["items"] if item["key"] == key), None)
        assert found is not None
        return found

    found: dict[str, object] = {}

    async def look() -> bool:
        found.update(await there())
        return True

    await eventually(look)
    return found


async def signed_in(context: BrowserContext, staff_id: str) -> Page:
    page = await context.new_page()
    await page.goto("/")
    await page.locator("form.somebody select").select_option(staff_id)
    await page.locator("form.somebody button").click()
    await expect(page.get_by_role("heading", name="Queue")).to_be_visible()
    return page


async def test_what_lies_parked_is_listed_shown_and_tried_again_over_http(amends: Amends) -> None:
    key = await unknown_kind(amends)
    item = await parked_of(amends.http, "restitution", key)
    assert (item["reason"], item["topic"], item["service"]) == ("unknown-type", CASES, "restitution")
    first = (await amends.http.get("/v1/parked/restitution", params={"limit": 1})).json()
    assert len(first["items"]) == 1
    shown = await amends.get(f"/v1/parked/restitution/{item['id']}")
    assert json.loads(shown["record"]["text"])["version"] == 1
    assert {header["name"]: header["text"] for header in shown["record"]["headers"]}["ce_type"] == "amends.case.celebrated"
    answer = await amends.http.post(f"/v1/parked/restitution/{item['id']}/redrive")
    assert (answer.status_code, answer.json()["redriven"]) == (200, 1)

    async def tried() -> bool:
        now = await parked_of(amends.http, "restitution", key)
        return now["tries"] == 1 and now["retry_at"] is None

    await eventually(tried)
    for path in (f"/v1/parked/restitution/{new_id()}", "/v1/parked/nobody"):
        assert (await amends.http.get(path)).status_code == 404
    assert (await amends.http.get("/v1/parked/restitution", params={"cursor": "x"})).status_code == 400
    for staff in ("lee", "raj"):
        assert (await amends.people[staff].get("/v1/parked/restitution")).status_code == 403


async def test_a_patients_words_are_withheld_from_a_key_that_may_not_read_cases(amends: Amends) -> None:
    key = await produced(amends, INGRESS, json.dumps({"text": WORDS}).encode(), ce_id="i-1")
    item = await parked_of(amends.http, "intake", key)
    made = await amends.http.post("/v1/keys", json={"name": "watcher", "scopes": ["parked:write"]})
    async with client(amends.url, made.json()["key"]) as watcher:
        await eventually(lambda: lists(watcher))
        withheld = await watcher.get(f"/v1/parked/intake/{item['id']}")
    assert WORDS not in withheld.text and withheld.json()["withheld"]
    assert WORDS in (await amends.http.get(f"/v1/parked/intake/{item['id']}")).text


async def test_44_an_integrations_header_with_a_name_that_is_no_text_is_parked_between_its_healthy_neighbours(amends: Amends) -> None:
    now = await amends.now()
    source, odd = f"pos/{new_id().hex[-6:]}", (b"\xffname", b"\xff")

    def raw(name: str, *more: tuple[bytes, bytes]) -> Raw:
        sent = event("complaint.submitted", now, name=name, source=source, location_id=ELM, channel="web", text="They slip.", order_id=name)
        headers = [(f"ce_{part}".encode(), str(sent[part]).encode()) for part in ("specversion", "id", "source", "type", "time")]
        return name.encode(), json.dumps(sent["data"]).encode(), [*headers, (b"content-type", b"application/json"), *more]

    key = f"odd-{source}"
    await send_raw(broker_of(amends), INGRESS, [raw(f"first-{source}"), raw(key, odd), raw(f"last-{source}")])
    item = await parked_of(amends.http, "intake", key)
    assert (item["reason"], item["detail"]) == ("invalid-event", "The name of a header is not UTF-8.")
    shown = await amends.get(f"/v1/parked/intake/{item['id']}")
    assert {"name": "\\xffname", "value": "/w==", "text": None} in shown["record"]["headers"]
    for name in ("first", "last"):
        await eventually(partial(accepted, amends, source, f"{name}-{source}"))


async def accepted(amends: Amends, source: str, name: str) -> bool:
    found = await amends.http.get("/v1/events", params={"source": source, "id": name})
    assert (found.status_code, found.json().get("status")) == (200, "accepted"), found.text
    return True


async def lists(http: httpx.AsyncClient) -> bool:
    assert (await http.get("/v1/parked/intake")).status_code == 200
    return True


async def test_the_administrator_tries_again_on_the_page_and_nobody_else_finds_it(amends: Amends, context: BrowserContext) -> None:
    key = await unknown_kind(amends)
    await parked_of(amends.http, "notification", key)
    page = await signed_in(context, "ada")
    await page.get_by_role("link", name="Parked").click()
    row = page.locator("section[aria-labelledby=at-notification] tr", has_text=key)
    await expect(row).to_contain_text("A kind nobody knows here")
    await pictured(page, "parked")
    # By keyboard alone: the button of the row takes the press.
    await row.get_by_role("button").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".flash.good")).to_contain_text("tried again")
    await expect(row).to_contain_text("tried again 1 time", timeout=15_000)
    await row.get_by_role("link").click()
    await expect(page.locator("pre")).to_contain_text('"version": 1')
    await pictured(page, "parked-record")
    lee = await signed_in(await amends_window(context), "lee")
    assert await lee.get_by_role("link", name="Parked").count() == 0
    answer = await lee.goto(HOME)
    assert answer is not None and answer.status == 403
    await expect(lee.locator(".empty")).to_contain_text("Your role may not see this")


async def amends_window(context: BrowserContext) -> BrowserContext:
    """Another browser at the same place."""
    assert context.browser is not None
    return await context.browser.new_context(base_url=context.pages[0].url.split("/operations")[0])
