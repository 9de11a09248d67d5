"""I4: each timer fires once, never early, and late by no more than its service was down, until it was ready again, and a little.

What was set is known from a trigger of the harness's own, not from the rows that firing removes.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.chaos.checks.finding import Finding

Key = tuple[str, str, str, str, int]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a timer ended: `outcome` is fired or cancelled. `due_at` is what it fired for."""

    key: Key
    outcome: str
    due_at: datetime | None
    fired_at: datetime


@dataclass(frozen=True, slots=True)
class Timers:
    """A key is (service, kind, subject, name, generation). `set_at`: when each was set last; `waiting`: those still there, with their due
    time; `parked`: those left to a person; `outages`: when which service was down."""

    set_at: Mapping[Key, datetime] = field(default_factory=dict)
    ended: Sequence[Ended] = ()
    waiting: Mapping[Key, datetime | None] = field(default_factory=dict)
    parked: Mapping[Key, str] = field(default_factory=dict)
    outages: Sequence[tuple[str, datetime, datetime]] = ()
    read_at: datetime | None = None
    slack: timedelta = timedelta(seconds=2)

    def lateness(self, ended: Ended) -> timedelta:
        """How late it fired beyond its service's outage: counted from when it was due and set, whichever came later."""
        assert ended.due_at is not None, "what fired was due"
        since = max(ended.due_at, self.set_at.get(ended.key, ended.due_at))
        mine = [(start, until) for service, start, until in self.outages if service == ended.key[0]]
        down, reached = timedelta(0), since
        for start, until in sorted(mine):
            # What two outages share counts once.
            begin, end = max(start, reached), min(until, ended.fired_at)
            if begin < end:
                down, reached = down + (end - begin), end
        return ended.fired_at - since - down


def each_ended_once(seen: Timers) -> Iterator[Finding]:
    """Whatever was set has fired once, was cancelled, or is still there."""
    fired = Counter(e.key for e in seen.ended if e.outcome == "fired")
    ended = {e.key for e in seen.ended}
    for key, times in fired.items():
        if times > 1:
            yield Finding("I4", "each_ended_once", f"{key} fired {times} times")
        if key in seen.waiting:
            yield Finding("I4", "each_ended_once", f"{key} fired and waits to fire again")
        if key not in seen.set_at:
            yield Finding("I4", "each_ended_once", f"{key} fired and was never set")
    for key in seen.set_at.keys() - ended - seen.waiting.keys() - seen.parked.keys():
        yield Finding("I4", "each_ended_once", f"{key} was set and is gone without a trace")


def none_early(seen: Timers) -> Iterator[Finding]:
    """Nothing fires before its time."""
    for e in seen.ended:
        if e.outcome == "fired" and (e.due_at is None or e.fired_at < e.due_at):
            yield Finding("I4", "none_early", f"{e.key} was due at {e.due_at} and fired at {e.fired_at}")


def none_late(seen: Timers) -> Iterator[Finding]:
    """Late by the outage of its service and a little at most."""
    for e in seen.ended:
        if e.outcome == "fired" and e.due_at is not None and (late := seen.lateness(e)) > seen.slack:
            yield Finding("I4", "none_late", f"{e.key} fired {late.total_seconds():.1f} s later than its service's outage explains")


def none_left(seen: Timers) -> Iterator[Finding]:
    """Nothing that is due lies there, and nothing was given up on."""
    for key, due_at in seen.waiting.items():
        if due_at is not None and seen.read_at is not None and due_at < seen.read_at - seen.slack:
            yield Finding("I4", "none_left", f"{key} was due at {due_at} and has not fired")
    for key, reason in seen.parked.items():
        yield Finding("I4", "none_left", f"{key} is parked: {reason}")
