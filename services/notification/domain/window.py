"""When a patient may be texted, and how often.

Called by `judge`.
Invariant: a text outside the window is deferred, never dropped; a window nobody can be inside of lets nothing out.
Source: 47 CFR 64.1200(c)(1), 8:00-21:00 where the called person is, narrowed to 9-20 in the store's zone and the number's;
the counts of (a)(9)(iv) where only the exemption for health care applies: one a day, three a week.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import phonenumbers
from phonenumbers import timezone as number_zones

# More zones than this and the number tells nothing about where its owner is (toll-free, whole countries).
_ZONES_MAX = 3
DAY, WEEK = timedelta(days=1), timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Window:
    """Local times between which texts leave, half-open."""

    start: time = time(9)
    end: time = time(20)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the group set: windows (the default, and others by the store's state), and the most texts a day and a week."""

    window: Window = Window()
    per_state: dict[str, Window] = field(default_factory=dict)
    per_day: int = 3
    per_week: int = 6
    exempt_per_day: int = 1
    exempt_per_week: int = 3
    undo: timedelta = timedelta(seconds=30)

    def window_of(self, state: str | None) -> Window:
        """The window of a US state (`NY`), else the default."""
        return self.per_state.get((state or "").removeprefix("US-"), self.window)


def e164(written: str, region: str = "US") -> str | None:
    """A number as written in `region` in E.164, or None where it is not a valid number."""
    try:
        number = phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def zones_of(number: str, store_zone: str) -> tuple[str, ...]:
    """The zones in which it must be daytime to text `number` (E.164): the store's, and the number's where it has one."""
    return tuple(dict.fromkeys((store_zone, *_own_zones(number))))


@lru_cache(maxsize=1024)
def _own_zones(number: str) -> tuple[str, ...]:
    """A number's zones by the numbering plan. The same number is asked about when a text is wished for and soon after, when it leaves."""
    try:
        known = number_zones.time_zones_for_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        known = ()
    named = tuple(zone for zone in known if zone != number_zones.UNKNOWN_TIMEZONE)
    return named if len(named) <= _ZONES_MAX else ()


def opens_at(now: datetime, zones: Iterable[str], window: Window) -> datetime | None:
    """The first instant from `now` (UTC) on that lies inside `window` in every zone; None where there is none in two weeks."""
    if window.start >= window.end:
        return None
    places = [ZoneInfo(zone) for zone in zones]
    at, limit = now, now + 2 * WEEK
    while at <= limit:
        later = max((_next_opening(at, place, window) for place in places), default=at)
        if later == at:
            return at
        at = later
    return None


def free_at(now: datetime, sent_at: Sequence[datetime], rules: Rules, *, has_consent: bool) -> datetime:
    """The first instant from `now` on at which one more text keeps to the most a day and a week.

    `sent_at`: when texts that count left in the last seven days. Any 24 hours are a day, any seven days a week.
    """
    per_day, per_week = (rules.per_day, rules.per_week) if has_consent else (rules.exempt_per_day, rules.exempt_per_week)
    at = now
    for most, span in ((per_day, DAY), (per_week, WEEK)):
        recent = sorted(sent for sent in sent_at if sent > at - span)
        if len(recent) >= most:
            at = max(at, recent[len(recent) - most] + span if most else now + WEEK)
    return at


def _next_opening(at: datetime, place: ZoneInfo, window: Window) -> datetime:
    local = at.astimezone(place)
    if window.start <= local.time() < window.end:
        return at
    day = local.date() if local.time() < window.start else local.date() + timedelta(days=1)
    return datetime.combine(day, window.start, place).astimezone(at.tzinfo)
