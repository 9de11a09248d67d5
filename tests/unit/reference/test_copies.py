"""What the local copy answers without a database."""

from datetime import UTC, datetime

import pytest

from shared import reference
from shared.calendars import Calendar
from shared.contracts.directory import Shift
from shared.kernel.errors import Unready
from shared.reference.queries import forget_access

pytestmark = pytest.mark.unit


def store(*roster: Shift) -> reference.Location:
    calendar = Calendar("America/New_York", {"mon": [("09:00", "18:00")]})
    return reference.Location(
        location_id="store-12", name="Elm Street", region="north", region_name="North", timezone="America/New_York", phone=None,
        country="US", subdivision=None, coordinates=None, calendar=calendar, roster=roster, version=1,
    )  # fmt: skip


def shift(staff_id: str, starts: str, ends: str) -> Shift:
    return Shift(staff_id=staff_id, starts=starts, ends=ends)


def test_a_shift_is_wall_time_of_the_store_and_half_open() -> None:
    elm = store(shift("ana", "2026-11-23T09:00", "2026-11-23T18:00"), shift("ben", "2026-11-23T17:00", "2026-11-23T20:00"))
    assert elm.on_duty(datetime(2026, 11, 23, 13, 59, 59, tzinfo=UTC)) == []
    assert elm.on_duty(datetime(2026, 11, 23, 14, 0, tzinfo=UTC)) == ["ana"]
    assert elm.on_duty(datetime(2026, 11, 23, 22, 30, tzinfo=UTC)) == ["ana", "ben"]
    assert elm.on_duty(datetime(2026, 11, 23, 23, 0, tzinfo=UTC)) == ["ben"]


def test_nobody_is_on_duty_twice() -> None:
    elm = store(shift("ana", "2026-11-23T09:00", "2026-11-23T18:00"), shift("ana", "2026-11-23T12:00", "2026-11-23T20:00"))
    assert elm.on_duty(datetime(2026, 11, 23, 18, 0, tzinfo=UTC)) == ["ana"]


def test_a_row_that_is_on_its_way_is_waited_for_and_named() -> None:
    elm = store()
    assert reference.need_location({"store-12": elm}, "store-12") is elm
    with pytest.raises(Unready, match="location store-7"):
        reference.need_location({"store-12": elm}, "store-7")
    with pytest.raises(Unready, match="staff bob"):
        reference.need_staff({}, "bob")


def test_what_is_kept_of_keys_ends_when_something_is_heard_and_after_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("shared.reference.queries.monotonic", lambda: now[0])
    first = reference.access_version("intake")
    now[0] = 101.9
    assert reference.access_version("intake") == first
    now[0] = 102.0
    second = reference.access_version("intake")
    assert second != first
    forget_access("intake")
    assert reference.access_version("intake") != second
