"""Who is on duty: shifts in wall time, asked in UTC; overrides laid on top; open hours that nobody keeps."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.calendars import Calendar, Duty, Stretch

pytestmark = pytest.mark.unit

ZONE = "America/New_York"
WEEKDAYS = dict.fromkeys(("mon", "tue", "wed", "thu", "fri"), (("09:00", "13:00"), ("14:00", "18:00")))
STORE = Calendar(ZONE, WEEKDAYS, holidays=["2026-12-24"])


@dataclass(frozen=True)
class Shift:
    staff_id: str
    starts: str
    ends: str


@dataclass(frozen=True)
class Override:
    starts: str
    ends: str
    staff_id: str | None = None
    instead_of: str | None = None


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def gaps(duty: Duty, day: str, days: int = 1) -> list[tuple[str, str]]:
    """The gaps of a local day, as wall times."""
    start = datetime.fromisoformat(day).replace(tzinfo=duty.calendar.zone)
    found = duty.gaps(start.astimezone(UTC), (start + timedelta(days=days)).astimezone(UTC))
    return [(wall(duty, opens), wall(duty, closes)) for opens, closes in found]


def wall(duty: Duty, at: datetime) -> str:
    return at.astimezone(duty.calendar.zone).isoformat()[:16]


def test_a_shift_is_wall_time_of_the_store_and_half_open() -> None:
    duty = Duty(STORE, [Shift("ana", "2026-11-23T09:00", "2026-11-23T18:00"), Shift("ben", "2026-11-23T17:00", "2026-11-23T20:00")])
    assert duty.on_duty(utc("2026-11-23T13:59:59")) == []
    assert duty.on_duty(utc("2026-11-23T14:00")) == ["ana"]
    assert duty.on_duty(utc("2026-11-23T22:30")) == ["ana", "ben"]
    assert duty.on_duty(utc("2026-11-23T23:00")) == ["ben"]
    assert duty.on_duty(utc("2026-11-24T01:00")) == []


def test_nobody_is_on_duty_twice_and_shifts_that_touch_are_one_turn() -> None:
    shifts = [("09:00", "18:00"), ("12:00", "20:00"), ("20:00", "21:00")]
    duty = Duty(STORE, [Shift("ana", f"2026-11-23T{start}", f"2026-11-23T{end}") for start, end in shifts])
    assert duty.on_duty(utc("2026-11-23T18:00")) == ["ana"]
    assert duty.turn_of("ana", utc("2026-11-23T18:00")) == (utc("2026-11-23T14:00"), utc("2026-11-24T02:00"))
    assert duty.changes_at(utc("2026-11-23T14:00")) == utc("2026-11-24T02:00")


def test_who_left_is_never_on_duty() -> None:
    duty = Duty(STORE, [Shift("ana", "2026-11-23T09:00", "2026-11-23T18:00"), Shift("ben", "2026-11-23T12:00", "2026-11-23T18:00")])
    assert duty.on_duty(utc("2026-11-23T18:00"), {"ana"}) == ["ben"]
    assert duty.comes_next(utc("2026-11-23T10:00"), {"ana"}) == Stretch(utc("2026-11-23T17:00"), utc("2026-11-23T23:00"), ("ben",))
    assert duty.gaps(utc("2026-11-23T05:00"), utc("2026-11-24T05:00"), {"ana"}) == [(utc("2026-11-23T14:00"), utc("2026-11-23T17:00"))]


def test_in_the_hour_that_autumn_repeats_a_shift_begins_at_the_first_and_ends_at_the_second() -> None:
    duty = Duty(STORE, [Shift("ana", "2026-10-31T22:00", "2026-11-01T01:30"), Shift("ben", "2026-11-01T01:30", "2026-11-01T06:00")])
    # 01:30 is 05:30 UTC, and 06:30 UTC once more.
    assert duty.on_duty(utc("2026-11-01T05:29")) == ["ana"]
    assert duty.on_duty(utc("2026-11-01T05:30")) == ["ana", "ben"]
    assert duty.on_duty(utc("2026-11-01T06:15")) == ["ana", "ben"], "01:15 for the second time"
    assert duty.on_duty(utc("2026-11-01T06:30")) == ["ben"]


def test_in_the_hour_that_spring_skips_a_shift_moves_forward_or_never_was() -> None:
    duty = Duty(STORE, [Shift("ana", "2026-03-07T22:00", "2026-03-08T02:30"), Shift("ben", "2026-03-08T02:10", "2026-03-08T02:50")])
    assert duty.on_duty(utc("2026-03-08T06:59")) == ["ana"]
    assert duty.on_duty(utc("2026-03-08T07:15")) == ["ana", "ben"], "03:15, which is where 02:10 and 02:30 fall"
    assert duty.on_duty(utc("2026-03-08T07:30")) == ["ben"]
    assert not Duty(STORE, [Shift("ana", "2026-03-08T02:30", "2026-03-08T03:15")]).on_duty(utc("2026-03-08T07:20"))


@pytest.mark.parametrize(("day", "hours"), [("2026-03-08", 23), ("2026-11-01", 25)])
def test_2_3_a_roster_that_repeats_the_hours_has_no_gap_across_a_clock_change(day: str, hours: int) -> None:
    always = Calendar(ZONE, {"sun": [("00:00", "24:00")]})
    after = (datetime.fromisoformat(day) + timedelta(days=1)).date().isoformat()
    night, rest = Shift("ana", f"{day}T00:00", f"{day}T01:30"), Shift("ben", f"{day}T01:30", f"{after}T00:00")
    assert gaps(Duty(always, [night, rest]), day) == []
    assert gaps(Duty(always, [rest]), day) == [(f"{day}T00:00", f"{day}T01:30")]
    whole = Duty(always, [Shift("ana", f"{day}T00:00", f"{after}T00:00")])
    ((start, end),) = [(span.starts_at, span.ends_at) for span in whole.stretches(utc(day), utc(after) + timedelta(days=1)) if span.staff]
    assert end - start == timedelta(hours=hours)


def test_an_overnight_shift_holds_both_sides_of_midnight_and_says_who_comes_next() -> None:
    duty = Duty(STORE, [Shift("ana", "2026-11-23T22:00", "2026-11-24T06:00"), Shift("ben", "2026-11-24T06:00", "2026-11-24T14:00")])
    for at in ("2026-11-24T03:00", "2026-11-24T10:59"):
        assert duty.on_duty(utc(at)) == ["ana"]
        assert duty.comes_next(utc(at)) == Stretch(utc("2026-11-24T11:00"), utc("2026-11-24T19:00"), ("ben",))
    assert duty.on_duty(utc("2026-11-24T11:00")) == ["ben"]
    assert duty.comes_next(utc("2026-11-24T11:00")) is None and duty.changes_at(utc("2026-11-24T19:00")) is None


def test_lunch_is_no_gap_and_an_open_hour_alone_is() -> None:
    duty = Duty(STORE, [Shift("ana", "2026-11-23T09:00", "2026-11-23T13:00"), Shift("ben", "2026-11-23T15:00", "2026-11-23T18:00")])
    assert gaps(duty, "2026-11-23") == [("2026-11-23T14:00", "2026-11-23T15:00")]


def test_a_store_without_any_roster_has_no_gap_and_one_whose_roster_ran_out_does() -> None:
    assert gaps(Duty(STORE, []), "2026-11-23") == []
    old = Duty(STORE, [Shift("ana", "2026-11-20T09:00", "2026-11-20T18:00")])
    assert gaps(old, "2026-11-23") == [("2026-11-23T09:00", "2026-11-23T13:00"), ("2026-11-23T14:00", "2026-11-23T18:00")]


def test_a_day_closed_out_of_turn_takes_its_shifts_with_it() -> None:
    """Closure, public holiday and a special day without hours; a Sunday that is always closed is none of these."""
    closed = Calendar(ZONE, WEEKDAYS, ["2026-12-24"], {"2026-12-31": [], "2026-12-25": [("10:00", "12:00")]}, observes=("US", "NY"))
    for day, works in (("2026-12-24", False), ("2026-11-26", False), ("2026-12-31", False), ("2026-12-25", True), ("2026-11-22", True)):
        duty = Duty(closed, [Shift("ana", f"{day}T09:00", f"{day}T18:00")])
        assert bool(duty.on_duty(utc(f"{day}T16:00"))) is works, day
        assert gaps(duty, day) == []


def test_a_night_into_a_closed_day_ends_at_midnight_and_one_out_of_it_begins_there() -> None:
    duty = Duty(STORE, [Shift("ana", "2026-12-23T22:00", "2026-12-24T06:00"), Shift("ben", "2026-12-24T22:00", "2026-12-25T06:00")])
    assert [stretch for stretch in duty.stretches(utc("2026-12-23"), utc("2026-12-26")) if stretch.staff] == [
        Stretch(utc("2026-12-24T03:00"), utc("2026-12-24T05:00"), ("ana",)),
        Stretch(utc("2026-12-25T05:00"), utc("2026-12-25T11:00"), ("ben",)),
    ]


def test_an_override_is_laid_on_top_of_the_shifts_for_its_span() -> None:
    """Goal: the four arrangements there are. Method: Ben's Friday, seen at 15:00 and around it."""
    shifts = [Shift("ben", "2026-11-27T09:00", "2026-11-27T18:00"), Shift("cleo", "2026-11-27T09:00", "2026-11-27T18:00")]
    span = ("2026-11-27T14:00", "2026-11-27T18:00")
    for who, instead, there in (
        ("ana", "ben", ["cleo", "ana"]),
        (None, "ben", ["cleo"]),
        ("ana", None, ["ben", "cleo", "ana"]),
        (None, None, []),
        ("cleo", "ben", ["cleo"]),
        ("ana", "zoe", ["ben", "cleo", "ana"]),
    ):
        duty = Duty(STORE, shifts, [Override(*span, who, instead)])
        assert duty.on_duty(utc("2026-11-27T20:00")) == there, (who, instead)
        assert duty.on_duty(utc("2026-11-27T18:59")) == ["ben", "cleo"] and duty.on_duty(utc("2026-11-27T23:00")) == []
    assert gaps(Duty(STORE, shifts, [Override(*span)]), "2026-11-27") == [span]


