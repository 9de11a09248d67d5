"""A target's time taken apart: which stretches counted, which the clock stood for, and why the store was closed in between.

Called by `explain`. Invariant: the counted stretches of a target that has a due time add up to its open seconds, to the second, by the
hours and the pauses that it was counted with; every instant between its start and its end lies in exactly one stretch.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Literal

from services.escalation.domain.case import ALWAYS, Case, Pause, Target
from shared.calendars import Calendar, NeverOpens, due_at, local_date

STRETCHES_MAX = 400  # over a year of days; a deadline further away is told by its totals
DAYS_NAMED_MAX = 7  # of one long closing
OPEN = "The store was open."

Kind = Literal["counted", "paused", "closed"]
Cut = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Half-open. `seconds` of it are open time (counted, or lost to a pause); `total_seconds` have been counted by its end."""

    starts_at: datetime
    ends_at: datetime
    kind: Kind
    seconds: int
    total_seconds: int
    words: str


@dataclass(frozen=True, slots=True)
class Apart:
    """`stretches` up to where the target ends (its due time, or now while it stands); `is_whole` unless there were too many."""

    stretches: tuple[Stretch, ...]
    counted_seconds: int
    paused_seconds: int
    is_whole: bool
    is_elapsed: bool


def take_apart(target: Target, case: Case, calendar: Calendar, settled_at: datetime | None, now: datetime) -> Apart:
    """The target from its start to its due time. `settled_at`: when it was met or cancelled; pauses after that moved nothing.

    One that has no due time, because it stood when it ended or stands now, goes up to there.
    """
    end = max(target.due_at or settled_at or now, target.starts_at)
    known_by = target.breached_at if target.state == "breached" else settled_at
    pauses = [*case.pauses, *_running_pause(case, now)]
    if target.due_at is not None:
        pauses = [pause for pause in case.pauses if known_by is None or pause.ends_at <= known_by]
    words_counted = _how_it_counts(target, calendar)
    counting = calendar if words_counted == OPEN else ALWAYS
    stretches, counted, paused = [], timedelta(), timedelta()
    for starts_at, ends_at, kind, pause in _cuts(target.starts_at, end, counting.intervals(target.starts_at, end), pauses):
        before = counted
        if kind == "counted":
            counted += ends_at - starts_at
        elif kind == "paused":
            paused += ends_at - starts_at
        seconds = _whole(counted) - _whole(before) if kind == "counted" else _whole(ends_at - starts_at) if kind == "paused" else 0
        words = words_counted if kind == "counted" else _words(kind, pause, starts_at, ends_at, calendar)
        stretches.append(Stretch(starts_at, ends_at, kind, seconds, _whole(counted), words))
    is_whole = len(stretches) <= STRETCHES_MAX
    return Apart(tuple(stretches[:STRETCHES_MAX]), _whole(counted), _whole(paused), is_whole, is_elapsed=counting is ALWAYS)


def _how_it_counts(target: Target, calendar: Calendar) -> str:
    """In open time; or in elapsed time, by the plan or because the store never opens."""
    if target.is_elapsed:
        return "Elapsed time: every hour counts."
    try:
        due_at(calendar, target.starts_at, target.open_seconds)
    except NeverOpens:
        return "The store has no opening hours: every hour counts."
    return OPEN


def _running_pause(case: Case, now: datetime) -> tuple[Pause, ...]:
    if case.paused_reason is None or case.paused_at is None:
        return ()
    return (Pause(case.paused_reason, case.paused_at, max(now, case.paused_at)),)


def _cuts(start: datetime, end: datetime, opened: Sequence[Cut], pauses: Iterable[Pause]) -> Iterator[tuple[datetime, datetime, Kind, str]]:
    """[start, end) cut wherever the store opens or closes and wherever a pause begins or ends; neighbours of one kind are one stretch."""
    stops = [pause for pause in pauses if pause.starts_at < end and pause.ends_at > start]
    edges = {start, end, *(edge for cut in opened for edge in cut)}
    edges.update(edge for pause in stops for edge in (pause.starts_at, pause.ends_at) if start < edge < end)
    ordered = sorted(edges)
    held: tuple[datetime, datetime, Kind, str] | None = None
    at = 0
    for begins, ends in pairwise(ordered):
        while at < len(opened) and opened[at][1] <= begins:
            at += 1
        is_open = at < len(opened) and opened[at][0] <= begins
        reason = next((pause.reason for pause in stops if pause.starts_at <= begins < pause.ends_at), "") if is_open else ""
        kind: Kind = "closed" if not is_open else "paused" if reason else "counted"
        if held is not None and held[2:] == (kind, reason):
            held = (held[0], ends, kind, reason)
            continue
        if held is not None:
            yield held
        held = (begins, ends, kind, reason)
    if held is not None:
        yield held


def _words(kind: Kind, reason: str, starts_at: datetime, ends_at: datetime, calendar: Calendar) -> str:
    if kind == "paused":
        return f"The clock stood: {reason.replace('_', ' ')}."
    first, last = local_date(calendar, starts_at), local_date(calendar, ends_at - timedelta(microseconds=1))
    named = [_why(day, calendar) for day in _whole_days(starts_at, ends_at, first, last, calendar)]
    if named:
        more = f" and {len(named) - DAYS_NAMED_MAX} more days" if len(named) > DAYS_NAMED_MAX else ""
        return f"The store was closed ({', '.join(named[:DAYS_NAMED_MAX])}{more})."
    if first == last and _opens_on_both_sides(starts_at, ends_at, first, calendar):
        return "The store had a break."
    return "The store was closed for the night." if first != last else "The store was not open."


def _whole_days(starts_at: datetime, ends_at: datetime, first: date, last: date, calendar: Calendar) -> list[date]:
    """The local dates between two moments on which the store opened for none of it because of what day it is."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return [day for day in days if not calendar.hours_on(day)]


def _opens_on_both_sides(starts_at: datetime, ends_at: datetime, day: date, calendar: Calendar) -> bool:
    edge = timedelta(microseconds=1)
    return calendar.is_open(starts_at - edge) and calendar.is_open(ends_at) and local_date(calendar, ends_at) == day


def _why(day: date, calendar: Calendar) -> str:
    """A date without opening, and why: `Thu 26 Nov: Thanksgiving Day`."""
    kind, holiday = calendar.reason_of(day)
    told = {
        "holiday": holiday,
        "closure": "closed that day",
        "special": "a special day without opening",
        "week": f"never open on {day:%A}s",
    }
    return f"{named(day)}: {told[kind]}"


def named(day: date) -> str:
    """A date as people say it: `Thu 26 Nov`."""
    return f"{day:%a} {day.day} {day:%b}"


def _whole(length: timedelta) -> int:
    return length // timedelta(seconds=1)
