"""Who is on duty at one location: its shifts, and the overrides laid on top of them.

Owns: `Duty`, made of a location's calendar, shifts and overrides, all in wall time of the store.
Called by: `shared.reference` (whom a page goes to), the directory's API (who is on duty at T), the console (gaps before they happen).
Invariant: one sorted list of moments, compiled once, answers every question, so whoever is shown is whoever would be paged. A shift begins
and ends as opening hours do (of two equal wall times the first opens, the second closes), so a roster that repeats the hours of its store
has no gap on any day of the year. A day closed out of turn (closure, public holiday, special hours without any) takes its shifts with it;
an override is meant as it stands and is kept.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple, Protocol

from shared.calendars.calendar import Calendar
from shared.calendars.days import Span, subtract
from shared.calendars.wall import instant, micros, seconds_of, wall_us

SHIFT_DAYS_MAX: Final = 366  # one shift; of a longer one no closed day past that is taken out
_DAY_SECONDS: Final = 86_400
_FIRST_US: Final = micros(datetime.fromisoformat("0001-01-01T00:00:00+00:00"))
_LAST_US: Final = micros(datetime.fromisoformat("9999-12-31T23:59:59+00:00"))
_LAST_DAY: Final = date(9999, 12, 31)

Staff = tuple[str, ...]


class Shift(Protocol):
    """Somebody is on duty; `starts` and `ends` are wall time of the store, `YYYY-MM-DDTHH:MM`, half-open."""

    @property
    def staff_id(self) -> str: ...
    @property
    def starts(self) -> str: ...
    @property
    def ends(self) -> str: ...


class Override(Protocol):
    """Another arrangement for a span: `staff_id` comes on duty, `instead_of` goes off. Without either nobody is on duty."""

    @property
    def staff_id(self) -> str | None: ...
    @property
    def instead_of(self) -> str | None: ...
    @property
    def starts(self) -> str: ...
    @property
    def ends(self) -> str: ...


class Stretch(NamedTuple):
    """A span in UTC with everybody who is on duty for all of it."""

    starts_at: datetime
    ends_at: datetime
    staff: Staff


class Duty:
    """Who is on duty at a location, asked in UTC.

    `shifts` and `overrides` as above; overrides are laid on in their order, so that a later one goes by what an earlier one arranged.
    `left`, wherever it is asked for, are people who work here no longer: they are never on duty. Compiled at the first question.
    """

    __slots__ = ("_edges", "_is_compiled", "_staff", "calendar", "overrides", "rostered", "shifts")

    def __init__(self, calendar: Calendar, shifts: Iterable[Shift], overrides: Iterable[Override] = ()) -> None:
        self.calendar = calendar
        self.shifts: Sequence[Shift] = tuple(shifts)
        self.overrides: Sequence[Override] = tuple(overrides)
        # Whoever is on duty here at any time.
        self.rostered = frozenset(
            {shift.staff_id for shift in self.shifts} | {row.staff_id for row in self.overrides if row.staff_id is not None}
        )
        # _staff[i] is on duty from _edges[i] until _edges[i + 1], nobody before the first edge and from the last one on.
        self._edges: list[int] = []
        self._staff: list[Staff] = []
        self._is_compiled = False

    def __bool__(self) -> bool:
        """Whether the location uses a roster at all."""
        return bool(self.shifts or self.overrides)

    def on_duty(self, at: datetime, left: Collection[str] = ()) -> list[str]:
        """The staff ids on duty at an aware instant, in the order in which they came."""
        return list(self._there(self._last_edge(at), left))

    def changes_at(self, at: datetime) -> datetime | None:
        """When somebody comes or goes next after the instant; None where the roster says no more."""
        n = self._last_edge(at) + 1
        return instant(self._edges[n]) if n < len(self._edges) else None

    def comes_next(self, at: datetime, left: Collection[str] = ()) -> Stretch | None:
        """Who comes on duty next after the instant: when, until when it stays like that, and who; None where nobody does."""
        n = self._last_edge(at)
        for later in range(n + 1, len(self._edges) - 1):
            here = self._there(later - 1, left)
            new = tuple(person for person in self._there(later, left) if person not in here)
            if new:
                return Stretch(instant(self._edges[later]), instant(self._edges[later + 1]), new)
        return None

    def turn_of(self, staff_id: str, at: datetime) -> tuple[datetime, datetime]:
        """Since when somebody who is on duty at the instant has been, and until when they are, without a break."""
        first = last = self._last_edge(at)
        while first > 0 and staff_id in self._staff[first - 1]:
            first -= 1
        while staff_id in self._staff[last]:
            last += 1
        return instant(self._edges[first]), instant(self._edges[last])

    def stretches(self, start: datetime, end: datetime, left: Collection[str] = ()) -> list[Stretch]:
        """The span cut wherever somebody comes or goes; where nobody is on duty is a stretch without staff. Empty when end <= start."""
        found: list[Stretch] = []
        at, n = start, self._last_edge(start)
        while at < end:
            until = min(instant(self._edges[n + 1]), end) if n + 1 < len(self._edges) else end
            staff = self._there(n, left)
            if found and found[-1].staff == staff:
                found[-1] = found[-1]._replace(ends_at=until)
            else:
                found.append(Stretch(at, until, staff))
            at, n = until, n + 1
        return found

    def gaps(self, start: datetime, end: datetime, left: Collection[str] = ()) -> list[tuple[datetime, datetime]]:
        """Open hours of the span with nobody on duty. None at a location that uses no roster: there nobody is expected to be on one.

        Raises OutOfRange like the calendar.
        """
        if not self:
            return []
        kept = [(micros(s.starts_at), micros(s.ends_at)) for s in self.stretches(start, end, left) if s.staff]
        open_hours = self.calendar.spans(micros(start), micros(end))
        return [(instant(opens), instant(closes)) for opens, closes in subtract(open_hours, kept)]

    def _there(self, n: int, left: Collection[str]) -> Staff:
        staff = self._staff[n] if n >= 0 else ()
        return tuple(person for person in staff if person not in left) if left else staff

    def _last_edge(self, at: datetime) -> int:
        """The edge at or before the instant, -1 before the first."""
        if not self._is_compiled:
            for edge, staff in _turns(self.calendar, self.shifts, self.overrides):
                if staff != (self._staff[-1] if self._staff else ()):
                    self._edges.append(edge)
                    self._staff.append(staff)
            self._is_compiled = True
        return bisect_right(self._edges, micros(at)) - 1


def _turns(calendar: Calendar, shifts: Sequence[Shift], overrides: Sequence[Override]) -> Iterator[tuple[int, Staff]]:
    """Each moment at which something begins or ends, with who is on duty from then on."""
    closed: dict[date, bool] = {}
    begins: dict[int, list[str]] = {}
    ends: dict[int, list[str]] = {}
    for shift in shifts:
        for start, end in _worked(calendar, shift, closed):
            begins.setdefault(start, []).append(shift.staff_id)
            ends.setdefault(end, []).append(shift.staff_id)
    laid = [(*span, n) for n, override in enumerate(overrides) if (span := _span(calendar, override))]
    here: Counter[str] = Counter()
    edges = sorted({*begins, *ends, *(edge for start, end, _ in laid for edge in (start, end))})
    for edge in edges:
        here.update(begins.get(edge, ()))
        for person in ends.get(edge, ()):
            here[person] -= 1
            if not here[person]:
                del here[person]
        staff = tuple(here)
        for n in (n for start, end, n in laid if start <= edge < end):
            staff = _laid(staff, overrides[n])
        yield edge, staff


def _laid(staff: Staff, override: Override) -> Staff:
    if override.staff_id is None and override.instead_of is None:
        return ()
    kept = tuple(person for person in staff if person != override.instead_of)
    return kept if override.staff_id is None or override.staff_id in kept else (*kept, override.staff_id)


def _worked(calendar: Calendar, shift: Shift, closed: dict[date, bool]) -> list[Span]:
    """A shift without the days that are closed out of turn; `closed` remembers which ones are."""
    span = _span(calendar, shift)
    if span is None:
        return []
    first, last = date.fromisoformat(shift.starts[:10]), date.fromisoformat(shift.ends[:10])
    holes = []
    for n in range(min((last - first).days, SHIFT_DAYS_MAX) + 1):
        day = first + timedelta(days=n)
        if day not in closed:
            closed[day] = day < _LAST_DAY and not calendar.hours_on(day) and calendar.reason_of(day)[0] != "week"
        if closed[day]:
            holes.append((wall_us(calendar.zone, day, 0), wall_us(calendar.zone, day, _DAY_SECONDS)))
    # A date that the zone skipped has no hours at all.
    return subtract([span], [hole for hole in holes if hole[0] < hole[1]])


def _span(calendar: Calendar, row: Shift | Override) -> Span | None:
    """A pair of wall times as UTC microseconds; None for one that lies wholly in the hour a clock change skips: it never was."""
    start = wall_us(calendar.zone, date.fromisoformat(row.starts[:10]), seconds_of(row.starts[11:16]))
    end = wall_us(calendar.zone, date.fromisoformat(row.ends[:10]), seconds_of(row.ends[11:16]), closing=True)
    start, end = max(start, _FIRST_US), min(end, _LAST_US)
    return (start, end) if start < end else None
