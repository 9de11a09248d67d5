"""Warnings: a target's owner is told when so much of its time is gone, or so much is left.

Invariant: each warning of a target is given once; one timer a target is set at a time, and the next is set when it fires.
Timers: `warning` (name: milestone:percent, or milestone:minutes and an m), with the target's generation.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from services.escalation.domain.case import Case, Store, Target, Turn, elapsed_percent, open_before
from services.escalation.domain.who import keepers
from shared.contracts import cases as say
from shared.contracts.cases import Milestone
from shared.kernel.decision import Decision

MINUTE = 60


def warn(case: Case, milestone: Milestone, mark: str, generation: int, store: Store, now: datetime) -> Decision[Case]:
    """The time of a warning, as `now`: the owner alone (or a stand-in) is told, and the next one is set.

    `mark` is what follows the milestone in the timer's name.
    """
    turn = Turn(case, store, now)
    target = case.target(milestone)
    if not case.is_live or target is None or generation != target.generation or target.state != "running":
        return turn.decision()
    minutes = int(mark[:-1]) if mark.endswith("m") else None
    if minutes is None:
        percent, is_given = int(mark), int(mark) in target.warned
        given = replace(target, next_warning=None, warned=(*target.warned, percent))
    else:
        percent, is_given = elapsed_percent(case, target, store, now), minutes * MINUTE in target.warned_before
        given = replace(target, next_warning=None, warned_before=(*target.warned_before, minutes * MINUTE))
    if is_given:
        return turn.decision()
    turn.put_target(target, schedule(turn, given, not_before=now))
    turn.page(say.TargetAtRisk, keepers(case, store), milestone=milestone, percent=percent, minutes_before=minutes, due_at=target.due_at)
    return turn.decision()


def schedule(turn: Turn, target: Target, *, not_before: datetime | None) -> Target:
    """The target with its next warning set, of those that were not given; while it is paused, the one that is set stands.

    What a new plan puts behind `not_before` is passed over: the next one, or the deadline itself, will tell.
    """
    if target.due_at is None:
        name = target.next_warning or next(_names(turn.case, target), None)
    else:
        name, at = min(_coming(turn, target, target.due_at, not_before), key=lambda found: found[1], default=(None, None))
    if target.next_warning not in (None, name):
        turn.cancel("warning", "re-planned", target.next_warning, target.generation)
    if name is not None:
        turn.schedule("warning", name, target.generation, None if target.due_at is None else at)
    return target if name == target.next_warning else replace(target, next_warning=name)


def time_of(turn: Turn, target: Target) -> datetime | None:
    """When the warning that is set comes; None while the target stands."""
    if target.due_at is None or target.next_warning is None:
        return None
    mark = target.next_warning.partition(":")[2]
    if mark.endswith("m"):
        return open_before(turn.case, turn.store, target.due_at, int(mark[:-1]) * MINUTE, is_elapsed=target.is_elapsed)
    return turn.due(target.starts_at, target.open_seconds * int(mark) // 100, is_elapsed=target.is_elapsed)


def is_owed(case: Case, target: Target, name: str | None) -> bool:
    """Whether a warning of that name is one that the target may still have to give; none at all, where it has given all."""
    owed = list(_names(case, target))
    return name in owed if owed else name is None


def next_after(turn: Turn, target: Target, planned_at: datetime) -> str | None:
    """The warning that a plan made at `planned_at` has set next, by what was given; of a target that stands, as if it ran on."""
    due = target.due_at or turn.due(target.starts_at, target.open_seconds, is_elapsed=target.is_elapsed)
    return min(_coming(turn, target, due, planned_at), key=lambda found: found[1], default=(None, None))[0]


def cancel(turn: Turn, target: Target, reason: str) -> None:
    """No warning of the target any more."""
    if target.next_warning is not None:
        turn.cancel("warning", reason, target.next_warning, target.generation)


def _names(case: Case, target: Target) -> Iterator[str]:
    """The timers of the warnings that were not given."""
    yield from (f"{target.milestone}:{percent}" for percent in case.plan.warn_percents if percent not in target.warned)
    yield from (f"{target.milestone}:{seconds // MINUTE}m" for seconds in _before(case, target))


def _before(case: Case, target: Target) -> Iterator[int]:
    """The seconds before its due time at which a warning is still to be given; none that would lie before its start."""
    return (s for s in case.plan.warn_before_seconds if s < target.open_seconds and s not in target.warned_before)


def _coming(turn: Turn, target: Target, due: datetime, not_before: datetime | None) -> Iterator[tuple[str, datetime]]:
    """The next warning of each kind with its time. Both kinds are in the order of their times, so the first to come of each is enough."""
    for percent in turn.case.plan.warn_percents:
        if percent in target.warned:
            continue
        at = turn.due(target.starts_at, target.open_seconds * percent // 100, is_elapsed=target.is_elapsed)
        if not_before is None or at >= not_before:
            yield f"{target.milestone}:{percent}", at
            break
    for seconds in _before(turn.case, target):
        at = open_before(turn.case, turn.store, due, seconds, is_elapsed=target.is_elapsed)
        if not_before is None or at >= not_before:
            yield f"{target.milestone}:{seconds // MINUTE}m", at
            break
