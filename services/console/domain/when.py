"""Instants and spans in words. Takes instants in UTC and an IANA zone; gives English."""

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


@lru_cache(maxsize=512)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def moment(at: datetime, zone: str) -> str:
    """`Mon 23 Nov, 2:05 pm`, on the wall of the store."""
    local = at.astimezone(_zone(zone))
    return f"{local:%a} {local.day} {local:%b}, {clock_time(at, zone)}"


def abbreviation(at: datetime, zone: str) -> str:
    """`EST`, as the zone calls itself then."""
    return at.astimezone(_zone(zone)).strftime("%Z")


def clock_time(at: datetime, zone: str) -> str:
    """`2:05 pm`, on the wall of the store."""
    local = at.astimezone(_zone(zone))
    return f"{(local.hour - 1) % 12 + 1}:{local:%M} {'am' if local.hour < 12 else 'pm'}"


def brief(at: datetime, now: datetime, zone: str) -> str:
    """`2:05 pm` for today, else with its day: `Fri 27 Nov, 9:00 am`."""
    same = at.astimezone(_zone(zone)).date() == now.astimezone(_zone(zone)).date()
    return clock_time(at, zone) if same else moment(at, zone)


def wall(at: datetime, zone: str) -> str:
    """`2026-11-27T15:30`, as a form's field of day and time takes it."""
    return f"{at.astimezone(_zone(zone)):%Y-%m-%dT%H:%M}"


def between(start: datetime, end: datetime, zone: str) -> str:
    """`Mon 23 Nov, 9:00 am - 1:00 pm`; with both days where they differ. Midnight at the end of a day is that day's."""
    days = (end.astimezone(_zone(zone)).date() - start.astimezone(_zone(zone)).date()).days
    is_midnight = clock_time(end, zone) == "12:00 am"
    last = "midnight" if is_midnight and days == 1 else clock_time(end, zone) if days == 0 else moment(end, zone)
    return f"{moment(start, zone)} \u2013 {last}"


def friendly(at: datetime, now: datetime, zone: str) -> str:
    """`today at 2:05 pm`, `tomorrow at 9:00 am`, else `on Friday 27 November at 9:00 am`: for patients."""
    there, today = at.astimezone(_zone(zone)).date(), now.astimezone(_zone(zone)).date()
    day = {0: "today", 1: "tomorrow", -1: "yesterday"}.get((there - today).days, f"on {there:%A} {there.day} {there:%B}")
    return f"{day} at {clock_time(at, zone)}"


def span(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 05 min`, `2 d 4 h`; floored, so that nothing is told sooner than it is."""
    whole = int(abs(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def hours(seconds: float) -> str:
    """`45 min`, `12 h`, `112 h 30 min`: open hours are not told in days, which would be taken for whole ones."""
    whole, minutes = divmod(int(seconds) // 60, 60)
    return f"{whole} h {minutes} min" if whole and minutes else f"{whole} h" if whole else f"{minutes} min"


def countdown(due_at: datetime | None, now: datetime) -> str:
    """`in 12 min`, `overdue by 5 min`, or `on hold` for a deadline that stands still."""
    if due_at is None:
        return "on hold"
    left = (due_at - now).total_seconds()
    return f"overdue by {span(left)}" if left <= 0 else f"in {span(left)}"


def parse(text: str | None) -> datetime | None:
    """An RFC 3339 instant as stored in a projection, in UTC."""
    if text is None:
        return None
    return datetime.fromisoformat(text).astimezone(UTC)
