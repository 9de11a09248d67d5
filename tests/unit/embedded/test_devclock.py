"""The clock that goes on where the last run stopped."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from shared.embedded.devclock import DevClock
from shared.kernel.clock import MovableClock, machine_now

SLACK = timedelta(minutes=1)


def started_again(file: Path, stopped_at: datetime, rate: float) -> MovableClock:
    earlier = DevClock(MovableClock(stopped_at, machine_now()), file)
    earlier.set_rate(rate)
    clock = MovableClock()
    assert DevClock(clock, file).load()
    return clock


@pytest.mark.parametrize("apart", [timedelta(days=-3), timedelta(days=3)])
def test_a_paused_clock_stands_where_it_stood_however_long_the_pause(tmp_path: Path, apart: timedelta) -> None:
    stopped_at = machine_now() + apart
    clock = started_again(tmp_path / "clock.json", stopped_at, 0)
    assert timedelta(0) <= clock.now() - stopped_at < SLACK and clock.now() == clock.now() and clock.rate == 0


@pytest.mark.parametrize("apart", [timedelta(days=-3), timedelta(days=3)])
def test_one_that_was_sped_up_goes_on_at_its_speed_where_it_stopped(tmp_path: Path, apart: timedelta) -> None:
    stopped_at = machine_now() + apart
    clock = started_again(tmp_path / "clock.json", stopped_at, 60)
    assert timedelta(0) <= clock.now() - stopped_at < 60 * SLACK and clock.rate == 60


@pytest.mark.parametrize(("apart", "is_ahead"), [(timedelta(days=-3), False), (timedelta(days=3), True)])
def test_one_that_runs_as_the_machine_s_never_falls_behind_it(tmp_path: Path, apart: timedelta, is_ahead: bool) -> None:
    stopped_at = machine_now() + apart
    clock = started_again(tmp_path / "clock.json", stopped_at, 1)
    expected = stopped_at if is_ahead else machine_now()
    assert abs(clock.now() - expected) < SLACK


@pytest.mark.parametrize("text", ["", "{}", '{"now": "yesterday", "rate": 1}', '{"now": "2026-11-27T10:00:00+00:00"}'])
def test_a_file_that_says_nothing_leaves_the_clock_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "clock.json").write_text(text, "utf-8")
    clock = MovableClock()
    assert not DevClock(clock, tmp_path / "clock.json").load() and clock.rate == 1.0
