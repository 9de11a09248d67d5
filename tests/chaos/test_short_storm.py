"""A storm that fits beside the other tests: every service and the broker are killed once."""

from datetime import timedelta

import pytest

from tests.chaos.plan import Size
from tests.chaos.report import write
from tests.chaos.storm import Weather, storm
from tests.support.servers import throwaway_folder

pytestmark = pytest.mark.chaos

SHORT = Size(events=1_000, kills=6, broker_kills=1, wipes=0, seconds=12, stores=8, patients=20)


@pytest.mark.timeout(280)
async def test_nothing_is_lost_or_doubled_when_everything_is_killed_once(request: pytest.FixtureRequest) -> None:
    """The machine may be busy with other tests, so a late timer is none here; that is the long storm's to judge."""
    weather = Weather(minute=0.1, slack=timedelta(seconds=60), doubts=False)
    with throwaway_folder() as folder:
        outcome = await storm(request.config.getoption("seed"), SHORT, folder, weather, print)
    write(outcome, None)
    assert outcome.findings == []
