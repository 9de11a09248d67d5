"""Killed in the middle, nothing is lost and nothing happens twice; stopped and started, everything is as it was."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.support.builders import ELM, Event, Patient, event, three_trips
from tests.support.eventually import eventually
from tests.support.process import outside, process
from tests.support.servers import throwaway_folder
from tests.support.stack import BATCH, Amends

pytestmark = pytest.mark.e2e

BATCHES, EACH, KILLS = 24, 5, 2


@pytest.mark.timeout(280)
async def test_kill_9_in_the_middle_loses_nothing_and_doubles_nothing() -> None:
    """Goal: each acknowledged complaint ends as one incident, one case, one text. Method: batches stream in while the process is killed
    again and again; the sender repeats what was not acknowledged, as integrations do.

    A text that was on its way to the provider at the kill may have left or not: it is looked up, never sent again, and shown to a person
    where the look-ups do not tell. So such a patient has one text or none, and a notice that says so.
    """
    people = [Patient(f"Kim{n} Example") for n in range(BATCHES * EACH)]
    batches: list[list[Event]] = []
    with throwaway_folder() as folder:
        async with process(folder / "data") as (running, url):
            async with outside(url, running.key) as amends:
                now = await amends.now()
            batches = [[_complaint(p, now) for p in people[n : n + EACH]] for n in range(0, len(people), EACH)]
            waiting = list(batches)
            for round_ in range(KILLS + 1):
                async with outside(url, running.key) as amends:
                    until = len(waiting) - len(batches) // (KILLS + 1) if round_ < KILLS else 0
                    sending = asyncio.create_task(_stream(amends, waiting))
                    if round_ == KILLS:
                        await sending
                        break
                    await eventually(lambda until=until: len(waiting) <= until, within_seconds=60, every_seconds=0.01)  # type: ignore[misc]
                    await running.kill()
                    sending.cancel()
                    await asyncio.gather(sending, return_exceptions=True)
                url = await running.start()
            async with outside(url, running.key) as amends:
                again = [await amends.post_events(*batch) for batch in batches]
                assert {result["status"] for answer in again for result in answer["results"]} == {"duplicate"}
                cases = await eventually(lambda: _a_case_each(amends, people), within_seconds=60, every_seconds=0.5)
                await amends.settle()
                await _check_texts(amends, people, cases)
            assert await running.command("parked", "list") == "Nothing is parked."
            assert await running.stop() == 0


async def _stream(amends: Amends, waiting: list[list[Event]]) -> None:
    """Send batch after batch; one that was not answered stays first in line."""
    while waiting:
        try:
            response = await amends.http.post("/v1/events", json=waiting[0], headers={"content-type": BATCH})
        except httpx.HTTPError:
            await asyncio.sleep(0.05)
            continue
        if response.status_code == 202:
            assert response.json()["rejected"] == 0, response.text
            waiting.pop(0)


def _complaint(patient: Patient, now: Any) -> Event:
    # The patient's own message of this minute is answered day and night, so the test may run at any hour.
    return event(
        "complaint.submitted", now, name=f"kill-{patient.ref}", location_id=ELM, patient=patient.data, channel="web", text="It broke."
    )  # fmt: skip


async def _texts(amends: Amends) -> Counter[str]:
    """Receipts by number."""
    items = await amends.items("/dev/phone/messages")
    return Counter(text["to"] for text in items if "we have your case" in text["body"])


async def _a_case_each(amends: Amends, people: list[Patient]) -> dict[str, str]:
    """Each patient's case; exactly one, of exactly one incident. Fails while there is none yet."""
    found = {}
    for person in people:
        cases = await amends.cases_of(person.ref)
        assert len(cases) == 1, f"{len(cases)} cases of {person.ref}"
        case = cases[0]
        assert (case["incidents"], case["status"]) == (1, "open")
        told = await amends.get("/v1/events", source="pos/elm-street", id=f"kill-{person.ref}")
        assert told["status"] == "accepted", told
        found[person.ref] = str(case["id"])
    return found


async def _check_texts(amends: Amends, people: list[Patient], cases: dict[str, str]) -> None:
    """One receipt each; none only where the send was cut off, and then the notice says that it is not known."""
    texts = await _texts(amends)
    twice = [number for number, n in texts.items() if n > 1]
    assert not twice
    untold = [person for person in people if person.phone not in texts]
    for person in untold:
        notices = await amends.items("/v1/notices", case_id=cases[person.ref])
        assert [n["status"] for n in notices if n["template"] == "receipt"] in (["sending"], ["uncertain"]), notices
    assert len(untold) <= KILLS * EACH * 2, "only what was on its way at a kill"


@pytest.mark.timeout(120)
async def test_a_restart_keeps_cases_words_texts_money_and_the_time() -> None:
    with throwaway_folder() as folder:
        async with process(folder / "data") as (running, url):
            async with outside(url, running.key) as amends:
                await amends.http.post("/dev/clock", json={"rate": 0})
                now = await amends.open_hours(hours=3)
                rita = Patient("Rita Example")
                await amends.send(*three_trips(rita, "order-rita", now=now))
                case = await amends.case_of(rita.ref)
                story = {"verbatim": "They slip.", "wished_outcome": "They stay.", "read_back_confirmed": True}
                await amends.do(f"/v1/cases/{case['id']}/story", story)
                before = await _everything(amends, rita)
            assert await running.stop() == 0
            url = await running.start()
            async with outside(url, running.key) as amends:
                assert await _everything(amends, rita) == before
                # Its deadlines are still ahead, and fire.
                await amends.advance(15)
                assert (await amends.case_of(rita.ref))["level"] == 1
                assert await amends.now() - now >= timedelta(minutes=15)


async def _everything(amends: Amends, person: Patient) -> dict[str, Any]:
    case = await amends.case_of(person.ref)
    assert case["story"]["verbatim"] == "They slip."
    return {
        "now": await amends.now(),
        "case": case,
        "texts": await amends.thread(person.phone),
        "restitutions": await amends.items("/v1/restitutions", case_id=case["id"]),
        "ledger": await amends.items("/v1/ledger", case_id=case["id"]),
    }
