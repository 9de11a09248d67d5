"""The clock of a case in plain words: each target with what happened to it, for a manager who asks "why".

Invariant: it tells what was recorded (the case's own events) by the hours that were counted with, never what would be computed today.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.escalation.domain.apart import Apart, named, take_apart
from services.escalation.domain.case import ALWAYS, Case, Store, Target
from shared.calendars import Calendar, open_seconds

WORDS = {
    "acknowledge": "somebody takes it",
    "contact": "a person is in touch",
    "action": "something is done",
    "update": "a person is in touch again",
    "resolve": "it is resolved",
}
REPLANNED = {
    "hours_changed": "The store's hours changed: counted anew from the start",
    "plan_changed": "Planned anew by the policy of the day: counted from the start",
    "rebuilt": "Rebuilt from what was recorded: counted anew from the start",
}
DAYS_TOLD_MAX = 7


@dataclass(frozen=True, slots=True)
class Recorded:
    """One event of the case as it was kept. `data` has `targets` (those running after it) and what the event itself says."""

    version: int
    at: datetime
    by: str | None
    type: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened to a target."""

    at: datetime
    what: str
    words: str


@dataclass(frozen=True, slots=True)
class ClockOfTarget:
    """A target, its story and its time taken apart. `elapsed_seconds` of its time are gone, `elapsed_percent` is for display."""

    target: Target
    goal: str
    summary: str
    elapsed_seconds: int
    elapsed_percent: int
    history: tuple[Line, ...]
    apart: Apart


def tell(
    case: Case, events: Sequence[Recorded], store: Store, now: datetime, hours: Mapping[int, Calendar] | None = None
) -> tuple[ClockOfTarget, ...]:
    """Each target of each segment, oldest first. `events` in the order of their versions; `hours` the store's by their version."""
    return tuple(_tell_one(target, case, events, store, now, (hours or {}).get(target.hours, store.calendar)) for target in case.targets)


def _tell_one(target: Target, case: Case, events: Sequence[Recorded], store: Store, now: datetime, calendar: Calendar) -> ClockOfTarget:
    history = tuple(_lines(target, events, store))
    ended_at = target.met_at or next((line.at for line in history if line.what == "cancelled"), None)
    apart = take_apart(target, case, calendar, ended_at, now)
    pauses = [(pause.starts_at, pause.ends_at) for pause in case.pauses]
    stands_at = ended_at or (case.paused_at if target.state == "paused" else None) or now
    gone = open_seconds(ALWAYS if apart.is_elapsed else calendar, target.starts_at, stands_at, pauses)
    return ClockOfTarget(
        target=target,
        goal=WORDS.get(target.milestone, target.milestone),
        summary=_summary(target, apart, store, gone),
        elapsed_seconds=gone,
        elapsed_percent=gone * 100 // max(target.open_seconds, 1),
        history=history,
        apart=apart,
    )


def _summary(target: Target, apart: Apart, store: Store, gone: int) -> str:
    """Why it is due when it is, in one sentence."""
    kind = "elapsed" if target.is_elapsed else "open"
    promised = f"{_length(target.open_seconds)} of {kind} time from {_wall(target.starts_at, store)}"
    if target.state == "paused":
        return f"{promised}; {_length(gone)} are gone, and the clock stands."
    if target.due_at is None:
        return f"{promised}; it ended while the clock stood."
    by_day: dict[str, int] = {}
    for stretch in apart.stretches:
        if stretch.kind == "counted":
            day = named(stretch.starts_at.astimezone(store.calendar.zone))
            by_day[day] = by_day.get(day, 0) + stretch.seconds
    days = ", ".join(f"{_length(seconds)} on {day}" for day, seconds in by_day.items())
    counted = f": {days}" if 0 < len(by_day) <= DAYS_TOLD_MAX and not apart.is_elapsed else ""
    paused = f" The clock stood for {_length(apart.paused_seconds)} of {kind} time." if apart.paused_seconds else ""
    return f"{promised} are over at {_wall(target.due_at, store)}{counted}.{paused}"


