"""Timers that are not as they ought to be, as the administrator meets them: they stand on a page with what to do."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from shared.kernel.clock import machine_now
from shared.kernel.ids import new_id
from shared.timers import Auditor
from tests.support.browser import browser
from tests.support.builders import ANA, Patient, complaint
from tests.support.pictures import pictured
from tests.support.stack import Amends, client

pytestmark = pytest.mark.e2e

HOME = "/operations/timers"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with browser() as started:
        yield started


async def audited(amends: Amends, service: str) -> list[dict[str, Any]]:
    """What the service's auditor finds when it looks now."""
    assert amends.stack is not None and amends.stack.process is not None
    running = amends.stack.process.running[service]
    await Auditor(running.engine, running.service.timer_check).look()
    return await amends.items(f"/v1/timers/{service}")


async def pool_of(amends: Amends, service: str) -> Any:
    assert amends.stack is not None and amends.stack.process is not None
    return amends.stack.process.running[service].engine.pool


async def ended(amends: Amends, case_id: str) -> None:
    """The case is worked through, so that it pages nobody in another story."""
    await amends.do(f"/v1/cases/{case_id}/acknowledge", by=ANA)
    await amends.do(f"/v1/cases/{case_id}/story", {"verbatim": "It hurts.", "read_back_confirmed": True}, by=ANA)
    await amends.do(f"/v1/cases/{case_id}/resolve", {"root_cause": "frame_defect", "action": "adjustment"}, by=ANA)


async def test_17_after_a_patients_day_no_service_finds_anything_and_says_when_it_looked(amends: Amends) -> None:
    patient = Patient("Theo Example")
    await amends.send(complaint(patient, "The frame is crooked.", await amends.open_hours(hours=3)))
    case = await amends.case_of(patient.ref)
    await amends.advance(minutes=50)
    for service in ("intake", "escalation", "restitution", "notification", "directory", "console"):
        assert await audited(amends, service) == [], service
        answer = await amends.get(f"/v1/timers/{service}")
        assert answer["checked_at"] is not None and answer["went_round_at"] is not None
    await ended(amends, case["id"])


async def test_a_timer_deleted_by_hand_stands_on_the_page_with_its_case_and_what_fired_early_goes_with_a_reason(
    amends: Amends, chromium: Browser
) -> None:
    patient = Patient("Tess Example")
    await amends.send(complaint(patient, "The left lens is loose.", await amends.open_hours(hours=3)))
    case = await amends.case_of(patient.ref)
    escalation = await pool_of(amends, "escalation")
    row = await escalation.fetchrow("delete from timers where subject = $1 and name = 'resolve' returning *", case["id"])
    early = str(new_id())
    await (await pool_of(amends, "notification")).execute(
        "insert into timers_done (kind, subject, name, generation, outcome, reason, due_at, fired_at)"
        " values ('notice', $1, 'send', 1, 'fired', 'due', $2, $3)",
        early, machine_now() + timedelta(hours=1), machine_now(),
    )  # fmt: skip
    (missing,) = await audited(amends, "escalation")
    assert (missing["fault"], missing["case_id"], missing["is_for_good"]) == ("missing", case["id"], False)
    (fired,) = [item for item in await audited(amends, "notification") if item["subject"] == early]

    context = await chromium.new_context(base_url=amends.url)
    page = await context.new_page()
    await page.goto("/")
    await page.locator("form.somebody select").select_option("ada")
    await page.locator("form.somebody button").click()
    await page.get_by_role("link", name="Timers").click()
    await expect(page.locator(f"#finding-{missing['id']}")).to_contain_text("Missing")
    await expect(page.locator(f"#finding-{missing['id']} a")).to_have_attribute("href", f"/cases/{case['id']}")
    await pictured(page, "timers")
    # By keyboard alone: the reason is typed, Enter takes note.
    reason = page.locator(f"#finding-{fired['id']}").get_by_label("Why it is all right")
    await reason.focus()
    await page.keyboard.type("The clock of the machine was set back.")
    await page.keyboard.press("Enter")
    await expect(page.locator(".flash.good")).to_contain_text("Noted")
    await expect(page.locator(f"#finding-{fired['id']}")).to_have_count(0)
    noted = await (await pool_of(amends, "notification")).fetchrow("select actor, data from audit where action = 'note'")
    assert noted is not None and noted["actor"] == "staff:ada" and "set back" in str(noted["data"])

    await escalation.execute(
        "insert into timers (kind, subject, name, generation, due_at, data) values ($1, $2, $3, $4, $5, $6)",
        *(row[name] for name in ("kind", "subject", "name", "generation", "due_at", "data")),
    )
    assert [item for item in await audited(amends, "escalation") if item["id"] == missing["id"]] == []
    await expect(page.locator(".empty")).to_contain_text("Nothing is overdue, missing, early or doubled in six services", timeout=15_000)
    await pictured(page, "timers-none")
    await context.close()
    await ended(amends, case["id"])


async def test_findings_are_noted_by_administrators_with_a_reason_and_only_what_cannot_be_mended(amends: Amends) -> None:
    for staff in ("lee", "raj"):
        assert (await amends.people[staff].get("/v1/timers/intake")).status_code == 403
        assert (await amends.people[staff].post(f"/v1/timers/intake/{new_id()}/noted", json={"reason": "x"})).status_code == 403
    async with client(amends.url) as nobody:
        assert (await nobody.get("/v1/timers/intake")).status_code == 401
    unknown = await amends.http.post(f"/v1/timers/intake/{new_id()}/noted", json={"reason": "x"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown-finding")
    for body in ({}, {"reason": "  "}, {"reason": "x" * 501}, {"reason": "x", "more": 1}):
        assert (await amends.http.post(f"/v1/timers/intake/{new_id()}/noted", json=body)).status_code == 400
