"""One local year of opening hours, compiled to UTC: the only place where intervals are half-open.

Owns: `Year` (sorted, disjoint open intervals with their running total) and the rule book of one day.
Called by: `calendar`, `opentime`.
Invariant: opens[i] < closes[i] < opens[i+1]; a moment t is open iff opens[i] <= t < closes[i] for some i; every interval lies
within [start, end) of its year, so years laid side by side lose no microsecond and count none twice.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from shared.calendars.wall import BadCalendar, wall_us

__all__ = ["BadCalendar", "Hours", "NeverOpens", "OutOfRange", "Span", "Year", "subtract", "union"]

# Seconds after midnight (opening, closing), sorted and disjoint.
Hours = tuple[tuple[int, int], ...]
Span = tuple[int, int]

FIRST_YEAR = 2
LAST_YEAR = 9997  # the neighbours of a year are looked at, and datetime ends with 9999


class NeverOpens(ValueError):
    """The location does not open often enough to reach the moment asked for."""


class OutOfRange(ValueError):
    """The date lies outside the years that a calendar covers."""


class Year:
    """The open intervals of one local year in UTC microseconds. `total` is their sum, `sums[i]` the sum before interval i."""

    __slots__ = ("closes", "end", "opens", "start", "sums", "total")

    def __init__(self, zone: ZoneInfo, year: int, hours_on: Callable[[date], Hours]) -> None:
        if not FIRST_YEAR <= year <= LAST_YEAR:
            raise OutOfRange(f"the year {year} is outside what a calendar covers ({FIRST_YEAR} to {LAST_YEAR})")
        first, after = date(year, 1, 1), date(year + 1, 1, 1)
        self.start, self.end = wall_us(zone, first, 0), wall_us(zone, after, 0)
        days = (first + timedelta(days=n) for n in range((after - first).days))
        spans = union(span for day in days for span in day_spans(zone, day, hours_on(day)))
        spans = [(max(opens, self.start), min(closes, self.end)) for opens, closes in spans]
        spans = [span for span in spans if span[0] < span[1]]
        self.opens = [span[0] for span in spans]
        self.closes = [span[1] for span in spans]
        self.sums: list[int] = []
        self.total = 0
        for opens, closes in spans:
            self.sums.append(self.total)
            self.total += closes - opens

    def before(self, at: int) -> int:
        """Open microseconds of this year that lie before the moment."""
        i = bisect_right(self.opens, at) - 1
        if i < 0:
            return 0
        return self.sums[i] + min(at, self.closes[i]) - self.opens[i]

    def is_open(self, at: int) -> bool:
        """Whether the moment lies inside an interval; its closing does not."""
        i = bisect_right(self.opens, at) - 1
        return i >= 0 and at < self.closes[i]

    def reach(self, amount: int) -> int:
        """The moment at which `amount` (above 0, at most `total`) has been open: on a closing, that closing."""
        i = bisect_left(self.sums, amount) - 1
        return self.opens[i] + amount - self.sums[i]

    def leave(self, amount: int) -> int:
        """The latest moment with only `amount` (0 to below `total`) open before it: between two intervals, the next opening."""
        i = bisect_right(self.sums, amount) - 1
        return self.opens[i] + amount - self.sums[i]

    def opening_from(self, at: int) -> int | None:
        """The moment itself when open, else the next opening of this year, else None."""
        if self.is_open(at):
            return at
        i = bisect_left(self.opens, at)
        return self.opens[i] if i < len(self.opens) else None

    def spans(self, start: int, end: int) -> list[Span]:
        """The intervals between two moments, clipped to them."""
        i = max(bisect_right(self.opens, start) - 1, 0)
        j = bisect_left(self.opens, end)
        clipped = [(max(a, start), min(b, end)) for a, b in zip(self.opens[i:j], self.closes[i:j], strict=True)]
        return [span for span in clipped if span[0] < span[1]]


def day_spans(zone: ZoneInfo, day: date, hours: Hours) -> list[Span]:
    """The open intervals of one local date in UTC microseconds. Empty for a date that the zone skipped (Apia, 2011-12-30)."""
    if not hours:
        return []
    # Within the gap both ends may pass one another (02:30-03:15 on the spring day): such an interval never was.
    spans = [(wall_us(zone, day, opens), wall_us(zone, day, closes, closing=True)) for opens, closes in hours]
    spans = [span for span in spans if span[0] < span[1]]
    if spans and wall_us(zone, day, 0) >= wall_us(zone, day, 86_400):
        return []
    return spans


def union(spans: Iterable[Span]) -> list[Span]:
    """Sorted and disjoint; what touches is joined."""
    joined: list[Span] = []
    for opens, closes in sorted(spans):
        if joined and opens <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], closes))
        else:
            joined.append((opens, closes))
    return joined


def subtract(spans: Sequence[Span], holes: Sequence[Span]) -> list[Span]:
    """What is left of sorted, disjoint spans outside sorted, disjoint holes."""
    left: list[Span] = []
    for opens, closes in spans:
        at = opens
        for hole_start, hole_end in holes:
            if hole_end <= at or hole_start >= closes:
                continue
            if hole_start > at:
                left.append((at, hole_start))
            at = hole_end
        if at < closes:
            left.append((at, closes))
    return left