def patients_clock_seconds(case: Case, now: datetime) -> int:
    """How long the patient has been waiting, in elapsed time: it never pauses, and freezes with the resolution."""
    return int(((case.resolved_at or case.closed_at or now) - case.opened_at).total_seconds())


def _lines(target: Target, events: Sequence[Recorded], store: Store) -> Iterator[Line]:
    """The story of one target: what was planned, then each event that concerns its milestone in its segment."""
    segment, due = 0, None
    for event in events:
        segment += event.type in ("amends.case.opened", "amends.case.reopened")
        if segment != target.segment:
            continue
        found = _target_in(event, target.milestone)
        if found is None:
            continue
        new_due = _instant(found.get("due_at"))
        if event.type in ("amends.case.opened", "amends.case.reopened"):
            yield _planned(event, target, new_due, store)
        elif event.data.get("milestone") == target.milestone:
            yield _about(event, store)
            if target.round and event.type == "amends.case.target_met":
                yield _planned(event, target, new_due, store)
        elif target.round and event.data.get("milestone") == "contact" and event.type == "amends.case.target_met":
            yield _planned(event, target, new_due, store)
        elif event.type == "amends.case.clock_paused" and found.get("state") == "paused":
            yield Line(event.at, "paused", f"The clock stands: {str(event.data.get('reason', '')).replace('_', ' ')}.")
        elif event.type == "amends.case.clock_resumed" and found.get("state") == "running":
            yield Line(event.at, "resumed", f"The clock runs again, until {_wall(new_due, store)}.")
        elif new_due != due and new_due is not None and found.get("state") == "running":
            why = REPLANNED.get(event.data.get("why", ""), "Severity rose: counted anew from the start")
            yield Line(event.at, "re-planned", f"{why}, until {_wall(new_due, store)}.")
        elif found.get("state") == "cancelled":
            yield Line(event.at, "cancelled", "The case ended before it came to that.")
            return
        due = new_due or due


def _planned(event: Recorded, target: Target, due: datetime | None, store: Store) -> Line:
    """What was promised, or promised again after a contact."""
    kind = "elapsed" if target.is_elapsed else "open"
    again = "Opened again: " if event.type == "amends.case.reopened" else ""
    seconds = (_target_in(event, target.milestone) or {}).get("open_seconds") or target.open_seconds
    return Line(event.at, "planned", f"{again}{_length(seconds)} of {kind} time, until {_wall(due, store)}.")


def _about(event: Recorded, store: Store) -> Line:
    """A warning, a breach or an achievement."""
    who = "an integration" if (event.by or "").startswith("key:") else event.by or "the system"
    if event.type == "amends.case.target_at_risk" and event.data.get("minutes_before"):
        return Line(event.at, "warned", f"{event.data['minutes_before']} min are left; the owner was told.")
    if event.type == "amends.case.target_at_risk":
        return Line(event.at, "warned", f"{event.data['percent']} % of the time is gone; the owner was told.")
    if event.type == "amends.case.target_breached":
        return Line(event.at, "breached", f"The time ran out at {_wall(_instant(event.data.get('due_at')), store)}.")
    late = event.data.get("late")
    return Line(event.at, "met late" if late else "met", f"Reached {'late ' if late else ''}at {_wall(event.at, store)} by {who}.")


def _target_in(event: Recorded, milestone: str) -> Mapping[str, Any] | None:
    return next((target for target in event.data.get("targets", ()) if target["milestone"] == milestone), None)


def _instant(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else text


def _wall(at: datetime | None, store: Store) -> str:
    """An instant as the store's wall clock shows it."""
    if at is None:
        return "later"
    local = at.astimezone(store.calendar.zone)
    return f"{named(local)}, {(local.hour - 1) % 12 + 1}:{local:%M} {'am' if local.hour < 12 else 'pm'}"


def _length(seconds: int) -> str:
    hours, minutes = divmod(seconds // 60, 60)
    return " ".join(part for part in (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "") if part) or "no time"
