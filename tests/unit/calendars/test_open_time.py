"""Behaviours of the calendar and of open time, one by one, and what must always hold."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shared.calendars import (
    BadCalendar,
    Calendar,
    NeverOpens,
    OutOfRange,
    before,
    closing_of,
    due_at,
    last_closing,
    local_date,
    next_closing,
    next_opening,
    open_seconds,
)

pytestmark = pytest.mark.unit

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NEW_YORK = ZoneInfo("America/New_York")
HOUR, MINUTE = 3600, 60
ALWAYS = Calendar("America/New_York", {day: [("00:00", "24:00")] for day in DAYS})


def hours(*windows: tuple[str, str], days: str = "mon tue wed thu fri sat", zone: str = "America/New_York", **more: object) -> Calendar:
    return Calendar(zone, {day: list(windows) for day in days.split()}, **more)  # type: ignore[arg-type]


def ny(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK, fold=fold).astimezone(UTC)


@pytest.mark.parametrize(("start", "due"), [("2026-03-07T20:00", "2026-03-08T05:00"), ("2026-10-31T20:00", "2026-11-01T03:00")])
def test_1_elapsed_time_is_utc_time_over_both_clock_changes(start: str, due: str) -> None:
    assert due_at(ALWAYS, ny(start), 8 * HOUR) == ny(due)


def test_2_nine_o_clock_stays_nine_o_clock_across_the_clock_change() -> None:
    store = hours(("09:00", "17:00"), days=" ".join(DAYS))
    opens = [start.astimezone(NEW_YORK).hour for start, _ in store.intervals(ny("2026-03-06T00:00"), ny("2026-03-11T00:00"))]
    assert opens == [9] * 5
    assert open_seconds(store, ny("2026-03-06T00:00"), ny("2026-03-11T00:00")) == 5 * 8 * HOUR


def test_2_old_open_minutes_use_the_offset_of_their_day() -> None:
    store = hours(("09:00", "17:00"), days=" ".join(DAYS))
    (winter,) = store.intervals(ny("2026-03-07T00:00"), ny("2026-03-08T00:00"))
    (summer,) = store.intervals(ny("2026-03-08T00:00"), ny("2026-03-09T00:00"))
    assert winter == (datetime(2026, 3, 7, 14, tzinfo=UTC), datetime(2026, 3, 7, 22, tzinfo=UTC))
    assert summer == (datetime(2026, 3, 8, 13, tzinfo=UTC), datetime(2026, 3, 8, 21, tzinfo=UTC))


def test_3_an_opening_in_the_spring_gap_moves_forward() -> None:
    store = hours(("02:30", "06:00"), days="sun")
    assert store.intervals(ny("2026-03-08T00:00"), ny("2026-03-09T00:00")) == [(ny("2026-03-08T03:30"), ny("2026-03-08T06:00"))]


def test_3_a_closing_in_the_spring_gap_moves_forward_too() -> None:
    store = hours(("00:00", "02:30"), days="sun")
    assert closing_of(store, date(2026, 3, 8)) == ny("2026-03-08T03:30")
    assert open_seconds(store, ny("2026-03-08T00:00"), ny("2026-03-09T00:00")) == 2 * HOUR + 30 * MINUTE


def test_3_an_ambiguous_opening_is_the_first_and_an_ambiguous_closing_the_second() -> None:
    first, second = ny("2026-11-01T01:30"), ny("2026-11-01T01:30", fold=1)
    assert second - first == timedelta(hours=1)
    whole_day = (ny("2026-11-01T00:00"), ny("2026-11-02T00:00"))
    assert hours(("01:30", "05:00"), days="sun").intervals(*whole_day)[0][0] == first
    assert hours(("00:00", "01:30"), days="sun").intervals(*whole_day)[0][1] == second


@pytest.mark.parametrize(
    ("windows", "start", "minutes", "due"),
    [
        ([("09:00", "18:00")], "2026-11-21T17:30", 60, "2026-11-23T09:30"),
        ([("09:00", "13:00"), ("14:00", "18:00")], "2026-11-23T12:30", 60, "2026-11-23T14:30"),
        ([("09:00", "18:00")], "2026-11-25T17:30", 60, "2026-11-27T09:30"),
        ([("09:00", "18:00")], "2026-11-23T17:00", 60, "2026-11-23T18:00"),
        ([("09:00", "13:00"), ("14:00", "18:00")], "2026-11-23T12:00", 60, "2026-11-23T13:00"),
        ([("09:00", "18:00")], "2026-11-21T20:00", 0, "2026-11-23T09:00"),
        ([("09:00", "18:00")], "2026-11-21T18:00", 0, "2026-11-23T09:00"),
        ([("09:00", "18:00")], "2026-11-23T12:00", 0, "2026-11-23T12:00"),
    ],
)
def test_4_the_end_rolls_on_and_an_end_on_closing_is_the_closing(
    windows: list[tuple[str, str]], start: str, minutes: int, due: str
) -> None:
    store = hours(*windows, observes=("US", "NY"))  # Thanksgiving is 2026-11-26
    assert due_at(store, ny(start), minutes * MINUTE) == ny(due)


def test_5_a_day_of_24_hours_loses_no_minute() -> None:
    start, end = ny("2025-12-15T00:00"), ny("2027-01-15T00:00")
    assert open_seconds(ALWAYS, start, end) == int((end - start).total_seconds())
    assert ALWAYS.intervals(start, end) == [(start, end)]
    assert ALWAYS.is_open(ny("2026-12-31T23:59:59.999999")) and ALWAYS.is_open(ny("2027-01-01T00:00"))


@pytest.mark.parametrize(("zone", "local"), [("America/New_York", 10), ("America/Los_Angeles", 16), ("America/Phoenix", 17)])
def test_6_the_zone_is_the_stores(zone: str, local: int) -> None:
    store = hours(("09:00", "18:00"), days=" ".join(DAYS), zone=zone)
    due = due_at(store, datetime(2026, 1, 6, 22, 30, tzinfo=UTC), 120 * MINUTE).astimezone(ZoneInfo(zone))
    assert (due.hour, due.minute) == (local, 30)
    assert due.day == (7 if zone == "America/New_York" else 6)


def test_6_a_store_without_a_zone_is_a_configuration_error() -> None:
    with pytest.raises(BadCalendar) as refused:
        Calendar("", {"mon": [("09:00", "18:00")]})
    assert refused.value.pointer == "/timezone"


def test_5_is_open_and_due_cannot_disagree() -> None:
    store = hours(("09:00", "18:00"))
    closing = due_at(store, ny("2026-11-23T17:00"), HOUR)
    assert closing == ny("2026-11-23T18:00") == closing_of(store, date(2026, 11, 23))
    assert not store.is_open(closing) and store.is_open(closing - timedelta(microseconds=1))
    assert due_at(store, closing, 0) == next_opening(store, closing) == ny("2026-11-24T09:00")


def test_7_warnings_count_back_in_open_time() -> None:
    store = hours(("08:00", "18:00"))
    due = due_at(store, ny("2026-11-23T17:00"), 4 * HOUR)
    assert due == ny("2026-11-24T11:00")
    assert before(store, due, HOUR) == ny("2026-11-24T10:00")
    assert before(store, due, 3 * HOUR) == ny("2026-11-24T08:00")
    assert before(store, due, 3 * HOUR + 1) == ny("2026-11-23T17:59:59")
    assert before(store, due, 0) == due


def test_8_a_pause_moves_the_deadline_by_its_open_time_only() -> None:
    store = hours(("09:00", "18:00"), days="mon tue wed thu fri")
    pause = (ny("2026-11-20T17:00"), ny("2026-11-23T10:00"))
    start = ny("2026-11-20T16:00")
    moved, plain = due_at(store, start, 4 * HOUR, [pause]), due_at(store, start, 4 * HOUR)
    assert open_seconds(store, plain, moved) == 2 * HOUR
    assert moved == ny("2026-11-23T13:00")
    assert open_seconds(store, start, moved, [pause]) == 4 * HOUR
    assert before(store, moved, 3 * HOUR + MINUTE, [pause]) == ny("2026-11-20T16:59")


def test_pauses_may_overlap_be_unsorted_touch_and_be_empty() -> None:
    store = hours(("09:00", "18:00"))
    one = [(ny("2026-11-23T10:00"), ny("2026-11-23T12:00"))]
    many = [
        (ny("2026-11-23T11:00"), ny("2026-11-23T12:00")),
        (ny("2026-11-23T10:00"), ny("2026-11-23T11:30")),
        (ny("2026-11-23T15:00"), ny("2026-11-23T15:00")),
        (ny("2026-11-23T17:00"), ny("2026-11-23T13:00")),
    ]
    start = ny("2026-11-23T09:00")
    assert due_at(store, start, 3 * HOUR, many) == due_at(store, start, 3 * HOUR, one) == ny("2026-11-23T14:00")
    assert open_seconds(store, start, ny("2026-11-23T14:00"), many) == 3 * HOUR


def test_zero_seconds_from_a_paused_moment_is_the_next_open_one() -> None:
    store = hours(("09:00", "18:00"))
    assert due_at(store, ny("2026-11-23T10:00"), 0, [(ny("2026-11-23T09:30"), ny("2026-11-23T19:00"))]) == ny("2026-11-24T09:00")


def test_zero_seconds_from_a_closed_moment_skips_an_opening_that_is_paused() -> None:
    store = hours(("09:00", "18:00"))
    assert due_at(store, ny("2026-11-23T08:00"), 0, [(ny("2026-11-23T08:30"), ny("2026-11-23T10:00"))]) == ny("2026-11-23T10:00")


def test_time_is_kept_to_the_microsecond_and_seconds_are_floored() -> None:
    store = hours(("09:00", "18:00"))
    start = ny("2026-11-23T17:59:59.999999")
    assert due_at(store, start, 1) == ny("2026-11-24T09:00:00.999999")
    assert open_seconds(store, start, ny("2026-11-24T09:00:00.999998")) == 0
    assert open_seconds(store, start, ny("2026-11-24T09:00:00.999999")) == 1


def test_an_override_beats_a_holiday_and_both_beat_the_week() -> None:
    overrides = {date(2026, 12, 25): [("10:00", "12:00")], "2026-12-31": []}
    store = hours(("09:00", "18:00"), holidays=[date(2026, 12, 24), "2026-12-25"], overrides=overrides)
    assert closing_of(store, date(2026, 12, 23)) == ny("2026-12-23T18:00")
    assert closing_of(store, date(2026, 12, 24)) is None
    assert closing_of(store, date(2026, 12, 25)) == ny("2026-12-25T12:00")
    assert closing_of(store, date(2026, 12, 31)) is None


def test_public_holidays_are_kept_where_they_are_observed() -> None:
    location = {"timezone": "America/New_York", "weekly": {"thu": [["09:00", "18:00"]]}, "country": "US", "subdivision": "NY"}
    thanksgiving = ny("2026-11-26T12:00")
    assert Calendar.of({**location, "observe_holidays": False}).is_open(thanksgiving)
    assert not Calendar.of({**location, "observe_holidays": True}).is_open(thanksgiving)
    assert Calendar.of({**location, "observe_holidays": True, "overrides": {"2026-11-26": [["09:00", "13:00"]]}}).is_open(thanksgiving)


def test_closing_times_of_days() -> None:
    store = hours(("09:00", "13:00"), ("14:00", "18:00"))
    sunday = date(2026, 11, 22)
    assert closing_of(store, sunday) is None
    assert last_closing(store, sunday) == last_closing(store, date(2026, 11, 21)) == ny("2026-11-21T18:00")
    assert next_closing(store, ny("2026-11-23T10:00")) == ny("2026-11-23T18:00")
    assert next_closing(store, ny("2026-11-21T18:00")) == ny("2026-11-23T18:00")
    assert next_opening(store, ny("2026-11-23T13:30")) == ny("2026-11-23T14:00")
    assert local_date(store, datetime(2026, 11, 23, 3, tzinfo=UTC)) == sunday


def test_a_location_that_never_closes_closes_at_local_midnight() -> None:
    assert closing_of(ALWAYS, date(2026, 11, 23)) == ny("2026-11-24T00:00")
    assert next_closing(ALWAYS, ny("2026-11-23T12:00")) == ny("2026-11-24T00:00")
    assert next_closing(ALWAYS, ny("2026-11-24T00:00")) == ny("2026-11-25T00:00")


def test_a_date_that_the_zone_skipped_has_no_hours() -> None:
    apia = hours(("09:00", "17:00"), days=" ".join(DAYS), zone="Pacific/Apia")
    assert closing_of(apia, date(2011, 12, 30)) is None
    assert len(apia.intervals(datetime(2011, 12, 28, 12, tzinfo=UTC), datetime(2012, 1, 1, 12, tzinfo=UTC))) == 4


def test_24_00_is_the_first_midnight_where_midnight_comes_twice() -> None:
    azores = hours(("09:00", "24:00"), days="sat", zone="Atlantic/Azores")
    assert closing_of(azores, date(2026, 10, 24)) == datetime(2026, 10, 25, 0, tzinfo=UTC)


@pytest.mark.parametrize("ask", [lambda c, at: due_at(c, at, 1), lambda c, at: due_at(c, at, 0), next_opening, next_closing])
def test_a_location_without_hours_is_an_error_and_not_a_search_for_ever(ask: object) -> None:
    never = Calendar("America/New_York", {}, overrides={"2026-01-05": [("09:00", "10:00")]})
    with pytest.raises(NeverOpens):
        ask(never, ny("2026-11-23T12:00"))  # type: ignore[operator]


def test_a_location_with_special_days_only_opens_on_them() -> None:
    fair = Calendar("America/New_York", {}, overrides={"2029-01-05": [("09:00", "10:00")]})
    assert due_at(fair, ny("2026-11-23T12:00"), HOUR) == ny("2029-01-05T10:00")
    with pytest.raises(NeverOpens):
        due_at(fair, ny("2026-11-23T12:00"), HOUR + 1)
    with pytest.raises(NeverOpens):
        before(fair, ny("2026-11-23T12:00"), HOUR)


@pytest.mark.parametrize("at", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)])
def test_moments_at_the_ends_of_time_are_out_of_range(at: datetime) -> None:
    never = hours()
    with pytest.raises(OutOfRange):
        ALWAYS.is_open(at)
    with pytest.raises(OutOfRange):
        due_at(ALWAYS, at, HOUR)
    with pytest.raises(OutOfRange):
        next_closing(never, at)


def test_dates_at_the_ends_of_time_are_out_of_range() -> None:
    with pytest.raises(OutOfRange):
        closing_of(ALWAYS, date.max)
    assert last_closing(hours(), date.max) is None
    with pytest.raises(OutOfRange):
        last_closing(hours(), date.min)


def test_naive_instants_and_negative_amounts_are_refused() -> None:
    naive, aware = datetime(2026, 11, 23, 12), ny("2026-11-23T12:00")  # noqa: DTZ001
    with pytest.raises(ValueError, match="has no zone"):
        due_at(ALWAYS, naive, 1)
    with pytest.raises(ValueError, match="has no zone"):
        ALWAYS.is_open(naive)
    with pytest.raises(ValueError, match="has no zone"):
        local_date(ALWAYS, naive)
    with pytest.raises(ValueError, match="negative"):
        due_at(ALWAYS, aware, -1)
    with pytest.raises(ValueError, match="negative"):
        before(ALWAYS, aware, -1)


# What must hold for every calendar, start, amount and set of pauses.

_ZONES = (
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Atlantic/Azores",
)


@st.composite
def _windows(draw: st.DrawFn) -> list[tuple[str, str]]:
    cuts = sorted(draw(st.sets(st.integers(0, 96), max_size=6)))
    return [(_text(a), _text(b)) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]


def _text(quarter: int) -> str:
    return f"{quarter // 4:02}:{quarter % 4 * 15:02}"


@st.composite
def _calendars(draw: st.DrawFn) -> Calendar:
    weekly = {day: draw(_windows()) for day in draw(st.sets(st.sampled_from(DAYS), min_size=1))}
    assume(any(weekly.values()))
    near = st.dates(date(2025, 10, 1), date(2026, 12, 31))
    return Calendar(
        draw(st.sampled_from(_ZONES)),
        weekly,
        draw(st.sets(near, max_size=5)),
        draw(st.dictionaries(near, _windows(), max_size=5)),
        breaks=draw(st.dictionaries(near, _windows(), max_size=3)),
    )


_moments = st.datetimes(datetime(2025, 10, 1), datetime(2026, 12, 31)).map(lambda at: at.replace(tzinfo=UTC, microsecond=0))  # noqa: DTZ001
_amounts = st.integers(0, 40 * HOUR) | st.integers(0, 60).map(lambda quarters: quarters * 900)
_lengths = st.timedeltas(timedelta(0), timedelta(days=6))
_pauses = st.lists(st.tuples(_moments, _lengths).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=4)
_property = settings(max_examples=80, deadline=None)


@_property
@given(_calendars(), _moments, _amounts, _pauses)
def test_inverse(store: Calendar, start: datetime, amount: int, pauses: list[tuple[datetime, datetime]]) -> None:
    due = due_at(store, start, amount, pauses)
    assert due >= start
    assert open_seconds(store, start, due, pauses) == amount
    if amount:
        assert open_seconds(store, start, due - timedelta(seconds=1), pauses) < amount


@_property
@given(_calendars(), _moments, _amounts, _amounts, _pauses)
def test_monotone(store: Calendar, start: datetime, one: int, two: int, pauses: list[tuple[datetime, datetime]]) -> None:
    less, more = sorted((one, two))
    assert due_at(store, start, less, pauses) <= due_at(store, start, more, pauses)
    assert due_at(store, start, more, pauses) <= due_at(store, start + timedelta(seconds=less), more, pauses)


@_property
@given(_calendars(), _moments, _amounts, st.integers(1, 20 * HOUR), _pauses)
def test_additive(store: Calendar, start: datetime, one: int, two: int, pauses: list[tuple[datetime, datetime]]) -> None:
    middle = due_at(store, start, one, pauses)
    end = due_at(store, middle, two, pauses)
    assert end == due_at(store, start, one + two, pauses)
    assert open_seconds(store, start, middle, pauses) + open_seconds(store, middle, end, pauses) == open_seconds(store, start, end, pauses)


@_property
@given(_calendars(), _moments, _amounts, st.sampled_from(_ZONES))
def test_the_callers_zone_changes_nothing(store: Calendar, start: datetime, amount: int, zone: str) -> None:
    elsewhere = start.astimezone(ZoneInfo(zone))
    assert due_at(store, elsewhere, amount) == due_at(store, start, amount)
    assert store.is_open(elsewhere) == store.is_open(start)
    end = start + timedelta(days=9)
    assert open_seconds(store, elsewhere, end.astimezone(ZoneInfo(zone))) == open_seconds(store, start, end)


@_property
@given(_calendars(), _moments, _amounts, _pauses)
def test_counting_back_is_the_inverse_of_counting_forward(
    store: Calendar, start: datetime, amount: int, pauses: list[tuple[datetime, datetime]]
) -> None:
    due = due_at(store, start, amount, pauses)
    warned = before(store, due, amount, pauses)
    assert start <= warned <= due
    assert open_seconds(store, warned, due, pauses) == amount
    if amount:
        assert open_seconds(store, warned + timedelta(seconds=1), due, pauses) == amount - 1


@_property
@given(_calendars(), _moments, _lengths)
def test_is_open_intervals_and_open_seconds_agree(store: Calendar, start: datetime, length: timedelta) -> None:
    end = start + length
    spans = store.intervals(start, end)
    assert open_seconds(store, start, end) == int(sum(((b - a) for a, b in spans), timedelta()).total_seconds())
    for (_, closes), (opens, _) in pairwise(spans):
        assert closes < opens
    for opens, closes in spans:
        assert start <= opens < closes <= end
        assert store.is_open(opens) and store.is_open(closes - timedelta(microseconds=1))
        assert closes == end or not store.is_open(closes)
        assert opens == start or not store.is_open(opens - timedelta(microseconds=1))


@_property
@given(_calendars(), _moments)
def test_open_time_agrees_with_the_wall_minute_by_minute(store: Calendar, start: datetime) -> None:
    """Method: away from clock changes, each quarter of an hour is looked up in the hours of its local date."""
    at = start.replace(minute=start.minute // 15 * 15, second=0)
    for quarter in range(96):
        wall = (at + timedelta(minutes=15 * quarter)).astimezone(store.zone)
        if (wall - timedelta(days=2)).utcoffset() != (wall + timedelta(days=2)).utcoffset():
            continue  # the changes themselves have tests of their own
        seconds = wall.hour * 3600 + wall.minute * 60
        assert store.is_open(wall) == any(opens <= seconds < closes for opens, closes in store.hours_on(wall.date()))
