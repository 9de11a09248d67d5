"""The first storm: everything is killed again and again while a group works, and afterwards every promise holds (`make chaos`)."""

from datetime import timedelta

import pytest

from tests.chaos.plan import Size
from tests.chaos.report import write
from tests.chaos.storm import Weather, storm
from tests.support.servers import throwaway_folder

pytestmark = pytest.mark.chaos

FULL = Size(events=20_000, kills=20, broker_kills=3, wipes=1, seconds=200, stores=24, patients=40)
SMALLER = Size(events=2_000, kills=6, broker_kills=1, wipes=0, seconds=30, stores=8, patients=30)


@pytest.mark.timeout(1800)
async def test_r1_r2_r3_nothing_is_lost_doubled_or_out_of_order_after_a_storm(request: pytest.FixtureRequest) -> None:
    """Goal: I1 to I5. Method: see `storm`; what was struck when is in the report."""
    weather = Weather(slack=timedelta(seconds=request.config.getoption("slack")))
    with throwaway_folder() as folder:
        outcome = await storm(request.config.getoption("seed"), FULL, folder, weather, print)
    write(outcome, request.config.getoption("report"))
    assert outcome.findings == []


@pytest.mark.timeout(900)
async def test_r21_the_same_storm_without_the_key_of_the_inbox_is_caught(request: pytest.FixtureRequest) -> None:
    """Goal: the checks see what the inbox is for. Method: a smaller storm on a database whose inboxes take everything as new."""
    weather = Weather(doubts=False, inbox_key=False, slack=timedelta(seconds=30))
    with throwaway_folder() as folder:
        outcome = await storm(request.config.getoption("seed"), SMALLER, folder, weather, print)
    write(outcome, None)
    twice = [found for found in outcome.findings if found.check == "each_taken_once" and found.what.endswith(" 2 times")]
    assert twice, "what was delivered twice was taken twice, and nobody saw it"
