"""The demo's day: one seed tells the same stories, and intake takes every event of them."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from services.intake.domain import read_structured
from shared.embedded.day import journeys
from shared.embedded.day.people import Member, Team

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 17, 15, 0, tzinfo=UTC)
PHONE = "+12125550100"


def journey_of(seed: int) -> list[journeys.Step]:
    return journeys.any_journey(Random(seed), "order-1", NOW, 9)


def test_one_seed_tells_the_same_stories() -> None:
    assert [journey_of(seed) for seed in range(50)] == [journey_of(seed) for seed in range(50)]
    assert len({repr(journey_of(seed)) for seed in range(50)}) > 10


def test_intake_takes_every_event_of_every_journey() -> None:
    seen: set[str] = set()
    for seed in range(400):
        person = journeys.patient("store-12", PHONE, seed % journeys.PATIENTS_PER_STORE, 7)
        for number, step in enumerate(journey_of(seed)):
            sent_at = NOW + timedelta(minutes=step.after_minutes)
            arrival = read_structured(journeys.as_event(step, f"e-{seed}-{number}", "store-12", person, sent_at))
            assert arrival.problem is None, arrival.problem
            seen.add(step.type_name)
    assert {"pos.visit.checked_in", "pos.order.remade", "complaint.submitted", "pos.refund.created", "pos.dispute.created"} <= seen


def test_patients_have_numbers_of_fiction_that_nobody_of_the_staff_has() -> None:
    numbers = {journeys.patient("store-12", PHONE, n, 7).phone for n in range(journeys.PATIENTS_PER_STORE)}
    assert len(numbers) == journeys.PATIENTS_PER_STORE
    assert min(numbers) == "+12125550101"
    assert max(numbers) < "+12125550140"


def test_whoever_answers_for_a_store_is_found_by_role() -> None:
    ana = Member("ana", "store_manager", ("store-12",), (), None)
    raj = Member("raj", "regional_manager", (), ("north",), None)
    com = Member("com", "compliance", (), (), None)
    team = Team((ana, raj, com), {"store-12": "north", "store-13": "south"})
    assert [team.of(role, "store-12") for role in ("store_manager", "regional_manager", "compliance")] == [[ana], [raj], [com]]
    assert [team.of(role, "store-13") for role in ("store_manager", "regional_manager", "compliance")] == [[], [], [com]]
