"""The plan of a storm: one seed, one storm; and intake would take every event of it."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.directory import domain as directory
from services.intake.domain import read_structured
from shared.contracts.flow import ALL_SERVICES
from tests.chaos.plan import Size, plan, strikes

pytestmark = pytest.mark.unit

BEGAN = datetime(2026, 11, 17, 15, 0, tzinfo=UTC)
SMALL = Size(events=600, kills=6, broker_kills=1, wipes=1, seconds=60, stores=4, patients=20)
LARGE = Size(events=4_000, kills=20, broker_kills=3, wipes=1, seconds=60, stores=8, patients=40)


def test_one_seed_is_one_storm() -> None:
    first, again = plan(7, SMALL, BEGAN), plan(7, SMALL, BEGAN)
    assert (first, first.digest) == (again, again.digest)
    assert len({plan(seed, SMALL, BEGAN).digest for seed in range(10)}) == 10


def test_what_is_struck_depends_on_the_seed_alone() -> None:
    assert plan(7, SMALL, BEGAN).strikes == plan(7, SMALL, BEGAN + timedelta(days=40, seconds=7)).strikes == strikes(7, SMALL)
    assert len({strikes(seed, SMALL) for seed in range(10)}) == 10


@pytest.mark.parametrize("seed", range(20))
def test_every_service_is_struck_about_as_often_and_nothing_at_the_very_end(seed: int) -> None:
    planned = strikes(seed, LARGE)
    times = Counter(strike.target for strike in planned)
    assert (times["broker"], times["log"]) == (3, 1)
    assert {times[service] for service in ALL_SERVICES} == {3, 4}
    assert [strike.after for strike in planned] == sorted(strike.after for strike in planned)
    assert 0 < planned[0].after < planned[-1].after < 0.95 * LARGE.events


def test_it_has_duplicates_disorder_and_every_kind_of_trouble() -> None:
    events = [event for batch in plan(7, LARGE, BEGAN).batches for event in batch]
    assert len(events) == LARGE.events
    sent = Counter((event["source"], event["id"]) for event in events)
    assert 0.04 < sum(times - 1 for times in sent.values()) / len(events) < 0.06
    steps: dict[str, list[int]] = defaultdict(list)
    for event in events:
        _, journey, step = event["id"].split("-")
        steps[journey].append(int(step))
    assert sum(some != sorted(some) for some in steps.values()) > len(steps) / 20
    kinds = {event["type"].removeprefix("amends.") for event in events}
    assert {"pos.visit.checked_in", "pos.order.remade", "complaint.submitted", "pos.refund.created", "pos.dispute.created"} <= kinds


@pytest.mark.parametrize("hour", range(0, 24, 3))
def test_at_any_hour_directory_and_intake_take_all_of_it(hour: int) -> None:
    """A storm that is refused at night would be found out by its first user on the night shift."""
    made = plan(hour, SMALL, BEGAN.replace(hour=hour, minute=59))
    document = directory.read(dict(made.group))
    for batch in made.batches:
        for event in batch:
            assert read_structured(event).problem is None
            assert datetime.fromisoformat(event["time"]) <= made.began_at
    wall = {made.began_at.astimezone(ZoneInfo(location.timezone)) for location in document.locations}
    assert all(8 <= at.hour < 17 for at in wall), wall


def test_no_two_people_share_a_number() -> None:
    made = plan(7, LARGE, BEGAN)
    numbers = [*made.phones.values(), *(row["phone"] for part in ("locations", "staff") for row in made.group[part])]
    assert len(numbers) == len(set(numbers))


def test_stores_close_while_it_goes_on() -> None:
    made = plan(7, LARGE, BEGAN)
    closing = [hours[0][1] for place in made.group["locations"] for hours in place.get("overrides", {}).values()]
    assert len(set(closing)) > 1
    zone = ZoneInfo(made.group["locations"][0]["timezone"])
    for text in closing:
        at = datetime.combine(BEGAN.astimezone(zone).date(), time.fromisoformat(text), zone)
        assert timedelta(0) < at - BEGAN < timedelta(seconds=LARGE.seconds + 150)