def test_a_later_override_goes_by_what_an_earlier_one_arranged() -> None:
    span = ("2026-11-27T14:00", "2026-11-27T18:00")
    shifts = [Shift("ben", "2026-11-27T09:00", "2026-11-27T18:00")]
    swapped = [Override(*span, "ana", "ben"), Override("2026-11-27T16:00", "2026-11-27T18:00", "cleo", "ana")]
    duty = Duty(STORE, shifts, swapped)
    assert duty.on_duty(utc("2026-11-27T20:00")) == ["ana"] and duty.on_duty(utc("2026-11-27T21:00")) == ["cleo"]
    assert Duty(STORE, shifts, [Override(*span), Override(*span, "ana")]).on_duty(utc("2026-11-27T20:00")) == ["ana"]


def test_an_override_on_a_closed_day_puts_somebody_on_duty() -> None:
    duty = Duty(STORE, [Shift("ben", "2026-12-24T09:00", "2026-12-24T18:00")], [Override("2026-12-24T10:00", "2026-12-24T12:00", "ana")])
    assert duty.on_duty(utc("2026-12-24T16:00")) == ["ana"] and duty.on_duty(utc("2026-12-24T18:00")) == []
    assert duty.changes_at(utc("2026-12-24T12:00")) == utc("2026-12-24T15:00")


