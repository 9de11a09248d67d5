"""Nobody acknowledges, and it climbs: owner, manager, region, again and again, each step once; an answer by text stops it."""

from datetime import timedelta

import pytest

from tests.support.builders import BAY, BEN, EVE, MIA, OAK, PHONES, RAJ, SAM, TOM, Patient, three_trips
from tests.support.stack import Amends

pytestmark = pytest.mark.e2e

# Severity 2 is to be acknowledged within 15 open minutes; the region follows 15 later, and is paged every 30.
ACKNOWLEDGE, STEP, REPEAT = 15, 15, 30


async def pages(amends: Amends, reference: str, people: dict[str, str]) -> dict[str, int]:
    """How many pages about a case each of `people` (role in the story → staff id) got; a warning is no page."""
    found = {}
    for role, staff_id in people.items():
        texts = await amends.texts(PHONES[staff_id])
        found[role] = sum(reference in text and "Reply ACK" in text for text in texts)
    return found


async def test_a_case_that_nobody_takes_climbs_step_by_step(amends: Amends) -> None:
    people = {"owner": SAM, "manager": BEN, "region": EVE}
    opened = await amends.open_hours(hours=3)
    carla = Patient("Carla Example")
    await amends.send(*three_trips(carla, "order-carla", now=opened, store=BAY))
    case = await amends.case_of(carla.ref)
    reference = case["reference"]
    assert await pages(amends, reference, people) == {"owner": 1, "manager": 0, "region": 0}

    await amends.advance(ACKNOWLEDGE - 1)
    assert (await amends.case_of(carla.ref))["level"] == 0
    assert await pages(amends, reference, people) == {"owner": 1, "manager": 0, "region": 0}

    await amends.advance(1)
    case = await amends.case_of(carla.ref)
    assert (case["level"], case["status"], case["owner"]) == (1, "open", {"staff_id": SAM})
    assert [t["state"] for t in case["targets"] if t["milestone"] == "acknowledge"] == ["breached"]
    assert await pages(amends, reference, people) == {"owner": 1, "manager": 1, "region": 0}

    await amends.advance(STEP)
    assert (await amends.case_of(carla.ref))["level"] == 2
    assert await pages(amends, reference, people) == {"owner": 1, "manager": 1, "region": 1}

    # One jump over two repeats fires both, once each.
    await amends.advance(2 * REPEAT)
    assert await pages(amends, reference, people) == {"owner": 1, "manager": 1, "region": 3}

    await amends.answer(PHONES[EVE], "ACK")
    case = await amends.case_of(carla.ref)
    assert (case["status"], case["level"], case["acknowledged_by"]) == ("acknowledged", 2, EVE)
    await amends.advance(2 * REPEAT)
    assert await pages(amends, reference, people) == {"owner": 1, "manager": 1, "region": 3}


async def test_each_deadline_is_kept_to_the_minute(amends: Amends) -> None:
    """What follows counts from the due times, however far one jump goes."""
    opened = await amends.open_hours(hours=3)
    carlo = Patient("Carlo Example")
    await amends.send(*three_trips(carlo, "order-carlo", now=opened, store=BAY))
    case = await amends.case_of(carlo.ref)
    await amends.advance(ACKNOWLEDGE + STEP + REPEAT + 1)
    paged = [t for t in await amends.thread(PHONES[EVE]) if case["reference"] in t["body"]]
    minutes = [ACKNOWLEDGE + STEP, ACKNOWLEDGE + STEP + REPEAT]
    assert [t["sent_at"][:16] for t in paged] == [(opened + timedelta(minutes=m)).isoformat()[:16] for m in minutes]
    await amends.do(f"/v1/cases/{case['id']}/acknowledge", by=SAM)


async def test_an_acknowledgement_by_text_stops_the_ladder_before_it_begins(amends: Amends) -> None:
    people = {"owner": MIA, "manager": TOM, "region": RAJ}
    opened = await amends.open_hours(hours=3)
    chloe = Patient("Chloe Example")
    await amends.send(*three_trips(chloe, "order-chloe", now=opened, store=OAK))
    case = await amends.case_of(chloe.ref)
    await amends.answer(PHONES[MIA], "ack")
    case = await amends.case_of(chloe.ref)
    assert (case["status"], case["acknowledged_by"], case["level"]) == ("acknowledged", MIA, 0)
    assert [t["state"] for t in case["targets"] if t["milestone"] == "acknowledge"] == ["met"]
    await amends.advance(ACKNOWLEDGE + STEP + REPEAT)
    assert await pages(amends, case["reference"], people) == {"owner": 1, "manager": 0, "region": 0}


async def test_a_night_lies_between_two_steps_where_the_store_is_closed(amends: Amends) -> None:
    """Opened ten minutes before closing, the 15 open minutes end five minutes into the next morning."""
    closing = await amends.minutes_before_closing(10)
    cleo = Patient("Cleo Example")
    await amends.send(*three_trips(cleo, "order-cleo", now=closing, store=OAK))
    await amends.advance(60)
    case = await amends.case_of(cleo.ref)
    assert case["level"] == 0
    due = next(t["due_at"] for t in case["targets"] if t["milestone"] == "acknowledge")
    opening = await amends.open_hours(hours=8)
    assert due[:16] == (opening + timedelta(minutes=5)).isoformat()[:16]
    await amends.advance(5)
    assert (await amends.case_of(cleo.ref))["level"] == 1
    await amends.do(f"/v1/cases/{case['id']}/acknowledge", by=TOM)
