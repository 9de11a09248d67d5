"""The ladder: whose task a case is, who is paged when nobody takes it, and what an acknowledgement stops.

Level 0 is the owner, 1 the store's managers, 2 the region, which is paged again and again. Climbing never changes the owner.
Invariant: each step fires once, by the key (case, `step`, number, generation); what follows a step counts from the step's due time; an
acknowledgement ends its generation, and a case that nobody stirred for days wakes nobody.
"""

from collections.abc import Mapping
from datetime import datetime

from services.escalation.domain import clock
from services.escalation.domain.case import TOP_LEVEL, Case, Store, Turn
from shared.contracts import cases as say
from shared.contracts.cases import Milestone
from shared.kernel.decision import Decision


def owner_now(store: Store, load: Mapping[str, int]) -> str | None:
    """On the roster now, else an associate, else a manager, else the region; None where there is nobody at all.

    Among several, who has the fewest live cases (`load`, by staff id), then by id.
    """
    for people in (store.on_duty, store.associates, store.managers, store.regionals):
        if people:
            return min(people, key=lambda staff_id: (load.get(staff_id, 0), staff_id))
    return None


def first_page(case: Case, store: Store) -> tuple[str, ...]:
    """Whom an opened case wakes: its owner; the region where it has none, so that no case is nobody's."""
    return (case.owner_staff_id,) if case.owner_staff_id else people_at(TOP_LEVEL, store)


def people_at(level: int, store: Store) -> tuple[str, ...]:
    """Whom a level pages. A store without managers pages the region instead, a group without regional managers the managers."""
    wanted = store.managers if level == 1 else store.regionals
    return wanted or store.regionals or store.managers


def breach(case: Case, milestone: Milestone, generation: int, store: Store, now: datetime) -> Decision[Case]:
    """The due time of a target, as `now`. An acknowledgement that is owed climbs the ladder; any other breach is told to the owner."""
    turn = Turn(case, store, now)
    if not clock.mark_breached(turn, milestone, generation):
        return turn.decision()
    if milestone == "acknowledge" and case.status == "open":
        _climb(turn)
        turn.page(say.TargetBreached, people_at(turn.case.level, store), milestone=milestone, due_at=_due_of(turn, milestone))
        _next_step(turn, now)
    else:
        turn.page(say.TargetBreached, first_page(case, store), milestone=milestone, due_at=_due_of(turn, milestone))
    return turn.decision()


def step(case: Case, number: int, generation: int, store: Store, now: datetime) -> Decision[Case]:
    """The due time of a step, as `now`: one level up, its people are paged, and the next step is set."""
    turn = Turn(case, store, now)
    if case.status != "open" or generation != case.generation or number != case.step + 1:
        return turn.decision()
    turn.change(step=number, step_since=None, step_due_at=None)
    if (now - case.last_activity_at).total_seconds() >= case.plan.silent_seconds:
        turn.change(is_asleep=True)
        return turn.decision()
    _climb(turn)
    turn.page(say.EscalationStepped, people_at(turn.case.level, store), step=number, due_at=now)
    _next_step(turn, now)
    return turn.decision()


def expire(case: Case, generation: int, store: Store, now: datetime) -> Decision[Case]:
    """An acknowledgement went stale: open again, same level, next generation; whoever took it and whoever is on duty now are paged."""
    turn = Turn(case, store, now)
    if case.status != "acknowledged" or generation != case.generation or case.expires_at is None or case.paused_reason:
        return turn.decision()
    took = case.acknowledged_by or case.owner_staff_id
    start_again(turn)
    on_duty = store.on_duty or ((case.owner_staff_id,) if case.owner_staff_id else ())
    turn.page(say.AcknowledgementExpired, tuple(dict.fromkeys(person for person in (took, *on_duty) if person)))
    _next_step(turn, now)
    return turn.decision()


def start_again(turn: Turn) -> None:
    """A new generation of the ladder at the same level; the old one's steps are over."""
    turn.cancel("step", "next-generation", generation=turn.case.generation)
    turn.change(
        status="open",
        generation=turn.case.generation + 1,
        step=0,
        step_since=None,
        step_due_at=None,
        is_asleep=False,
        acknowledged_by=None,
        acknowledged_at=None,
        expires_at=None,
    )


def wake(turn: Turn) -> None:
    """Something stirred in a case that fell asleep: its ladder starts again."""
    if turn.case.is_asleep and turn.case.status == "open":
        start_again(turn)
        _next_step(turn, turn.now)


def _climb(turn: Turn) -> None:
    turn.change(level=min(turn.case.level + 1, TOP_LEVEL))


def replan_step(turn: Turn) -> None:
    """The step that is due next, counted anew from where its wait began; one that would have come already comes now."""
    if turn.case.step_since is not None:
        _next_step(turn, turn.case.step_since, not_before=turn.now)


def _next_step(turn: Turn, due: datetime, not_before: datetime | None = None) -> None:
    """The wait depends on the level reached: the target's own time below the managers, then the step, then the repeat."""
    plan = turn.case.plan
    waits = (plan.seconds["acknowledge"], plan.step_seconds, plan.repeat_seconds)
    at = turn.due(due, waits[turn.case.level])
    turn.change(step_since=due, step_due_at=at if not_before is None else max(at, not_before))
    turn.schedule("step", str(turn.case.step + 1), turn.case.generation, turn.case.step_due_at)


def _due_of(turn: Turn, milestone: Milestone) -> datetime:
    target = turn.case.target(milestone)
    return target.due_at if target and target.due_at else turn.now
