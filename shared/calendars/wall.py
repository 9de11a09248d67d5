"""Wall time of a zone turned into UTC microseconds, the one unit that the open-time arithmetic counts in.

Called by: `days`, `calendar`, `opentime`.
Invariant: a wall time in the spring gap moves forward by the gap (02:30 becomes 03:30); of an ambiguous one an opening takes the
first occurrence and a closing the second; 24:00 is the first midnight of the next day (zoneinfo, PEP 495).
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_US = 1_000_000

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_DAY_SECONDS = 86_400


class BadCalendar(ValueError):
    """The opening hours cannot be read. `pointer` (RFC 6901) names the value at fault."""

    def __init__(self, detail: str, pointer: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer


def micros(at: datetime) -> int:
    """UTC microseconds since 1970 of an aware instant. A naive one is a ValueError: it names no moment."""
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no zone: an instant must be aware")
    gone = at - EPOCH
    return (gone.days * _DAY_SECONDS + gone.seconds) * SECOND_US + gone.microseconds


def instant(us: int) -> datetime:
    """The UTC instant that many microseconds after 1970."""
    return EPOCH + timedelta(microseconds=us)


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """The IANA zone of that name, else BadCalendar: a location without a zone is a configuration error."""
    if not isinstance(name, str) or not name:
        raise BadCalendar("a calendar needs the IANA name of its zone, such as America/New_York", "/timezone")
    try:
        return ZoneInfo(name)
    except (ValueError, OSError) as unknown:  # ZoneInfoNotFoundError is a KeyError, caught below
        raise BadCalendar(f"{name!r} is no IANA zone", "/timezone") from unknown
    except KeyError as unknown:
        raise BadCalendar(f"{name!r} is no IANA zone", "/timezone") from unknown


def seconds_of(text: str | time, pointer: str = "") -> int:
    """Seconds after midnight of "HH:MM" or "HH:MM:SS"; "24:00" is 86,400, the end of the day."""
    if isinstance(text, time):
        return text.hour * 3600 + text.minute * 60 + text.second
    if not isinstance(text, str):
        raise BadCalendar(f'{text!r} is no time of day: write it in quotes, such as "09:00"', pointer)
    parts = text.split(":")
    if len(parts) in (2, 3) and all(len(part) == 2 and part.isascii() and part.isdigit() for part in parts):
        hour, minute, second = (*map(int, parts), 0)[:3]
        if minute < 60 and second < 60 and (hour < 24 or (hour, minute, second) == (24, 0, 0)):
            return hour * 3600 + minute * 60 + second
    raise BadCalendar(f"{text!r} is no time of day between 00:00 and 24:00", pointer)


def wall_us(zone: ZoneInfo, day: date, seconds: int, *, closing: bool = False) -> int:
    """UTC microseconds of a wall time on a day. `seconds` after midnight, 0 to 86,400."""
    if seconds >= _DAY_SECONDS:
        day, seconds, closing = day + timedelta(days=1), 0, False
    wall = datetime(day.year, day.month, day.day, seconds // 3600, seconds // 60 % 60, seconds % 60, tzinfo=zone)
    local = (day.toordinal() - _EPOCH_ORDINAL) * _DAY_SECONDS + seconds
    first = local - _offset_seconds(wall)
    if not closing:
        return first * SECOND_US
    # In the gap the later of both readings is the one moved forward, in the ambiguous hour it is the second occurrence.
    return max(first, local - _offset_seconds(wall.replace(fold=1))) * SECOND_US


def wall_to_utc(timezone: str, day: date, at: str | time, *, closing: bool = False) -> datetime:
    """The UTC instant of a wall time ("HH:MM", up to "24:00") on a local date. `closing`: of two occurrences take the second."""
    return instant(wall_us(zone_of(timezone), day, seconds_of(at), closing=closing))


def _offset_seconds(wall: datetime) -> int:
    offset = wall.utcoffset()
    if offset is None:
        raise BadCalendar(f"the zone knows no offset for {wall.isoformat()}", "/timezone")
    return offset.days * _DAY_SECONDS + offset.seconds
