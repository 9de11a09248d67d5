"""The demo's group: complete, invented, and never without somebody on duty."""

from datetime import UTC, date, datetime, timedelta

import pytest

from services.directory import domain
from services.directory.usecases import demo_group
from shared.calendars import Calendar

pytestmark = pytest.mark.unit

MONDAY = date(2026, 11, 23)


def test_the_group_is_right_in_itself() -> None:
    group = demo_group(MONDAY)
    said = domain.change(domain.Directory(0), group)
    assert (len(group.regions), len(group.locations), len(group.staff)) == (3, 12, 41)
    assert len({store.timezone for store in group.locations}) >= 5
    assert {person.role for person in group.staff} == {"associate", "store_manager", "regional_manager", "compliance", "admin"}
    assert len(said.events) == 53


def test_numbers_are_reserved_for_fiction_and_belong_to_one() -> None:
    group = demo_group(MONDAY)
    phones = [*(store.phone or "" for store in group.locations), *(person.phone or "" for person in group.staff)]
    assert all(phone[5:10] == "55501" and len(phone) == 12 for phone in phones)
    assert len(set(phones)) == len(phones)
    assert all((person.email or "").endswith("@example.org") for person in group.staff)


def test_whenever_a_store_is_open_somebody_of_it_is_on_duty() -> None:
    """Every quarter of an hour of four weeks, by the calendar's own word."""
    group = demo_group(MONDAY)
    start = datetime(2026, 11, 23, tzinfo=UTC)
    for store in group.locations:
        calendar = Calendar.of(store.model_dump())
        shifts = [shift for shift in group.rosters if shift.location_id == store.id]
        team = {person.id for person in group.staff if store.id in person.locations}
        assert {shift.staff_id for shift in shifts} == team
        for opens, closes in calendar.intervals(start, start + timedelta(days=28)):
            at = opens
            while at < closes:
                wall = at.astimezone(calendar.zone).strftime("%Y-%m-%dT%H:%M")
                assert any(shift.starts <= wall < shift.ends for shift in shifts), (store.id, at)
                at += timedelta(minutes=15)


def test_the_same_day_gives_the_same_rosters() -> None:
    assert demo_group(MONDAY) == demo_group(MONDAY) != demo_group(MONDAY + timedelta(days=1))
