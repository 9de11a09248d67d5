"""A target's time taken apart: the parts add up, and each closing has its reason."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.escalation.domain import anew, clock, commands, explain
from services.escalation.domain.apart import take_apart
from services.escalation.domain.case import Pause, Target, open_due
from services.escalation.domain.explain import ClockOfTarget
from shared.calendars import Calendar
from tests.unit.escalation.bench import SHOP, WEEK, Bench, at

pytestmark = pytest.mark.unit
LUNCH = {day: [("09:00", "13:00"), ("14:00", "18:00")] for day in WEEK}
THANKSGIVING = replace(SHOP, calendar=Calendar("America/New_York", LUNCH, ["2026-11-27"], observes=("US", "NY")))


def clock_of(bench: Bench, now: datetime, milestone: str, segment: int = 1, hours: dict[int, Calendar] | None = None) -> ClockOfTarget:
    kept = [explain.Recorded(e.version, e.at, e.by, e.type_name, e.model_dump(mode="json")) for e in bench.events]
    told = explain.tell(bench.case, kept, bench.store, now, hours)
    return next(one for one in told if (one.target.milestone, one.target.segment) == (milestone, segment))


def parts(one: ClockOfTarget) -> list[tuple[str, int, str]]:
    return [(part.kind, part.seconds // 60, part.words) for part in one.apart.stretches]


def test_a_deadline_over_lunch_night_holiday_closure_and_weekend_is_told_stretch_by_stretch() -> None:
    bench = Bench(store=THANKSGIVING, now=at(12, 30, day=25))
    told = clock_of(bench, at(15, day=25), "action")
    assert parts(told) == [
        ("counted", 30, "The store was open."),
        ("closed", 0, "The store had a break."),
        ("counted", 240, "The store was open."),
        ("closed", 0, "The store was closed (Thu 26 Nov: Thanksgiving Day, Fri 27 Nov: closed that day, "
                      "Sat 28 Nov: never open on Saturdays, Sun 29 Nov: never open on Sundays)."),
        ("counted", 240, "The store was open."),
        ("closed", 0, "The store had a break."),
        ("counted", 30, "The store was open."),
    ]  # fmt: skip
    assert (
        told.summary
        == "9 h of open time from Wed 25 Nov, 12:30 pm are over at Mon 30 Nov, 2:30 pm: 4 h 30 min on Wed 25 Nov, 4 h 30 min on Mon 30 Nov."
    )
    assert (told.apart.counted_seconds, told.elapsed_seconds, told.elapsed_percent) == (9 * 3600, 5400, 16)


def test_a_pause_is_a_stretch_of_its_own_and_counts_for_its_open_time_only() -> None:
    bench = Bench(now=at(16))
    bench.acknowledge(at(16, 5))
    bench.apply(clock.pause(bench.case, "waiting_for_lab", bench.store, at(17), "ana"))
    standing = clock_of(bench, at(17, 30), "action")
    assert parts(standing) == [("counted", 60, "The store was open."), ("paused", 30, "The clock stood: waiting for lab.")]
    assert standing.summary == "9 h of open time from Mon 23 Nov, 4:00 pm; 1 h are gone, and the clock stands."
    bench.apply(clock.resume(bench.case, bench.store, at(10, day=24), "ana"))
    told = clock_of(bench, at(10, day=24), "action")
    assert [(part.kind, part.seconds // 60) for part in told.apart.stretches] == [
        ("counted", 60), ("paused", 60), ("closed", 0), ("paused", 60), ("counted", 480),
    ]  # fmt: skip
    assert (told.apart.counted_seconds, told.apart.paused_seconds) == (9 * 3600, 2 * 3600)
    assert told.summary.endswith("The clock stood for 2 h of open time.")
    # What was met before the pause is told as it was counted: without it.
    assert parts(clock_of(bench, at(10, day=24), "acknowledge")) == [("counted", 30, "The store was open.")]


def test_a_target_is_told_by_the_hours_it_was_counted_with_although_they_changed() -> None:
    bench = Bench(store=replace(SHOP, hours=3))
    bench.acknowledge(at(9, 10))
    short = replace(SHOP, calendar=Calendar("America/New_York", {day: [("10:00", "12:00")] for day in WEEK}), hours=7)
    bench.apply(anew.on_new_hours(bench.case, short, at(9, 20)))
    bench.store, hours = short, {3: SHOP.calendar, 7: short.calendar}
    met, moved = (clock_of(bench, at(11), milestone, hours=hours) for milestone in ("acknowledge", "contact"))
    assert (met.apart.counted_seconds, moved.apart.counted_seconds) == (1800, 7200)
    assert [(line.what, line.words) for line in moved.history] == [
        ("planned", "2 h of open time, until Mon 23 Nov, 11:00 am."),
        ("re-planned", "The store's hours changed: counted anew from the start, until Mon 23 Nov, 12:00 pm."),
    ]


def test_9_a_reopened_case_tells_both_segments_and_what_was_cancelled_ends_there() -> None:
    bench = Bench()
    bench.acknowledge(at(9, 10))
    bench.hear(at(9, 20))
    bench.do(lambda case, *rest: commands.resolve(case, "lab_error", "remake", *rest), at(10))
    bench.do(commands.reopen, at(11))
    old, new = clock_of(bench, at(12), "contact", 1), clock_of(bench, at(12), "contact", 2)
    assert (old.history[-1].what, old.elapsed_seconds, new.elapsed_seconds) == ("cancelled", 3600, 3600)
    assert new.history[0].words == "Opened again: 2 h of open time, until Mon 23 Nov, 1:00 pm."


def test_a_store_without_hours_is_told_as_elapsed_time() -> None:
    bench = Bench(store=replace(SHOP, calendar=Calendar("America/New_York", {})))
    assert parts(clock_of(bench, at(10), "acknowledge")) == [("counted", 30, "The store has no opening hours: every hour counts.")]


_moments = st.datetimes(datetime(2026, 10, 20), datetime(2026, 12, 1)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001
_pauses = st.lists(st.tuples(_moments, st.timedeltas(timedelta(0), timedelta(days=3))), max_size=4)
_weeks = st.sampled_from([WEEK, LUNCH, {"sun": [("00:30", "02:30")], "wed": [("00:00", "24:00")]}])


@settings(max_examples=150, deadline=None)
@given(
    _weeks,
    st.sets(st.dates(date(2026, 10, 20), date(2026, 12, 1)), max_size=5),
    _moments,
    st.integers(0, 40 * 3600),
    _pauses,
    st.booleans(),
)
def test_what_counted_adds_up_to_the_targets_time_and_nothing_is_left_out(
    week: dict[str, list[tuple[str, str]]],
    closures: set[date],
    start: datetime,
    seconds: int,
    pauses: list[tuple[datetime, timedelta]],
    is_elapsed: bool,
) -> None:
    calendar = Calendar("America/New_York", week, closures)
    bench = Bench(store=replace(SHOP, calendar=calendar), now=start)
    case = replace(bench.case, pauses=tuple(Pause("waiting_for_lab", begins, begins + length) for begins, length in pauses))
    target = Target("resolve", 1, start, seconds, open_due(case, bench.store, start, seconds, is_elapsed=is_elapsed), is_elapsed=is_elapsed)
    apart = take_apart(target, case, calendar, None, start)
    assert apart.counted_seconds == sum(part.seconds for part in apart.stretches if part.kind == "counted") == seconds
    assert apart.paused_seconds >= sum(part.seconds for part in apart.stretches if part.kind == "paused")
    for one, two in pairwise(apart.stretches):
        assert one.ends_at == two.starts_at and (one.kind, one.words) != (two.kind, two.words)
        assert two.total_seconds == one.total_seconds + (two.seconds if two.kind == "counted" else 0)
    if apart.stretches:
        assert (apart.stretches[0].starts_at, apart.stretches[-1].ends_at) == (start, target.due_at)
