"""The opening hours of one location.

Owns: `Calendar`, an immutable value made of wall times and an IANA zone.
Called by: `shared.reference` (one a location), the domains through `shared.calendars`.
Invariant: an override beats a holiday, both beat the week; breaks are taken out of whatever is left; equal hours make equal calendars.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

from shared.calendars.days import BadCalendar, Hours, OutOfRange, Span, Year, subtract, union
from shared.calendars.public import public_holidays
from shared.calendars.wall import instant, micros, seconds_of, wall_us, zone_of

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
YEARS_KEPT = 12  # compiled years a calendar holds on to, about 20 KB each

Clock = str | time
DayReason = Literal["special", "closure", "holiday", "week"]
Windows = Sequence[Sequence[Clock]]


class Calendar:
    """Opening hours in wall time, asked in UTC.

    `timezone`: IANA name. `weekly`: "mon" to "sun" to [(open, close)], each "HH:MM", "24:00" ends a day; a day left out is closed.
    `holidays`: dates without opening. `overrides`: date to its own hours, [] for closed; an override beats a holiday, both beat the week.
    `breaks`: date to [(from, to)] taken out of the hours of that date. `observes`: (country, subdivision or None) whose public
    holidays are kept too. Dates are `date` or ISO text. Raises BadCalendar, whose `pointer` names the value at fault.
    """

    __slots__ = ("_breaks", "_holidays", "_key", "_observes", "_overrides", "_week", "_years", "timezone", "zone")

    def __init__(
        self,
        timezone: str,
        weekly: Mapping[str, Windows],
        holidays: Iterable[date | str] = (),
        overrides: Mapping[Any, Windows] | None = None,
        *,
        breaks: Mapping[Any, Windows] | None = None,
        observes: tuple[str, str | None] | None = None,
    ) -> None:
        self.timezone = timezone
        self.zone: ZoneInfo = zone_of(timezone)
        self._week = _week(weekly)
        if isinstance(holidays, str) or not isinstance(holidays, Iterable):
            raise BadCalendar("the days without opening are a list of dates", "/holidays")
        self._holidays = frozenset(_date(day, f"/holidays/{n}") for n, day in enumerate(holidays))
        self._overrides = _by_date(overrides, "overrides")
        self._breaks = _by_date(breaks, "breaks")
        self._observes = observes
        if observes is not None:
            public_holidays(*observes, 2000)  # a country that nobody knows is refused here, not at the first deadline
        self._years: dict[int, Year] = {}
        self._key = (
            timezone,
            self._week,
            self._holidays,
            tuple(sorted(self._overrides.items())),
            tuple(sorted(self._breaks.items())),
            observes,
        )

    @classmethod
    def of(cls, location: Mapping[str, Any]) -> Self:
        """The calendar of a location as the directory writes it (`timezone`, `weekly`, `closures`, `overrides`, `observe_holidays`,
        `country`, `subdivision`; optional `breaks`). BadCalendar when it cannot be read."""
        observes: tuple[str, str | None] | None = None
        if location.get("observe_holidays"):
            country = location.get("country")
            if not country:
                raise BadCalendar("a location that observes public holidays needs its country", "/country")
            observes = (country, location.get("subdivision") or None)
        try:
            return cls(
                location.get("timezone") or "",
                location.get("weekly") or {},
                location.get("closures") or (),
                location.get("overrides") or {},
                breaks=location.get("breaks") or {},
                observes=observes,
            )
        except BadCalendar as bad:
            if bad.pointer.startswith("/holidays"):
                raise BadCalendar(bad.detail, bad.pointer.replace("/holidays", "/closures", 1)) from bad
            raise

    def hours_on(self, day: date) -> Hours:
        """Wall hours of a local date as seconds after midnight, breaks taken out; empty when closed."""
        hours = self._overrides.get(day)
        if hours is None:
            hours = () if self.is_holiday(day) else self._week[day.weekday()]
        breaks = self._breaks.get(day)
        return tuple(subtract(hours, breaks)) if breaks else hours

    def is_holiday(self, day: date) -> bool:
        """Whether the date is a closure or an observed public holiday; an override may open it all the same."""
        if day in self._holidays:
            return True
        return self._observes is not None and day in public_holidays(*self._observes, day.year)

    def reason_of(self, day: date) -> tuple[DayReason, str]:
        """What the hours of a local date come from: its own (`special`), a closure, a public holiday with its name, or the week."""
        if day in self._overrides:
            return "special", ""
        name = public_holidays(*self._observes, day.year).get(day) if self._observes is not None else None
        if name is not None:
            return "holiday", name
        return ("closure", "") if day in self._holidays else ("week", "")

    def is_open(self, at: datetime) -> bool:
        """Whether the location is open at an aware instant. The closing itself is closed."""
        us = micros(at)
        return self.year_at(us).is_open(us)

    def intervals(self, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """Open intervals in UTC, sorted, disjoint, clipped to [start, end); empty when end <= start."""
        return [(instant(opens), instant(closes)) for opens, closes in self.spans(micros(start), micros(end))]

    def spans(self, start: int, end: int) -> list[Span]:
        """`intervals` in UTC microseconds."""
        found: list[Span] = []
        at = start
        while at < end:
            year = self.year_at(at)
            found += year.spans(at, min(end, year.end))
            at = year.end
        return union(found)

    def year_at(self, us: int) -> Year:
        """The compiled local year that a moment lies in."""
        try:
            number = instant(us).year
        except OverflowError as beyond:
            raise OutOfRange("the moment lies outside what a calendar covers") from beyond
        year = self.year(number)
        if us < year.start:
            return self.year(number - 1)
        return self.year(number + 1) if us >= year.end else year

    def year(self, number: int) -> Year:
        """The compiled local year of that number. OutOfRange outside 2 to 9997."""
        known = self._years.get(number)
        if known is None:
            known = Year(self.zone, number, self.hours_on)
            if len(self._years) >= YEARS_KEPT:
                self._years.clear()
            self._years[number] = known
        return known

    def last_special_year(self) -> int:
        """The year of the last override, 0 without any: past it only the week opens the doors."""
        return max((day.year for day in self._overrides), default=0)

    def has_weekly_hours(self) -> bool:
        """Whether any day of the week has hours."""
        return any(self._week)

    def midnight_after(self, day: date) -> int:
        """UTC microseconds of the end of a local date."""
        return wall_us(self.zone, day, 86_400)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Calendar) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"Calendar({self.timezone!r}, {sum(map(len, self._week))} weekly windows, {len(self._overrides)} overrides)"


def _week(weekly: Mapping[str, Windows]) -> tuple[Hours, ...]:
    if not isinstance(weekly, Mapping):
        raise BadCalendar("the weekly hours are a table of the days mon to sun", "/weekly")
    strange = [name for name in weekly if name not in DAYS]
    if strange:
        raise BadCalendar(f"{strange[0]!r} is no day of the week: the days are {', '.join(DAYS)}", f"/weekly/{strange[0]}")
    return tuple(_hours(weekly.get(name), f"/weekly/{name}") for name in DAYS)


def _hours(windows: Windows | None, pointer: str) -> Hours:
    if windows is None:
        return ()
    if isinstance(windows, str) or not isinstance(windows, Sequence):
        raise BadCalendar('hours are a list of pairs, such as [["09:00", "17:00"]]', pointer)
    spans = []
    for n, window in enumerate(windows):
        if isinstance(window, str) or not isinstance(window, Sequence) or len(window) != 2:
            raise BadCalendar('a window is a pair, such as ["09:00", "17:00"]', f"{pointer}/{n}")
        opens, closes = (seconds_of(at, f"{pointer}/{n}/{side}") for side, at in enumerate(window))
        if closes <= opens:
            raise BadCalendar(
                f"{window[0]} to {window[1]} ends before it begins: past midnight write two windows, one up to 24:00 "
                "and one from 00:00 on the next day",
                f"{pointer}/{n}",
            )
        spans.append((opens, closes))
    return tuple(union(spans))


def _by_date(table: Mapping[Any, Windows] | None, name: str) -> dict[date, Hours]:
    if table is not None and not isinstance(table, Mapping):
        raise BadCalendar(f"{name} is a table from dates to hours", f"/{name}")
    return {_date(day, f"/{name}/{day}"): _hours(windows, f"/{name}/{day}") for day, windows in (table or {}).items()}


def _date(day: date | str, pointer: str) -> date:
    if isinstance(day, datetime) or not isinstance(day, date | str):
        raise BadCalendar(f"{day!r} is no date", pointer)
    if isinstance(day, date):
        return day
    try:
        return date.fromisoformat(day)
    except ValueError as bad:
        raise BadCalendar(f"{day!r} is no date: write it as 2026-12-24", pointer) from bad
