"""Opening hours as people write them: what is taken, what is refused and where the finger points."""

import subprocess
import sys
from datetime import UTC, date, datetime, time
from typing import Any

import pytest

from shared.calendars import BadCalendar, Calendar, public_holidays, wall_to_utc

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("change", "pointer", "says"),
    [
        ({"timezone": ""}, "/timezone", "needs the IANA name"),
        ({"timezone": None}, "/timezone", "needs the IANA name"),
        ({"timezone": "Mars/Olympus"}, "/timezone", "no IANA zone"),
        ({"timezone": "../etc/passwd"}, "/timezone", "no IANA zone"),
        ({"timezone": "America"}, "/timezone", "no IANA zone"),
        ({"weekly": {"monday": []}}, "/weekly/monday", "no day of the week"),
        ({"weekly": [1]}, "/weekly", "table of the days"),
        ({"weekly": {"mon": "09:00-17:00"}}, "/weekly/mon", "list of pairs"),
        ({"weekly": {"mon": ["09:00", "17:00"]}}, "/weekly/mon/0", "pair"),
        ({"weekly": {"mon": [["09:00", "17:00"], ["18:00"]]}}, "/weekly/mon/1", "pair"),
        ({"weekly": {"mon": [["9:00", "17:00"]]}}, "/weekly/mon/0/0", "'9:00' is no time of day"),
        ({"weekly": {"mon": [["09:00", "24:01"]]}}, "/weekly/mon/0/1", "no time of day"),
        ({"weekly": {"mon": [["09:00", "17:60"]]}}, "/weekly/mon/0/1", "no time of day"),
        ({"weekly": {"mon": [[540, "17:00"]]}}, "/weekly/mon/0/0", "in quotes"),
        ({"weekly": {"mon": [["22:00", "02:00"]]}}, "/weekly/mon/0", "ends before it begins"),
        ({"weekly": {"mon": [["09:00", "09:00"]]}}, "/weekly/mon/0", "ends before it begins"),
        ({"closures": ["2026-02-30"]}, "/closures/0", "no date"),
        ({"closures": "2026-12-24"}, "/closures", "list of dates"),
        ({"closures": 5}, "/closures", "list of dates"),
        ({"observe_holidays": True, "country": ["US"]}, "/country", "codes in letters"),
        ({"closures": [datetime(2026, 1, 1, tzinfo=UTC)]}, "/closures/0", "no date"),
        ({"overrides": {"soon": []}}, "/overrides/soon", "no date"),
        ({"overrides": {"2026-01-01": [["10:00", "9:00"]]}}, "/overrides/2026-01-01/0/1", "no time of day"),
        ({"overrides": ["2026-01-01"]}, "/overrides", "table from dates"),
        ({"observe_holidays": True}, "/country", "needs its country"),
        ({"observe_holidays": True, "country": "XX"}, "/country", "no public holidays are known for 'XX'"),
        ({"observe_holidays": True, "country": "US", "subdivision": "ZZ"}, "/subdivision", "'US-ZZ'"),
    ],
)
def test_hours_that_cannot_be_read_are_refused_with_the_place(change: dict[str, Any], pointer: str, says: str) -> None:
    location = {"timezone": "America/New_York", "weekly": {"mon": [["09:00", "17:00"]]}, **change}
    with pytest.raises(BadCalendar) as caught:
        Calendar.of(location)
    assert caught.value.pointer == pointer
    assert says in str(caught.value)


def test_windows_may_touch_overlap_and_come_in_any_order() -> None:
    one = Calendar("UTC", {"mon": [("13:00", "17:00"), ("09:00", "12:00"), ("11:00", "13:00")]})
    assert one == Calendar("UTC", {"mon": [(time(9), time(17))]})
    assert hash(one) == hash(Calendar("UTC", {"mon": [["09:00", "17:00:00"]]}))
    assert one != Calendar("UTC", {"tue": [("09:00", "17:00")]})


def test_a_location_of_the_directory_reads_as_it_is_written() -> None:
    store = Calendar.of({
        "id": "store-12", "timezone": "America/New_York", "country": "US", "subdivision": "NY", "observe_holidays": True,
        "weekly": {"mon": [["09:00", "13:00"], ["14:00", "18:00"]], "tue": (("09:00", "18:00"),)},
        "closures": ["2026-12-24"], "overrides": {"2026-12-31": [["09:00", "13:00"]]},
    })  # fmt: skip
    assert store.hours_on(date(2026, 11, 23)) == ((9 * 3600, 13 * 3600), (14 * 3600, 18 * 3600))
    assert store.hours_on(date(2026, 12, 31)) == ((9 * 3600, 13 * 3600),)
    assert store.hours_on(date(2026, 11, 25)) == ()
    assert store.is_holiday(date(2026, 12, 24)) and store.is_holiday(date(2026, 12, 25))


def test_public_holidays_by_country_state_and_year() -> None:
    assert public_holidays("US", "NY", 2026)[date(2026, 11, 26)] == "Thanksgiving Day"
    assert date(2026, 1, 6) in public_holidays("DE", "BY", 2026)
    assert date(2026, 1, 6) not in public_holidays("DE", "BE", 2026)
    assert {day.year for day in public_holidays("US", None, 2022)} == {2022}  # New Year 2023 falls on a Sunday: its substitute is 2023's
    assert public_holidays("US", None, 2026) is public_holidays("US", None, 2026)


def test_the_holidays_package_is_loaded_only_when_a_location_observes_them() -> None:
    script = (
        "import sys; from shared.calendars import Calendar; Calendar('UTC', {}); assert 'holidays' not in sys.modules; "
        "Calendar('UTC', {}, observes=('US', None)); assert 'holidays' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_wall_times_of_the_spring_gap_and_of_the_ambiguous_hour() -> None:
    assert wall_to_utc("America/New_York", date(2026, 3, 8), "02:30") == datetime(2026, 3, 8, 7, 30, tzinfo=UTC)
    assert wall_to_utc("America/New_York", date(2026, 11, 1), "01:30") == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert wall_to_utc("America/New_York", date(2026, 11, 1), "01:30", closing=True) == datetime(2026, 11, 1, 6, 30, tzinfo=UTC)
