"""Shifts out of an iCalendar file (RFC 5545): what VEVENTs say of whom, from when to when, and when again.

Called by `sheets`. Invariant: whatever is sent is read in bounded time: components nest no deeper than a calendar's do, a rule recurs daily
or weekly and ends, or is cut, within a year, and all rules of a file together are walked a bounded number of steps. What is not understood
is a fault of its line, never left out in silence.
Times are those of their TZID (an IANA zone, or Windows' name of one), of UTC, or the store's own; VTIMEZONE is not read.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import takewhile
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from shared.kernel.errors import Rejected

AHEAD: Final = timedelta(days=366)  # how far a rule is followed
BEHIND: Final = timedelta(days=31)  # how far back what recurred is still of interest
STEPS_MAX: Final = 50_000  # of all rules of a file together
DEPTH_MAX: Final = 4
FAULTS_MAX: Final = 100
YEARS: Final = range(1970, 2200)
RULE: Final = {"FREQ", "UNTIL", "COUNT", "INTERVAL", "BYDAY", "WKST"}
DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
READ: Final = {
    "BEGIN", "END", "UID", "DTSTART", "DTEND", "DURATION", "RRULE", "EXDATE", "RDATE", "EXRULE", "RECURRENCE-ID", "SUMMARY", "STATUS",
    "ATTENDEE", "ORGANIZER",
}  # fmt: skip
ONE_EACH: Final = READ - {"BEGIN", "END", "EXDATE", "ATTENDEE"}
_NAME = re.compile(r"[A-Za-z0-9-]+(?=[;:])")

Found = tuple[int, str, str, str]
Fault = tuple[int, str]


class Property(NamedTuple):
    line: int
    params: Mapping[str, Any]
    value: str


@dataclass(slots=True)
class Event:
    """A VEVENT as it is written; `line` is where it begins."""

    line: int
    has: dict[str, list[Property]] = field(default_factory=dict)

    def one(self, name: str) -> Property | None:
        return self.has[name][0] if name in self.has else None


class Bad(ValueError):
    """Something in a line is not understood."""

    def __init__(self, line: int, detail: str) -> None:
        super().__init__(detail)
        self.line, self.detail = line, detail


def read_events(text: str, timezone: str, now: datetime, shifts_max: int) -> tuple[list[Found], list[Fault], int]:
    """(line, who, starts, ends) of each shift in wall time of the store, the faults, and how many events were left out.

    Raises Rejected `malformed-calendar` where it is no calendar, `too-many-shifts`.
    """
    events = _events(text)
    reader = Reader(timezone, now, _moved(events, timezone))
    found: list[Found] = []
    faults: list[Fault] = []
    for event in events:
        try:
            for shift in reader.shifts_of(event):
                found.append(shift)
                if len(found) > shifts_max:
                    raise Rejected("too-many-shifts", f"The file has more than {shifts_max} shifts.")
        except Bad as bad:
            faults.append((bad.line, bad.detail))
        if len(faults) >= FAULTS_MAX:
            break
    return found, faults, reader.left_out


class Reader:
    """Reads the events of one file; `moved` are the moments that single events take out of a rule, by UID."""

    def __init__(self, timezone: str, now: datetime, moved: Mapping[str, set[datetime]]) -> None:
        self._zone, self._now, self._moved = ZoneInfo(timezone), now, moved
        self._steps = 0
        self.left_out = 0

    def shifts_of(self, event: Event) -> Iterator[Found]:
        """The shifts of an event. Raises Bad, Rejected `too-many-shifts`."""
        for name in ("RDATE", "EXRULE"):
            if (extra := event.one(name)) is not None:
                raise Bad(extra.line, f"{name} is not read; write the shifts as events of their own")
        status = event.one("STATUS")
        people = [] if status is not None and status.value.upper() == "CANCELLED" else _people(event)
        if not people:
            self.left_out += 1
            return
        start, is_day = self._start(event)
        length = self._length(event, start, is_day)
        for begins in self._starts(event, start):
            starts, ends = self._wall(begins), self._wall(begins + length)
            for who in people:
                yield event.line, who, starts, ends

    def _start(self, event: Event) -> tuple[datetime, bool]:
        given = event.one("DTSTART")
        instead = event.one("RECURRENCE-ID")
        if given is None:
            raise Bad(event.line, "the event has no DTSTART")
        if instead is not None and "RANGE" in instead.params:
            raise Bad(instead.line, "a RECURRENCE-ID stands for one event, not for those after it")
        if instead is not None:
            _moment(instead, self._zone)
        start = _moment(given, self._zone)
        return start, _is_day(given)

    def _length(self, event: Event, start: datetime, is_day: bool) -> timedelta:
        """In wall time of the zone that the event begins in: a shift across a clock change ends when its clock says so."""
        given, lasts = event.one("DTEND"), event.one("DURATION")
        if given is not None:
            end = _moment(given, self._zone)
            length = end.astimezone(start.tzinfo).replace(tzinfo=None) - start.replace(tzinfo=None)
        elif lasts is not None:
            length = _value(lasts, timedelta)
        elif is_day:
            length = timedelta(days=1)
        else:
            raise Bad(event.line, "the event has no DTEND and no DURATION")
        if not timedelta(0) < length <= AHEAD:
            raise Bad((given or lasts or Property(event.line, {}, "")).line, "the event ends after it begins, and within a year")
        return length

    def _starts(self, event: Event, start: datetime) -> Iterator[datetime]:
        rule = event.one("RRULE")
        if rule is None:
            yield start
            return
        if event.one("RECURRENCE-ID") is not None:
            raise Bad(rule.line, "a single event of a rule has no rule of its own")
        days, moments = _left_out(event, self._zone)
        uid = event.one("UID")
        moments |= self._moved.get(uid.value, set()) if uid is not None else set()
        for at in _recurring(rule, start, self._now + AHEAD):
            self._steps += 1
            if self._steps > STEPS_MAX:
                raise Rejected("too-many-shifts", "The rules of the file recur too often; let them begin later.")
            begins = at.replace(tzinfo=start.tzinfo)
            if begins < self._now - BEHIND or begins in moments or at.date() in days:
                continue
            yield begins

    def _wall(self, at: datetime) -> str:
        """Wall time of the store; as it is written where it is the store's own, also in the hour that a clock change skips or repeats."""
        there = at if at.tzinfo == self._zone else at.astimezone(self._zone)
        return there.strftime("%Y-%m-%dT%H:%M")


