"""What the local copy answers without a database."""

import pytest

from shared import reference
from shared.calendars import Calendar, Duty
from shared.kernel.errors import Unready
from shared.reference.queries import forget_access

pytestmark = pytest.mark.unit


def store() -> reference.Location:
    calendar = Calendar("America/New_York", {"mon": [("09:00", "18:00")]})
    return reference.Location(
        location_id="store-12", name="Elm Street", region="north", region_name="North", timezone="America/New_York", phone=None,
        country="US", subdivision=None, coordinates=None, calendar=calendar, duty=Duty(calendar, ()), version=1,
    )  # fmt: skip


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