def test_the_ends_of_the_calendar_are_asked_without_harm() -> None:
    for zone in (ZONE, "Asia/Tokyo"):
        duty = Duty(Calendar(zone, WEEKDAYS, observes=("US", None)), [Shift("ana", "0001-01-01T00:00", "9999-12-31T23:59")])
        assert duty.on_duty(utc("2026-11-27T15:00")) == ["ana"]
        assert duty.changes_at(utc("2026-11-27T15:00")) is not None


walls = st.integers(0, 6 * 96).map(lambda n: (utc("2026-10-30") + timedelta(minutes=15 * n)).isoformat()[:16])
people = st.sampled_from(["ana", "ben", "cleo"])
spans = st.tuples(walls, walls).filter(lambda pair: pair[0] < pair[1])


@given(
    st.lists(st.tuples(people, spans), max_size=6),
    st.lists(st.tuples(st.none() | people, st.none() | people, spans), max_size=3),
    st.integers(0, 6 * 96),
)
def test_every_question_is_answered_from_the_same_moments(
    shifts: list[tuple[str, tuple[str, str]]], overrides: list[tuple[str | None, str | None, tuple[str, str]]], quarter: int
) -> None:
    """Goal: who is on duty at T, the stretches and what comes next agree at any T, across an autumn clock change and a holiday."""
    calendar = Calendar(ZONE, dict.fromkeys(WEEKDAYS, (("00:00", "24:00"),)), holidays=["2026-11-02"])
    duty = Duty(calendar, [Shift(who, *span) for who, span in shifts], [Override(*span, who, off) for who, off, span in overrides])
    at, start, end = utc("2026-10-30T04:00") + timedelta(minutes=15 * quarter), utc("2026-10-29"), utc("2026-11-08")
    cut = duty.stretches(start, end)
    assert cut[0].starts_at == start and cut[-1].ends_at == end
    assert all(before.ends_at == after.starts_at for before, after in pairwise(cut))
    here = next(stretch for stretch in cut if stretch.starts_at <= at < stretch.ends_at)
    assert duty.on_duty(at) == list(here.staff)
    assert duty.changes_at(at) == (here.ends_at if here.ends_at != end else None)
    for person in here.staff:
        since, until = duty.turn_of(person, at)
        assert since <= here.starts_at and here.ends_at <= until
        assert person in duty.on_duty(until - timedelta(minutes=1)) and person not in duty.on_duty(until)
    following = duty.comes_next(at)
    if following is not None:
        assert set(following.staff) == set(duty.on_duty(following.starts_at)) - set(
            duty.on_duty(following.starts_at - timedelta(minutes=1))
        )
    alone = duty.gaps(start, end)
    assert all(calendar.is_open(opens) and not duty.on_duty(opens) for opens, _ in alone)
    if duty and calendar.is_open(at) and not here.staff:
        assert any(opens <= at < closes for opens, closes in alone)
