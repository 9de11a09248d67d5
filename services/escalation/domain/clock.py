"""The clocks of a case: targets armed, warned, breached, met, moved, paused and stopped.

Invariant: a target is breached if and only if it was not met before its due time, to the microsecond; a breach stays, whatever is planned
later.
Timers: `target` (name: milestone), `warning` (milestone:percent), both with the segment as generation; `pause_end` (name: reason).
"""

from datetime import datetime, timedelta

from services.escalation.domain.case import Case, Pause, Store, Target, Turn
from shared.calendars import open_seconds
from shared.contracts import cases as say
from shared.contracts.cases import Milestone
from shared.kernel.decision import Decision
from shared.kernel.errors import Rejected

MILESTONES: tuple[Milestone, ...] = ("acknowledge", "contact", "action", "resolve")
MET_BY: dict[str, tuple[Milestone, ...]] = {
    **dict.fromkeys(("call", "visit", "text", "email"), ("contact", "update")),
    **dict.fromkeys(("remake", "adjustment", "order_expedited", "delivery", "other", "offer"), ("action",)),
}


def arm(turn: Turn, starts_at: datetime) -> None:
    """The targets of the case's running segment, with their timers."""
    plan, segment = turn.case.plan, turn.case.segment
    fresh = tuple(
        Target(milestone, segment, starts_at, seconds, turn.due(starts_at, seconds), hours=turn.store.hours)
        for milestone in MILESTONES
        if (seconds := plan.seconds.get(milestone)) is not None
    )
    turn.change(targets=turn.case.targets + fresh)
    for target in fresh:
        _schedule(turn, target)


def replan(turn: Turn) -> None:
    """The plan changed: what still runs is counted anew from the start of its segment, pauses left out; results stay."""
    for target in turn.case.current:
        if target.state not in ("running", "paused"):
            continue
        seconds = turn.case.plan.seconds[target.milestone]
        due = turn.due(target.starts_at, seconds) if target.state == "running" else None
        if (seconds, due) == (target.open_seconds, target.due_at):
            _schedule_warning(turn, target, not_before=turn.now)
            continue
        # A deadline that the new plan puts into the past is breached at once, and what follows counts from now, not from before the plan.
        moved = turn.change_target(target, open_seconds=seconds, due_at=due, hours=turn.store.hours)
        _schedule(turn, moved, not_before=turn.now)


def replan_waits(turn: Turn) -> None:
    """What is counted in open time besides the targets: when an acknowledgement goes stale, when a pause has used up its budget."""
    case = turn.case
    if case.paused_reason is not None and case.paused_at is not None:
        until = max(_pause_ends(turn, case.paused_reason, case.paused_at), turn.now)
        turn.change(paused_until=until)
        turn.schedule("pause_end", case.paused_reason, len(case.pauses) + 1, until)
    elif case.expires_at is not None and case.acknowledged_at is not None:
        expires_at = max(turn.due(case.acknowledged_at, case.plan.expiry_seconds), turn.now)
        turn.change(expires_at=expires_at)
        turn.schedule("ack_expiry", "ack", case.generation, expires_at)


def meet(turn: Turn, milestones: tuple[Milestone, ...]) -> None:
    """A milestone was reached now: met, or met late if its due time has come."""
    for milestone in milestones:
        target = turn.case.target(milestone)
        if target is None or target.state not in ("running", "paused", "breached"):
            continue
        late = target.state == "breached" or _has_come(target.due_at, turn.now)
        breached_at = target.breached_at or (target.due_at if late else None)
        turn.change_target(target, state="met_late" if late else "met", met_at=turn.now, breached_at=breached_at)
        _cancel(turn, target, "met")
        turn.say(say.TargetMet, milestone=milestone, late=late)


