"""The clocks of a case: targets armed, breached, met, moved, paused and stopped. Their warnings are set in `warning`.

Invariant: a target is breached if and only if it was not met before its due time, to the microsecond; a breach stays, whatever is planned
later. The update recurs: each contact by a person ends its round and begins the next, and nothing else does.
Timers: `target` (name: milestone), with the target's generation; `pause_end` (name: reason).
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from services.escalation.domain import warning
from services.escalation.domain.case import UNMET, Case, Pause, Store, Target, Turn
from shared.calendars import open_seconds
from shared.contracts import cases as say
from shared.contracts.cases import Milestone, TargetState
from shared.kernel.decision import Decision, Schedule
from shared.kernel.errors import Rejected

MILESTONES: tuple[Milestone, ...] = ("acknowledge", "contact", "action", "resolve")
MET_BY: dict[str, tuple[Milestone, ...]] = {
    **dict.fromkeys(("call", "visit", "text", "email"), ("contact", "update")),
    **dict.fromkeys(("remake", "adjustment", "order_expedited", "delivery", "other", "offer"), ("action",)),
}


def arm(turn: Turn, starts_at: datetime) -> None:
    """The targets of the case's running segment, with their timers; the update begins with the first contact."""
    turn.change(targets=(*turn.case.targets, *begin(turn, starts_at)))


def begin(turn: Turn, starts_at: datetime) -> tuple[Target, ...]:
    """The targets that `arm` adds, with their timers.

    Cases that begin at one store at one moment by the same plan, as those of a batch do, get the same: it is counted for the first.
    """
    case, begun = turn.case, turn.store.begun
    plan = (tuple(case.plan.seconds.items()), case.plan.elapsed, case.plan.warn_percents, case.plan.warn_before_seconds)
    counted_from = (starts_at, case.segment, case.pauses, case.paused_reason is None, plan)
    if counted_from not in begun:
        first = Turn(case, turn.store, turn.now)
        begun[counted_from] = _begin(first, MILESTONES, starts_at), tuple(t for t in first.decision().timers if isinstance(t, Schedule))
    targets, timers = begun[counted_from]
    for timer in timers:
        turn.schedule(timer.kind, timer.name, timer.generation, timer.due_at)
    return targets


def replan(turn: Turn) -> None:
    """The plan or the hours changed: what still runs is counted anew from its start, pauses left out; results stay.

    What the plan has no more is cancelled, what it has and the case has not begins with the segment; an update, with this moment.
    """
    started = min(target.starts_at for target in turn.case.current)
    for target in turn.case.current:
        seconds = turn.case.plan.seconds.get(target.milestone)
        if target.state not in ("running", "paused"):
            continue
        if seconds is None:
            _cancel(turn, turn.change_target(target, state="cancelled"), "re-planned")
            continue
        is_elapsed = target.milestone in turn.case.plan.elapsed
        due = turn.due(target.starts_at, seconds, is_elapsed=is_elapsed) if target.state == "running" else None
        if (seconds, due, is_elapsed) == (target.open_seconds, target.due_at, target.is_elapsed):
            turn.put_target(target, warning.schedule(turn, target, not_before=turn.now))
            continue
        # A deadline that the new plan puts into the past is breached at once, and what follows counts from now, not from before the plan.
        moved = replace(target, open_seconds=seconds, due_at=due, is_elapsed=is_elapsed, hours=turn.store.hours)
        turn.put_target(target, _schedule(turn, moved, not_before=turn.now))
    missing = tuple(milestone for milestone in MILESTONES if turn.case.target(milestone) is None)
    turn.change(targets=(*turn.case.targets, *_begin(turn, missing, started, not_before=turn.now)))
    if turn.case.target("update") is None:
        _next_update(turn)


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
    reached: list[tuple[Milestone, bool]] = []
    for milestone in milestones:
        target = turn.case.target(milestone)
        if target is None or target.state not in UNMET:
            continue
        late = target.state == "breached" or _has_come(target.due_at, turn.now)
        breached_at = target.breached_at or (target.due_at if late else None)
        _cancel(turn, turn.change_target(target, state="met_late" if late else "met", met_at=turn.now, breached_at=breached_at), "met")
        reached.append((milestone, late))
    if "update" in milestones:
        _next_update(turn)
    for milestone, late in reached:
        turn.say(say.TargetMet, milestone=milestone, late=late)


def mark_breached(turn: Turn, milestone: Milestone, generation: int) -> bool:
    """The due time of a target came: whether it was still owed."""
    target = turn.case.target(milestone)
    if not turn.case.is_live or target is None or generation != target.generation or target.state != "running":
        return False
    turn.change_target(target, state="breached", breached_at=turn.now)
    return True


