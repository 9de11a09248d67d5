"""Arithmetic of open time: deadlines, elapsed time, warnings, closings.

Called by: the domains, through `shared.calendars`.
Invariant: open_seconds(c, s, due_at(c, s, n, p), p) == n; `due_at` never falls as n or s grow; pausing counts open time only.
All amounts inside are microseconds, so that "breach iff now >= due" holds to the microsecond.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from shared.calendars.calendar import Calendar
from shared.calendars.days import LAST_YEAR, NeverOpens, OutOfRange, Span, Year, day_spans, union
from shared.calendars.wall import SECOND_US, instant, micros

YEARS_SEARCHED = 100  # a deadline further away than that is a mistake in the hours
DAYS_SEARCHED = 400  # how far a closing is looked for: over a year, so that a yearly season is found

Pauses = Iterable[tuple[datetime, datetime]]


def due_at(calendar: Calendar, start: datetime, open_seconds: int, pauses: Pauses = ()) -> datetime:
    """The UTC instant at which `open_seconds` of open, un-paused time have passed since `start`.

    A result that falls on a closing is spelled as that closing; zero seconds from a closed (or paused) moment is the next open one.
    `pauses` are (from, to), may overlap and come in any order; one that ends before it begins counts for nothing.
    Raises NeverOpens when the location does not open that long, ValueError for a negative amount or a naive instant.
    """
    need = int(open_seconds * SECOND_US)
    if need < 0:
        raise ValueError("open_seconds must not be negative")
    at = micros(start)
    for pause_start, pause_end in _spans(pauses):
        if pause_end <= at:
            continue
        if pause_start > at:
            there = _open_between(calendar, at, pause_start)
            if there and there >= need:
                break
            need -= there
        at = pause_end
    return instant(_forward(calendar, at, need))


def open_seconds(calendar: Calendar, start: datetime, end: datetime, pauses: Pauses = ()) -> int:
    """Whole open, un-paused seconds between two instants; a fraction is dropped, 0 when end <= start."""
    first, last = micros(start), micros(end)
    if last <= first:
        return 0
    total = _open_between(calendar, first, last)
    for pause_start, pause_end in _spans(pauses):
        total -= _open_between(calendar, max(pause_start, first), min(pause_end, last))
    return total // SECOND_US


def before(calendar: Calendar, due: datetime, open_seconds: int, pauses: Pauses = ()) -> datetime:
    """The latest UTC instant with `open_seconds` of open, un-paused time still to go before `due`: when a warning fires.

    One hour before Tue 11:00 at a store that opens at 8 is Tue 10:00; three hours before it is Tue 8:00, not Monday's closing.
    Zero seconds is `due` itself.
    """
    need = int(open_seconds * SECOND_US)
    if need < 0:
        raise ValueError("open_seconds must not be negative")
    at = micros(due)
    for pause_start, pause_end in reversed(_spans(pauses)):
        if need == 0 or pause_start >= at:
            continue
        if pause_end < at:
            there = _open_between(calendar, pause_end, at)
            if there >= need:
                break
            need -= there
        at = pause_start
    return instant(_backward(calendar, at, need))


def next_opening(calendar: Calendar, at: datetime) -> datetime:
    """The first open UTC instant from `at` on: `at` itself when open. NeverOpens when there is none."""
    return instant(_forward(calendar, micros(at), 0))


def local_date(calendar: Calendar, at: datetime) -> date:
    """The date on the wall of the location at an instant."""
    micros(at)  # refuses a naive instant
    try:
        return at.astimezone(calendar.zone).date()
    except OverflowError as beyond:
        raise OutOfRange(f"{at.isoformat()} is outside what a calendar covers") from beyond


def closing_of(calendar: Calendar, day: date) -> datetime | None:
    """The last closing of a local date in UTC, None when the location does not open that day.

    Open until 24:00, and so at a location that never closes, it is local midnight at the end of the day.
    """
    return _closing(calendar, day)


def last_closing(calendar: Calendar, day: date) -> datetime | None:
    """The closing of the last open date on or before `day`; None when there was none for 400 days."""
    for back in range(DAYS_SEARCHED):
        closing = _closing(calendar, day, -back)
        if closing is not None:
            return closing
    return None


def next_closing(calendar: Calendar, at: datetime) -> datetime:
    """The first closing of a day after the instant (a lunch break is none). NeverOpens when there is none for 400 days."""
    today = local_date(calendar, at)
    for ahead in range(-1, DAYS_SEARCHED):
        closing = _closing(calendar, today, ahead)
        if closing is not None and closing > at:
            return closing
    raise NeverOpens(f"the location does not close within {DAYS_SEARCHED} days: it has no opening hours")


def _closing(calendar: Calendar, day: date, days_on: int = 0) -> datetime | None:
    try:
        asked = day + timedelta(days=days_on)
        spans = day_spans(calendar.zone, asked, calendar.hours_on(asked))
    except OverflowError as beyond:
        raise OutOfRange(f"{day.isoformat()} is outside what a calendar covers") from beyond
    return instant(max(closes for _, closes in spans)) if spans else None


def _spans(pauses: Pauses) -> list[Span]:
    found = [(micros(start), micros(end)) for start, end in pauses]
    return union(span for span in found if span[0] < span[1]) if found else []


def _open_between(calendar: Calendar, start: int, end: int) -> int:
    if end <= start:
        return 0
    year = calendar.year_at(start)
    total = -year.before(start)
    while end >= year.end:
        total += year.total
        year = calendar.year_at(year.end)
    return total + year.before(end)


def _forward(calendar: Calendar, at: int, need: int) -> int:
    year = calendar.year_at(at)
    gone = year.before(at)
    for _ in range(YEARS_SEARCHED):
        if need == 0:
            opening = year.opening_from(at)
            if opening is not None:
                return opening
        elif gone + need <= year.total:
            return year.reach(gone + need)
        need -= year.total - gone
        at, gone = year.end, 0
        year = _following(calendar, year)
    raise NeverOpens(f"the location does not open long enough within {YEARS_SEARCHED} years")


def _following(calendar: Calendar, year: Year) -> Year:
    number = instant(year.end).year
    if not calendar.has_weekly_hours() and number > calendar.last_special_year() + 1:
        raise NeverOpens("the location has no opening hours from there on")
    if number > LAST_YEAR:
        raise NeverOpens("the location does not open long enough before the end of the calendar")
    return calendar.year_at(year.end)


def _backward(calendar: Calendar, at: int, need: int) -> int:
    if need == 0:
        return at
    year = calendar.year_at(at)
    there = year.before(at)
    for _ in range(YEARS_SEARCHED):
        if need <= there:
            return year.leave(there - need)
        need -= there
        year = calendar.year_at(year.start - 1)
        there = year.total
    raise NeverOpens(f"the location was not open long enough in the {YEARS_SEARCHED} years before")