def warn(case: Case, milestone: Milestone, percent: int, segment: int, store: Store, now: datetime) -> Decision[Case]:
    """`percent` of a target's open time is gone: its owner alone is told, once; the next warning of the target is set."""
    turn = Turn(case, store, now)
    target = case.target(milestone)
    if not case.is_live or segment != case.segment or target is None or target.state != "running" or percent in target.warned:
        return turn.decision()
    target = turn.change_target(target, warned=(*target.warned, percent))
    _schedule_warning(turn, target, above=percent)
    owner = (case.owner_staff_id,) if case.owner_staff_id else ()
    turn.page(say.TargetAtRisk, owner, milestone=milestone, percent=percent, due_at=target.due_at)
    return turn.decision()


def mark_breached(turn: Turn, milestone: Milestone, segment: int) -> bool:
    """The due time of a target came: whether it was still owed."""
    target = turn.case.target(milestone)
    if not turn.case.is_live or segment != turn.case.segment or target is None or target.state != "running":
        return False
    turn.change_target(target, state="breached", breached_at=turn.now)
    return True


def stop(turn: Turn, reason: str) -> None:
    """Every clock stands, what was still owed is cancelled, results stay."""
    for target in turn.case.current:
        if target.state in ("running", "paused"):
            turn.change_target(target, state="cancelled")
    end_pause(turn)
    turn.change(expires_at=None, step_since=None, step_due_at=None)
    for kind in ("target", "warning", "step", "ack_expiry", "pause_end"):
        turn.cancel(kind, reason)


def pause(case: Case, reason: str, store: Store, now: datetime, by: str | None) -> Decision[Case]:
    """The clock stops for a typed reason, as long as its budget of open time lasts. Raises Rejected.

    Only after an acknowledgement: a pause must not be a way to silence the ladder.
    """
    turn = Turn(case, store, now, by)
    if case.paused_reason == reason:
        return turn.decision()
    if reason not in case.plan.pause_budgets:
        known = ", ".join(sorted(case.plan.pause_budgets))
        raise Rejected("unknown-pause-reason", f"The reason to pause is one of: {known}.", pointer="/reason")
    if case.status != "acknowledged" or case.paused_reason:
        code = "already-paused" if case.paused_reason else "not-acknowledged"
        raise Rejected(code, "A case is paused for one reason at a time, after somebody acknowledged it.")
    if spent(case, reason, store) >= case.plan.pause_budgets[reason]:
        raise Rejected("pause-budget-used", f"The time this case may wait ({reason.replace('_', ' ')}) is used up.", pointer="/reason")
    until = _pause_ends(turn, reason, now)
    turn.touch()
    turn.change(paused_reason=reason, paused_at=now, paused_until=until)
    for target in case.current:
        if target.state == "running" and not _has_come(target.due_at, now):
            _schedule(turn, turn.change_target(target, state="paused", due_at=None))
    if case.expires_at is not None:
        turn.schedule("ack_expiry", "ack", case.generation, None)
    turn.schedule("pause_end", reason, len(case.pauses) + 1, until)
    turn.say(say.ClockPaused, reason=reason, until=until)
    return turn.decision()


def resume(case: Case, store: Store, now: datetime, by: str | None) -> Decision[Case]:
    """The clock runs again; deadlines move by the open time that was paused."""
    turn = Turn(case, store, now, by)
    if case.paused_reason is None:
        return turn.decision()
    turn.touch()
    _run_again(turn, case.paused_reason)
    turn.cancel("pause_end", "resumed")
    return turn.decision()


def pause_ran_out(case: Case, reason: str, number: int, store: Store, now: datetime) -> Decision[Case]:
    """The budget of a reason is used up: the clock runs again by itself, and its owner hears of it through the event."""
    turn = Turn(case, store, now)
    if case.paused_reason == reason and len(case.pauses) + 1 == number:
        _run_again(turn, reason)
    return turn.decision()


