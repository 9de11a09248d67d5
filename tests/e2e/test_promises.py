"""What a patient is promised: told by text, moved once with an apology, kept sooner than promised; and owned up to where it is late."""

import re
from datetime import timedelta

import pytest

from tests.support.builders import ANA, BAY, LEE, PHONES, Patient, complaint
from tests.support.stack import Amends, client

pytestmark = pytest.mark.e2e

LINK = re.compile(r"(/p/[\w-]+)")


async def test_a_remake_is_promised_moved_once_kept_early_and_the_patient_hears_of_each(amends: Amends) -> None:
    now = await amends.open_hours(hours=3)
    petra = Patient("Petra Example")
    await amends.send(complaint(petra, "It broke again.", now - timedelta(days=1)))
    case = await amends.case_of(petra.ref)
    path, before = f"/v1/cases/{case['id']}", len(await amends.texts(petra.phone))

    estimate_at = now + timedelta(days=3)
    made = await amends.do(f"{path}/promises", {"what": "remake", "estimate_at": estimate_at.isoformat()}, by=LEE)
    told = made["promises"][-1]
    assert (told["what"], told["state"]) == ("remake", "open")
    assert told["promised_by"] > (estimate_at + timedelta(days=1)).isoformat()[:16]
    await amends.do(f"{path}/promises", {"what": "remake", "estimate_at": (estimate_at + timedelta(days=4)).isoformat()}, by=LEE)
    again = await amends.ask(f"{path}/promises", {"what": "remake", "estimate_at": (estimate_at + timedelta(days=9)).isoformat()}, by=ANA)
    assert (again.status_code, again.json()["code"]) == (409, "promise-moved-already")

    await amends.advance(2 * 24 * 60)
    await amends.open_hours(hours=3)
    done = await amends.do(f"{path}/keep-promise", {"what": "remake"}, by=LEE)
    assert [one["state"] for one in done["promises"][1:]] == ["moved", "early"]
    await amends.settle()
    heard = (await amends.texts(petra.phone))[before:]
    said = (": it will be ready by", "we are sorry, it takes longer: ", "sooner than promised: ")
    assert [part in text for part, text in zip(said, heard, strict=True)] == [True] * 3, heard
    lines = [item["text"] for item in await amends.items(f"{path}/timeline")]
    assert any("done, sooner than promised" in line for line in lines)


async def test_a_promise_that_lapses_warns_its_owner_first_and_the_page_owns_up_to_it(amends: Amends) -> None:
    now = await amends.open_hours(hours=4)
    paul = Patient("Paul Example")
    await amends.send(complaint(paul, "Nobody called.", now - timedelta(days=1), store=BAY))
    case = await amends.case_of(paul.ref)
    owner = case["owner"]["staff_id"]
    await amends.do(f"/v1/cases/{case['id']}/acknowledge", by=owner)
    asked = {"what": "callback", "estimate_at": (now + timedelta(minutes=30)).isoformat()}
    by = (await amends.do(f"/v1/cases/{case['id']}/promises", asked, by=owner))["promises"][-1]["promised_by"]
    await amends.advance(4 * 60)
    late = (await amends.case_of(paul.ref))["promises"][-1]
    assert (late["what"], late["promised_by"], late["state"]) == ("callback", by, "late")
    pages = [text for text in await amends.texts(PHONES[owner]) if case["reference"] in text and "a call was promised" in text]
    assert ["is late" in text for text in pages] == [False, True]
    link = next(found for text in await amends.texts(paul.phone) if (found := LINK.search(text)))
    async with client(amends.url) as visitor:
        assert "We were to call you today" in (await visitor.get(link[1])).text
    kept = await amends.items("/v1/promises/kept", location_id=BAY)
    assert [one["late"] for one in kept] == [1]