def _events(text: str) -> list[Event]:
    """The VEVENTs of a file, folded lines joined. Raises Rejected `malformed-calendar`."""
    from icalendar.parser import Contentline

    events: list[Event] = []
    inside: list[str] = []
    for number, line in _unfolded(text):
        named = _NAME.match(line)
        name = named[0].upper() if named else ""
        if not inside and (name, line.partition(":")[2].strip().upper()) != ("BEGIN", "VCALENDAR"):
            raise Rejected("malformed-calendar", f"Line {number}: a calendar begins with BEGIN:VCALENDAR.")
        if name not in READ:
            continue
        try:
            _, params, value = Contentline(line).parts()
        except ValueError:
            raise Rejected("malformed-calendar", f"Line {number} is no line of a calendar.") from None
        if name == "BEGIN":
            inside.append(value.upper())
            if len(inside) > DEPTH_MAX:
                raise Rejected("malformed-calendar", f"Line {number}: components nest no deeper than {DEPTH_MAX}.")
            if inside[-1] == "VEVENT":
                events.append(Event(number))
        elif name == "END":
            if inside.pop() != value.upper():
                raise Rejected("malformed-calendar", f"Line {number} ends what did not begin.")
        elif inside[-1] == "VEVENT":
            given = events[-1].has.setdefault(name, [])
            if given and name in ONE_EACH:
                raise Rejected("malformed-calendar", f"Line {number}: an event has one {name}.")
            given.append(Property(number, params, value))
    if inside:
        raise Rejected("malformed-calendar", f"{inside[-1]} does not end.")
    return events


def _unfolded(text: str) -> Iterator[tuple[int, str]]:
    """Logical lines with the number of their first physical one (RFC 5545, 3.1)."""
    begun, parts = 0, list[str]()
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        if line[:1] in (" ", "\t") and parts:
            parts.append(line[1:])
            continue
        if parts:
            yield begun, "".join(parts)
        begun, parts = number, [line] if line.strip() else []
    if parts:
        yield begun, "".join(parts)


def _people(event: Event) -> list[str]:
    """Whoever attends and did not decline; without any attendee the person in the summary, else the organizer. Empty: all declined."""
    attending = [given for given in event.has.get("ATTENDEE", ()) if given.params.get("CUTYPE", "").upper() not in ("ROOM", "RESOURCE")]
    if attending:
        return [_address(given) for given in attending if str(given.params.get("PARTSTAT", "")).upper() != "DECLINED"]
    summary, organizer = event.one("SUMMARY"), event.one("ORGANIZER")
    if summary is not None and summary.value.strip():
        return [re.sub(r"\\([\\;,])", r"\1", summary.value).strip()]
    if organizer is not None:
        return [_address(organizer)]
    raise Bad(event.line, "the event names nobody: an ATTENDEE, or a SUMMARY that is a person's id or name")


