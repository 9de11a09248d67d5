"""Nobody is missed and nobody is nagged: storms, shifts, stale acknowledgements, and answers by text that name their case."""

import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
import pytest_asyncio

from tests.support.builders import ANA, BAY, BEN, ELM, EVE, LEE, MIA, OAK, PHONES, SAM, TOM, Patient, three_trips
from tests.support.stack import ZONE, Amends

pytestmark = pytest.mark.e2e


async def open_cases(amends: Amends, names: list[str], store: str, now: datetime) -> list[str]:
    """A case for each, from one batch; their references."""
    people = [Patient(f"{name} Example") for name in names]
    await amends.send(*(event for person in people for event in three_trips(person, f"order-{person.ref}", now=now, store=store)))
    return [(await amends.case_of(person.ref))["reference"] for person in people]


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def nothing_left(amends: Amends) -> AsyncIterator[None]:
    """Each story begins and ends without a live case: what is acknowledged and left goes stale, and wakes people in another story."""
    await end_all(amends)
    yield
    await end_all(amends)


async def end_all(amends: Amends) -> None:
    """Every live case is resolved, as if its patient had been heard."""
    for status in ("open", "acknowledged"):
        for case in await amends.items("/v1/cases", status=status, limit=200):
            path = f"/v1/cases/{case['id']}"
            for name, body in (
                ("story", {"verbatim": "It is well now.", "wished_outcome": "Nothing.", "read_back_confirmed": True}),
                ("resolve", {"root_cause": "other", "action": "other"}),
            ):
                answer = await amends.ask(f"{path}/{name}", body)
                assert answer.status_code == 200, answer.text
    await amends.settle()


async def test_18_a_store_wide_breach_pages_the_manager_once_with_a_list(amends: Amends) -> None:
    opened = await amends.open_hours(hours=3)
    references = await open_cases(amends, ["Stan", "Stella", "Steve", "Stina", "Storm"], OAK, opened)
    before = len(await amends.texts(PHONES[TOM]))
    await amends.advance(15)
    (page,) = (await amends.texts(PHONES[TOM]))[before:]
    listed = re.findall(r"AM-\w{4}-\w{2}", page)
    assert "5 cases need you" in page and set(listed) <= set(references) and page.rstrip(".").split(" and ")[-1].startswith("1 more")
    await amends.advance(5)
    assert len(await amends.texts(PHONES[TOM])) == before + 1


async def test_40_ack_with_several_open_lists_them_and_a_number_or_a_reference_picks(amends: Amends) -> None:
    opened = await amends.open_hours(hours=3)
    first, second, third = await open_cases(amends, ["Nina", "Nora", "Nuri"], OAK, opened)
    await amends.answer(PHONES[MIA], "ACK")
    question = (await amends.texts(PHONES[MIA]))[-1]
    assert "which one?" in question and all(f" {reference}" in question for reference in (first, second, third))
    await amends.answer(PHONES[MIA], f"ack {second}")
    assert (await amends.get(f"/v1/cases/{second}"))["acknowledged_by"] == MIA
    await amends.answer(PHONES[MIA], "ACK")
    question = (await amends.texts(PHONES[MIA]))[-1]
    number = re.search(rf"(\d) {third}", question)
    assert number is not None and second not in question
    await amends.answer(PHONES[MIA], f"ACK {number[1]}")
    assert (await amends.get(f"/v1/cases/{third}"))["acknowledged_by"] == MIA
    await amends.answer(PHONES[MIA], "yes")
    assert (await amends.get(f"/v1/cases/{first}"))["acknowledged_by"] == MIA, "the only one left needs no name"


@pytest_asyncio.fixture(loop_scope="session")
async def shifts(amends: Amends) -> AsyncIterator[datetime]:
    """Elm Street on the next day with time enough: Lee until one, Ana from one. Gives nine o'clock of that day, which it is."""
    now = await amends.open_hours(hours=9)
    day = f"{now.astimezone(ZONE):%Y-%m-%d}"
    roster = [
        {"staff_id": LEE, "from": f"{day}T09:00", "to": f"{day}T13:00"},
        {"staff_id": ANA, "from": f"{day}T13:00", "to": f"{day}T18:00"},
    ]
    await put_roster(amends, roster)
    yield now
    await put_roster(amends, [])


async def put_roster(amends: Amends, roster: list[dict[str, str]]) -> None:
    answer = await amends.http.put(f"/v1/rosters/{ELM}", json={"shifts": roster})
    assert answer.status_code == 200, answer.text
    await amends.settle()


async def test_16_a_stale_acknowledgement_wakes_its_giver_and_whoever_is_on_duty_by_then(amends: Amends, shifts: datetime) -> None:
    """Lee takes it by text at half past nine and does nothing; at half past one the shift is Ana's."""
    await amends.advance(30)
    (reference,) = await open_cases(amends, ["Ada"], ELM, shifts + timedelta(minutes=30))
    await amends.answer(PHONES[LEE], "ACK")
    assert (await amends.get(f"/v1/cases/{reference}"))["status"] == "acknowledged"

    def pages(texts: list[str]) -> int:
        return sum(reference in text and "Reply ACK" in text for text in texts)

    await amends.advance(4 * 60 - 1)
    assert [pages(await amends.texts(PHONES[who])) for who in (LEE, ANA)] == [1, 0], "an acknowledged case is handed to nobody"
    await amends.advance(1)
    case = await amends.get(f"/v1/cases/{reference}")
    assert (case["status"], case["level"], case["owner"]) == ("open", 0, {"staff_id": LEE})
    assert [pages(await amends.texts(PHONES[who])) for who in (LEE, ANA)] == [2, 1]
    await amends.answer(PHONES[ANA], "ACK")
    assert (await amends.get(f"/v1/cases/{reference}"))["acknowledged_by"] == ANA


async def test_a_case_nobody_took_is_handed_to_the_next_shift(amends: Amends, shifts: datetime) -> None:
    """Opened five minutes before the shift ends: the page is Ana's at one, not Lee's at home."""
    opened = await amends.advance(4 * 60 - 5)
    (reference,) = await open_cases(amends, ["Hana"], ELM, opened)
    assert any(reference in text for text in await amends.texts(PHONES[LEE]))
    assert not any(reference in text for text in await amends.texts(PHONES[ANA]))
    await amends.advance(5)
    page = next(text for text in await amends.texts(PHONES[ANA]) if reference in text)
    assert "Reply ACK to take it." in page
    timeline = await amends.items(f"/v1/cases/{reference}/timeline")
    assert any("The shift of Lee Example is over and nobody has taken the case on." in line["text"] for line in timeline)
    assert (await amends.get(f"/v1/cases/{reference}"))["owner"] == {"staff_id": LEE}
    await amends.answer(PHONES[ANA], f"ACK {reference}")
    assert (await amends.get(f"/v1/cases/{reference}"))["acknowledged_by"] == ANA


async def test_16_an_acknowledgement_at_the_moment_of_a_step_wins(amends: Amends) -> None:
    """The text comes in the second before the region's step: the region sleeps on."""
    opened = await amends.open_hours(hours=3)
    (reference,) = await open_cases(amends, ["Wim"], BAY, opened)
    await amends.advance(15)
    await amends.advance(seconds=15 * 60 - 1)
    await amends.answer(PHONES[BEN], f"ACK {reference}")
    await amends.advance(120)
    assert not any(reference in text for text in await amends.texts(PHONES[EVE]))
    assert (await amends.get(f"/v1/cases/{reference}"))["acknowledged_by"] == BEN
    assert not [text for text in (await amends.texts(PHONES[SAM])) if reference in text and "still waits" in text]