def end_pause(turn: Turn) -> None:
    """Write down a running pause as over."""
    case = turn.case
    if case.paused_reason is not None and case.paused_at is not None:
        pauses = (*case.pauses, Pause(case.paused_reason, case.paused_at, turn.now))
        turn.change(pauses=pauses, paused_reason=None, paused_at=None, paused_until=None)


def spent(case: Case, reason: str, store: Store) -> int:
    """Open seconds that ended pauses of this reason took so far."""
    return sum(open_seconds(store.calendar, p.starts_at, p.ends_at) for p in case.pauses if p.reason == reason)


def shown_first(case: Case) -> Target | None:
    """The target to show: who takes it, then when a person is in touch, then the nearest of the rest, even where that is nearer."""
    owed = [target for target in case.current if target.state in ("running", "paused", "breached")]
    order = {"acknowledge": 0, "contact": 1}
    far = case.opened_at + timedelta(days=36_500)
    return min(owed, key=lambda target: (order.get(target.milestone, 2), target.due_at or far), default=None)


def elapsed_percent(target: Target, store: Store, now: datetime) -> int:
    """How much of a target's open time is gone, floored; for display only."""
    return open_seconds(store.calendar, target.starts_at, now) * 100 // max(target.open_seconds, 1)


def _pause_ends(turn: Turn, reason: str, since: datetime) -> datetime:
    """When a pause that began at `since` has used up what is left of its reason's budget."""
    left = turn.case.plan.pause_budgets.get(reason, 0) - spent(turn.case, reason, turn.store)
    return turn.due(since, max(left, 0))


def _run_again(turn: Turn, reason: str) -> None:
    """End the pause and plan what was paused anew, from the start of its segment with all pauses left out."""
    end_pause(turn)
    for target in turn.case.current:
        if target.state == "paused":
            due = turn.due(target.starts_at, target.open_seconds)
            running = turn.change_target(target, state="running", due_at=due, hours=turn.store.hours)
            _schedule(turn, running, not_before=turn.now)
    case = turn.case
    if case.expires_at is not None and case.acknowledged_at is not None:
        expires_at = turn.due(case.acknowledged_at, case.plan.expiry_seconds)
        turn.change(expires_at=expires_at)
        turn.schedule("ack_expiry", "ack", case.generation, expires_at)
    turn.say(say.ClockResumed, reason=reason)


def _schedule(turn: Turn, target: Target, not_before: datetime | None = None) -> None:
    """The timers of a target and of its next warning; both stand while it is paused."""
    at = target.due_at if target.due_at is None or not_before is None else max(target.due_at, not_before)
    turn.schedule("target", target.milestone, target.segment, at)
    _schedule_warning(turn, target, not_before=not_before)


def _schedule_warning(turn: Turn, target: Target, above: int = 0, not_before: datetime | None = None) -> None:
    """The first warning above `above` percent that was not given. One row a target: the next is set when it fires."""
    is_set = False
    for percent in turn.case.plan.warn_percents:
        if percent in target.warned or percent <= above:
            continue
        name = f"{target.milestone}:{percent}"
        warn_at = None if target.due_at is None else turn.due(target.starts_at, target.open_seconds * percent // 100)
        if not is_set and (warn_at is None or not_before is None or warn_at >= not_before):
            turn.schedule("warning", name, target.segment, warn_at)
            is_set = True
        elif not_before is not None:
            # Behind us by a new plan, or set by the last one and not next by this: another warning, or the deadline itself, will tell.
            turn.cancel("warning", "re-planned", name, target.segment)


def _cancel(turn: Turn, target: Target, reason: str) -> None:
    turn.cancel("target", reason, target.milestone, target.segment)
    for percent in turn.case.plan.warn_percents:
        if percent not in target.warned:
            turn.cancel("warning", reason, f"{target.milestone}:{percent}", target.segment)


def _has_come(due: datetime | None, now: datetime) -> bool:
    """A deadline has come at its due time, to the microsecond."""
    return due is not None and now >= due