def _address(given: Property) -> str:
    return re.sub(r"(?i)^mailto:", "", given.value.strip())


def _is_day(given: Property) -> bool:
    return re.fullmatch(r"\d{8}", given.value.strip()) is not None


def _moment(given: Property, zone: ZoneInfo) -> datetime:
    """In the zone it is written in; a day is its midnight at the store."""
    value = _value(given, date)
    if not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if value.year not in YEARS:
        raise Bad(given.line, f"a year between {YEARS[0]} and {YEARS[-1]}")
    if value.tzinfo is not None:
        return value.astimezone(UTC)
    return value.replace(tzinfo=_zone(given, zone))


def _zone(given: Property, zone: ZoneInfo) -> ZoneInfo:
    name = given.params.get("TZID")
    if name is None:
        return zone
    from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

    try:
        return ZoneInfo(WINDOWS_TO_OLSON.get(str(name), str(name)))
    except (ValueError, OSError, KeyError):
        raise Bad(given.line, "the TZID is no zone that is known") from None


def _value(given: Property, kind: type[Any]) -> Any:
    from icalendar.prop import vDDDTypes

    try:
        value = vDDDTypes.from_ical(given.value.strip())
    except (ValueError, OverflowError, TypeError, KeyError, AttributeError):
        value = None
    if not isinstance(value, kind):
        raise Bad(given.line, "is no date, time or duration of a calendar")
    return value


def _left_out(event: Event, zone: ZoneInfo) -> tuple[set[date], set[datetime]]:
    """What EXDATE takes out of a rule: whole days, and moments."""
    days: set[date] = set()
    moments: set[datetime] = set()
    for given in event.has.get("EXDATE", ()):
        for part in given.value.split(","):
            one = given._replace(value=part)
            at = _moment(one, zone)
            if _is_day(one):
                days.add(at.date())
            else:
                moments.add(at)
    return days, moments


def _moved(events: list[Event], timezone: str) -> dict[str, set[datetime]]:
    """The moments that single events with a RECURRENCE-ID stand in for, by UID; what cannot be read is told when its event is."""
    moved: dict[str, set[datetime]] = {}
    for event in events:
        uid, instead = event.one("UID"), event.one("RECURRENCE-ID")
        if uid is not None and instead is not None:
            with suppress(Bad):
                moved.setdefault(uid.value, set()).add(_moment(instead, ZoneInfo(timezone)))
    return moved


def _recurring(rule: Property, start: datetime, until: datetime) -> Iterator[datetime]:
    """The wall times of a daily or weekly rule, up to `until`."""
    from dateutil import rrule
    from icalendar.prop import vRecur

    try:
        parts = dict(vRecur.from_ical(rule.value))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Bad(rule.line, "the RRULE is none of a calendar") from None
    frequency = str(parts.get("FREQ", [""])[0]).upper()
    if frequency not in ("DAILY", "WEEKLY") or not set(parts) <= RULE:
        raise Bad(rule.line, "a shift recurs daily or weekly, with INTERVAL, BYDAY, UNTIL, COUNT; write others as events of their own")
    interval, count = int(parts.get("INTERVAL", [1])[0]), int(parts.get("COUNT", [STEPS_MAX])[0])
    days = [str(day).upper() for day in parts.get("BYDAY", [])]
    # Every seventh day is always the same day of the week: on another one it would be looked for until the end of all years.
    is_never = frequency == "DAILY" and bool(days) and interval % 7 == 0
    if is_never or not (1 <= interval <= AHEAD.days and 1 <= count <= STEPS_MAX) or not set(days) <= set(DAYS):
        raise Bad(rule.line, "the RRULE recurs too often or too seldom for a roster, or on no day of the week")
    last = _last(parts, start, until)
    recurring = rrule.rrule(
        rrule.DAILY if frequency == "DAILY" else rrule.WEEKLY,
        dtstart=start.replace(tzinfo=None),
        interval=interval,
        count=count,
        byweekday=[DAYS.index(day) for day in days] or None,
        wkst=DAYS.index(str(parts.get("WKST", ["MO"])[0]).upper()),
    )
    yield from takewhile(lambda at: at <= last, recurring)


def _last(parts: Mapping[str, Any], start: datetime, until: datetime) -> datetime:
    """When a rule ends, `until` at the latest, in wall time of the zone that the event begins in; a day means all of it."""
    horizon = until.astimezone(start.tzinfo).replace(tzinfo=None)
    given = parts.get("UNTIL", [until])[0]
    if given.year not in YEARS:
        return horizon
    if not isinstance(given, datetime):
        return min(horizon, datetime.combine(given, time.max))
    return min(horizon, given.astimezone(start.tzinfo).replace(tzinfo=None) if given.tzinfo is not None else given)