def stop(turn: Turn, reason: str) -> None:
    """Every clock stands, what was still owed is cancelled, results stay."""
    for target in turn.case.current:
        if target.state in ("running", "paused"):
            turn.change_target(target, state="cancelled")
    end_pause(turn)
    turn.change(expires_at=None, step_since=None, step_due_at=None, hand_over_at=None)
    for kind in ("target", "warning", "step", "hand_over", "ack_expiry", "pause_end"):
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
            turn.put_target(target, _schedule(turn, replace(target, state="paused", due_at=None)))
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
    """The budget of a reason is used up: the clock runs again by itself, and the owner is told."""
    turn = Turn(case, store, now)
    if case.paused_reason == reason and len(case.pauses) + 1 == number:
        _run_again(turn, reason, (case.owner_staff_id,) if case.owner_staff_id else store.managers)
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
    owed = [target for target in case.current if target.state in UNMET]
    order = {"acknowledge": 0, "contact": 1}
    far = case.opened_at + timedelta(days=36_500)
    return min(owed, key=lambda target: (order.get(target.milestone, 2), target.due_at or far), default=None)


def _pause_ends(turn: Turn, reason: str, since: datetime) -> datetime:
    """When a pause that began at `since` has used up what is left of its reason's budget."""
    left = turn.case.plan.pause_budgets.get(reason, 0) - spent(turn.case, reason, turn.store)
    return turn.due(since, max(left, 0))


def _run_again(turn: Turn, reason: str, told: tuple[str, ...] = ()) -> None:
    """End the pause and plan what was paused anew, from its start with all pauses left out. `told` are the people to tell."""
    end_pause(turn)
    for target in turn.case.current:
        if target.state == "paused":
            due = turn.due(target.starts_at, target.open_seconds, is_elapsed=target.is_elapsed)
            running = replace(target, state="running", due_at=due, hours=turn.store.hours)
            turn.put_target(target, _schedule(turn, running, not_before=turn.now))
    case = turn.case
    if case.expires_at is not None and case.acknowledged_at is not None:
        expires_at = turn.due(case.acknowledged_at, case.plan.expiry_seconds)
        turn.change(expires_at=expires_at)
        turn.schedule("ack_expiry", "ack", case.generation, expires_at)
    turn.page(say.ClockResumed, told, reason=reason)


def _begin(
    turn: Turn, milestones: Iterable[Milestone], starts_at: datetime, *, not_before: datetime | None = None, **fields: Any
) -> tuple[Target, ...]:
    """Targets of the running segment with their timers, as far as the plan has them; they stand where the clock stands."""
    case, fresh = turn.case, []
    state: TargetState = "running" if case.paused_reason is None else "paused"
    for milestone in milestones:
        if (seconds := case.plan.seconds.get(milestone)) is not None:
            is_elapsed = milestone in case.plan.elapsed
            due = turn.due(starts_at, seconds, is_elapsed=is_elapsed) if state == "running" else None
            hours = turn.store.hours
            target = Target(milestone, case.segment, starts_at, seconds, due, state, is_elapsed=is_elapsed, hours=hours, **fields)
            fresh.append(_schedule(turn, target, not_before=not_before))
    return tuple(fresh)


def _next_update(turn: Turn) -> None:
    """The next word to the patient is owed from now on. Its round takes the place of the one before, which the events tell of."""
    contact, last = turn.case.target("contact"), turn.case.target("update")
    if "update" not in turn.case.plan.seconds or contact is None or contact.met_at is None:
        return
    number = 1 + max((target.round for target in turn.case.targets), default=0)
    missed = last.missed + (last.state == "met_late") if last is not None else 0
    others = tuple(target for target in turn.case.targets if target is not last)
    turn.change(targets=(*others, *_begin(turn, ("update",), turn.now, round=number, missed=missed)))


def _schedule(turn: Turn, target: Target, not_before: datetime | None = None) -> Target:
    """The target with its timers, its own and its next warning's; both stand while it is paused."""
    at = target.due_at if target.due_at is None or not_before is None else max(target.due_at, not_before)
    turn.schedule("target", target.milestone, target.generation, at)
    return warning.schedule(turn, target, not_before=not_before)


def _cancel(turn: Turn, target: Target, reason: str) -> None:
    turn.cancel("target", reason, target.milestone, target.generation)
    warning.cancel(turn, target, reason)


def _has_come(due: datetime | None, now: datetime) -> bool:
    """A deadline has come at its due time, to the microsecond."""
    return due is not None and now >= due
