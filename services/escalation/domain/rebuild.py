"""A case's clock rebuilt: its targets from what was said of it, its timers from its state; and what differs from what is kept.

Called by the use case of `amends clock rebuild`. Invariant: a case that nobody damaged shows no difference, and what is rebuilt is
rebuilt to what it was. Timers that are due by now are the loop's, which is about to take them; of those of shifts one is waited for, and
what an earlier roster set besides wakes nobody.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from services.escalation.domain import promises, warning
from services.escalation.domain.case import Case, Store, Target, Turn
from services.escalation.domain.explain import Recorded
from services.escalation.domain.ladder import shift_name
from shared.contracts import cases as say
from shared.kernel.decision import Decision

# What a case's state says of its timers; the others come from elsewhere.
KINDS = ("target", "warning", "step", "ack_expiry", "pause_end", "promise", "promise_aim")
BEGINS = ("amends.case.opened", "amends.case.reopened")

Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it ought to be. `is_now` and `ought` are words; `can_mend` unless the timer was fired already."""

    what: str
    name: str
    is_now: str
    ought: str
    can_mend: bool = True


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The differences, and the decision that takes them away; an empty one where there are none."""

    differences: tuple[Difference, ...]
    decision: Decision[Case]


def rebuild(
    case: Case, events: Sequence[Recorded], pending: Mapping[Key, datetime | None], fired: set[Key], store: Store, now: datetime
) -> Rebuilt:
    """`events` in the order of their versions; `pending` the due times of what is set (a parked timer left out), `fired` what was."""
    turn = Turn(case, store, now)
    targets = _targets(turn, events)
    found = list(_differing(case.targets, targets))
    turn.change(targets=_in_order(case.targets, targets))
    ought = dict(timers_of(turn))
    for key in sorted(ought.keys() | {key for key in pending if key[0] in KINDS}):
        found += _differing_timer(turn, key, ought, pending, fired)
    if not found:
        return Rebuilt((), Decision(case))
    turn.say(say.CaseReplanned, why="rebuilt")
    return Rebuilt(tuple(found), turn.decision())


def timers_of(turn: Turn) -> Iterator[tuple[Key, datetime | None]]:
    """The timers that a case in this state has, with their due times; None stands still."""
    case = turn.case
    if not case.is_live:
        return
    for target in case.current:
        if target.state in ("running", "paused"):
            yield ("target", target.milestone, target.generation), target.due_at
            if target.next_warning is not None:
                yield ("warning", target.next_warning, target.generation), warning.time_of(turn, target)
    if case.step_due_at is not None:
        yield ("step", str(case.step + 1), case.generation), case.step_due_at
    if case.hand_over_at is not None:
        yield ("hand_over", shift_name(case.hand_over_at), case.generation), case.hand_over_at
    if case.expires_at is not None:
        yield ("ack_expiry", "ack", case.generation), None if case.paused_reason else case.expires_at
    if case.paused_reason is not None and case.paused_until is not None:
        yield ("pause_end", case.paused_reason, len(case.pauses) + 1), case.paused_until
    yield from promises.timers_of(case)


def _differing_timer(
    turn: Turn, key: Key, ought: Mapping[Key, datetime | None], pending: Mapping[Key, datetime | None], fired: set[Key]
) -> Iterator[Difference]:
    kind, name, generation = key
    wanted, found, now = ought.get(key), pending.get(key), turn.now
    if key not in ought:
        if found is None or found > now:
            turn.cancel(kind, "rebuilt", name, generation)
            yield Difference("timer", f"{kind} {name}", _at(found), "not set")
        return
    are_same = wanted == found or (wanted is not None and found is not None and max(wanted, found) <= now)
    if key in pending and are_same:
        return
    can_mend = key not in fired
    if can_mend:
        turn.schedule(kind, name, generation, wanted if wanted is None else max(wanted, now))
    yield Difference("timer", f"{kind} {name}", _at(found) if key in pending else "not set", _at(wanted), can_mend)


def _at(due_at: datetime | None) -> str:
    return due_at.isoformat() if due_at else "standing still"


def _differing(kept: Sequence[Target], rebuilt: Mapping[tuple[int, str], Target]) -> Iterator[Difference]:
    known = {_key(target): target for target in kept}
    for key in sorted(known.keys() | rebuilt.keys()):
        one, other = known.get(key), rebuilt.get(key)
        name = f"{key[1]} of segment {key[0]}"
        if one is None or other is None:
            yield Difference("target", name, "there" if one else "missing", "there" if other else "not there")
            continue
        for field in fields(Target):
            was, ought = getattr(one, field.name), getattr(other, field.name)
            if was != ought:
                yield Difference("target", f"{name}, {field.name.replace('_', ' ')}", _word(was), _word(ought))


def _key(target: Target) -> tuple[int, str]:
    return target.segment, target.milestone


def _word(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)


def _in_order(kept: Sequence[Target], rebuilt: Mapping[tuple[int, str], Target]) -> tuple[Target, ...]:
    """As they were, what was missing at the end of its segment."""
    place = {_key(target): n for n, target in enumerate(kept)}
    return tuple(rebuilt[key] for key in sorted(rebuilt, key=lambda key: (key[0], place.get(key, len(place)))))


def _targets(turn: Turn, events: Sequence[Recorded]) -> dict[tuple[int, str], Target]:
    """The targets of all segments, as the last event that tells of each left them, with what was warned and breached on the way."""
    known = {_key(target): target for target in turn.case.targets}
    found: dict[tuple[int, str], Target] = {}
    planned_at: dict[tuple[int, str], datetime] = {}
    segment, begun_at = 0, turn.case.opened_at
    for event in events:
        if event.type in BEGINS:
            segment, begun_at = segment + 1, event.at
        for told in map(say.Target.model_validate, event.data.get("targets", ())):
            key = (segment, told.milestone)
            before = found.get(key)
            if before is None or before.round != told.round:
                before = _begun(turn, told, segment, begun_at, known.get(key))
                planned_at[key] = before.starts_at
            found[key] = _noted(_told(before, told), event)
            if _was_planned(event, told):
                planned_at[key] = event.at
    return {key: _with_warning(turn, target, planned_at[key]) for key, target in found.items()}


def _begun(turn: Turn, told: say.Target, segment: int, begun_at: datetime, kept: Target | None) -> Target:
    """A target as it began. What events from before they told it do not say is as it is kept, else by the plan."""
    seconds = kept.open_seconds if kept else turn.case.plan.seconds.get(told.milestone, 0)
    starts_at = told.starts_at or (kept.starts_at if kept and told.milestone == "update" else begun_at)
    return Target(told.milestone, segment, starts_at, seconds, None, is_elapsed=told.is_elapsed, round=told.round)


def _told(target: Target, told: say.Target) -> Target:
    """What an event says of a target."""
    return replace(
        target,
        state=told.state,
        due_at=told.due_at,
        met_at=told.met_at,
        open_seconds=target.open_seconds if told.open_seconds is None else told.open_seconds,
        is_elapsed=told.is_elapsed,
        hours=told.hours or 0,
        missed=told.missed,
        breached_at=target.breached_at or (told.due_at if told.state == "met_late" else None),
    )


def _noted(target: Target, event: Recorded) -> Target:
    """A warning or a breach that the event itself is."""
    if event.data.get("milestone") != target.milestone:
        return target
    if event.type == "amends.case.target_breached":
        return replace(target, breached_at=event.at)
    if event.type != "amends.case.target_at_risk":
        return target
    minutes = event.data.get("minutes_before")
    if minutes is None:
        return replace(target, warned=(*target.warned, event.data["percent"]))
    return replace(target, warned_before=(*target.warned_before, minutes * warning.MINUTE))


def _was_planned(event: Recorded, told: say.Target) -> bool:
    """Whether the target's warnings were set anew by this: from its moment on, what lay behind was passed over."""
    if event.type == "amends.case.target_at_risk":
        return event.data.get("milestone") == told.milestone
    plans = ("amends.case.severity_raised", "amends.case.replanned", "amends.case.clock_resumed")
    return event.type in plans and told.state == "running"


def _with_warning(turn: Turn, target: Target, planned_at: datetime) -> Target:
    """The warning that comes next; a target that ended keeps the one that was set then, which nobody waits for."""
    kept = next((other for other in turn.case.targets if _key(other) == _key(target)), None)
    # While a target stands, the warning that was set stands too, whatever is planned meanwhile.
    stands = kept is not None and target.state == "paused" and warning.is_owed(turn.case, target, kept.next_warning)
    if kept is None or (target.state in ("running", "paused") and not stands):
        return replace(target, next_warning=warning.next_after(turn, target, planned_at))
    return replace(target, next_warning=kept.next_warning)
