"""How fast due times are: interleaved rounds against the least that any due time costs, a conversion to the store's zone and back."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median
from time import process_time
from zoneinfo import ZoneInfo

import pytest

from shared.calendars import Calendar, due_at
from tests.bench.figures import note, spread

pytestmark = pytest.mark.bench
ROUNDS, EACH = 7, 20_000
NEW_YORK = ZoneInfo("America/New_York")
WEEK = {day: [("09:00", "18:00")] for day in ("mon", "tue", "wed", "thu", "fri", "sat")}
STARTS = [datetime(2026, 3, 2, tzinfo=UTC) + timedelta(minutes=37 * n) for n in range(EACH)]


def test_a_plain_week(capsys: pytest.CaptureFixture[str]) -> None:
    calendar = Calendar("America/New_York", WEEK)
    found: list[datetime] = []

    def ours() -> None:
        found[:] = [due_at(calendar, start, 4 * 3600) for start in STARTS]

    def bare() -> None:
        for start in STARTS:
            (start.astimezone(NEW_YORK) + timedelta(hours=4)).astimezone(UTC)

    ours()
    rounds = [(_seconds(ours), _seconds(bare)) for _ in range(ROUNDS)]
    with capsys.disabled():
        ratios = [o / b for o, b in rounds]
        note("due times, plain week: CPU x a bare conversion to the zone and back", median(ratios), " x", spread=spread(ratios))
        note("due times, plain week: a second of one core", EACH / median(o for o, _ in rounds), "/s")
    assert len(found) == EACH and all(due > start for due, start in zip(found, STARTS, strict=True))


def test_a_million_due_times_of_a_plain_week(capsys: pytest.CaptureFixture[str]) -> None:
    """Goal: a million cases can be planned anew in seconds. Method: fifty passes over the starts, each with an amount of its own."""
    calendar = Calendar("America/New_York", WEEK)
    found = 0

    def million() -> None:
        nonlocal found
        found = sum(due_at(calendar, start, 900 * (n + 1)) > start for n in range(1_000_000 // EACH) for start in STARTS)

    seconds = _seconds(million)
    with capsys.disabled():
        note("due times, plain week: a million", seconds, " s of one core")
    assert found == 1_000_000


def _seconds(run: Callable[[], None]) -> float:
    began = process_time()
    run()
    return process_time() - began
