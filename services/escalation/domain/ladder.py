"""The ladder: who is paged when nobody takes a case, and what an acknowledgement stops.

Its rungs are data (`rungs`), kept in the case's plan. Climbing never changes the owner; each rung pages its own people, whoever they are
at that moment. When the shift of an owner ends before the case was taken, the page goes to whoever comes on duty, the case stays theirs.
Invariant: each step fires once, by the key (case, `step`, number, generation); what follows a step counts from the step's due time; an
acknowledgement ends its generation, and a case that nobody stirred for days wakes nobody.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from services.escalation.domain import clock
from services.escalation.domain.case import Case, Store, Turn
from services.escalation.domain.who import came_on_duty, owner_now, paged_on
from shared.contracts import cases as say
from shared.contracts.cases import Channel, Milestone
from shared.kernel.decision import Decision

BREACHED = 1
# Of what comes, so many pages are looked ahead at most.
FORESEEN_MAX = 100


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A page that comes unless somebody takes the case; `repeat`: how often its rung was paged before."""

    rung: int
    repeat: int
    due_at: datetime


def first_page(turn: Turn) -> tuple[tuple[str, ...], tuple[Channel, ...]]:
    """Whom a case that is open (again) pages at once, and how: the first rung, or nobody before the opening where that knows hours.

    The roster is watched from now on.
    """
    rung = turn.case.plan.ladder.rungs[0]
    waits = rung.hours == "open" and turn.due(turn.now, 0) > turn.now
    if waits:
        _set_step(turn, turn.now, 0, 0)
    _watch_shifts(turn)
    return () if waits else paged_on(rung, turn.case, turn.store), rung.how


def breach(case: Case, milestone: Milestone, generation: int, store: Store, now: datetime) -> Decision[Case]:
    """The due time of a target, as `now`. An acknowledgement that is owed climbs the ladder; any other breach is told to the owner."""
    turn = Turn(case, store, now)
    if not clock.mark_breached(turn, milestone, generation):
        return turn.decision()
    climbs = milestone == "acknowledge" and case.status == "open"
    rung = case.plan.ladder.rungs[BREACHED if climbs else 0]
    if climbs:
        turn.change(level=max(case.level, rung.level))
    due_at = _due_of(turn, milestone)
    turn.page(say.TargetBreached, paged_on(rung, turn.case, store), rung.how, milestone=milestone, due_at=due_at)
    if climbs:
        _next_step(turn, now, BREACHED, 0)
    return turn.decision()


def step(case: Case, number: int, generation: int, store: Store, now: datetime) -> Decision[Case]:
    """The due time of a step, as `now`: its rung's people are paged, and the next step is set."""
    turn = Turn(case, store, now)
    if case.status != "open" or generation != case.generation or number != case.step + 1:
        return turn.decision()
    turn.change(step=number, step_since=None, step_due_at=None)
    if turn.is_silent:
        turn.change(is_asleep=True)
        return turn.decision()
    at, repeat = _coming(case)
    rung = case.plan.ladder.rungs[at]
    turn.change(level=max(case.level, rung.level))
    turn.page(say.EscalationStepped, paged_on(rung, turn.case, store), rung.how, step=number, due_at=now, rung=at)
    acknowledgement = case.target("acknowledge")
    if at > 0 or acknowledgement is None or acknowledgement.state != "running":
        _next_step(turn, now, at, repeat)
    return turn.decision()


def expire(case: Case, generation: int, store: Store, now: datetime) -> Decision[Case]:
    """An acknowledgement went stale: open again, same level, next generation; whoever took it and whoever is on duty now are paged."""
    turn = Turn(case, store, now)
    if case.status != "acknowledged" or generation != case.generation or case.expires_at is None or case.paused_reason:
        return turn.decision()
    took = case.acknowledged_by or case.owner_staff_id
    start_again(turn)
    on_duty = store.on_duty or ((case.owner_staff_id,) if case.owner_staff_id else ())
    people = tuple(dict.fromkeys(person for person in (took, *on_duty) if person))
    turn.page(say.AcknowledgementExpired, people, case.plan.ladder.rungs[0].how)
    _go_on(turn)
    return turn.decision()


def hand_over(case: Case, generation: int, store: Store, now: datetime) -> Decision[Case]:
    """The roster changes, as of `now`: while nobody took the case, its page goes to whoever is on duty in its owner's place."""
    turn = Turn(case, store, now)
    if case.hand_over_at is not None and case.hand_over_at <= now:
        turn.change(hand_over_at=None)
    if generation == case.generation:
        hand_on(turn)
    return turn.decision()


def find_owner(case: Case, has_left: bool, store: Store, load: Mapping[str, int], now: datetime) -> Decision[Case]:
    """A live case that is nobody's (no owner, or one who `has_left`) gets one, as soon as somebody is there; they are paged."""
    turn = Turn(case, store, now)
    owner = owner_now(store, load)
    if not case.is_live or owner is None or owner == case.owner_staff_id or not (case.owner_staff_id is None or has_left):
        return turn.decision()
    turn.touch()
    turn.change(owner_staff_id=owner)
    turn.page(say.CaseAssigned, (owner,), case.plan.ladder.rungs[0].how, was=case.owner_staff_id)
    wake(turn)
    return turn.decision()


def hand_on(turn: Turn, among: Collection[str] | None = None) -> None:
    """A case that nobody took: its page to whoever came on duty in its owner's place (`among` these, where some are named), and the
    roster's next change is waited for.
    """
    if turn.case.status != "open" or turn.case.is_asleep or turn.is_silent:
        return
    people = tuple(person for person in came_on_duty(turn.case, turn.store) if among is None or person in among)
    if people:
        turn.page(say.PageHandedOver, people, turn.case.plan.ladder.rungs[0].how)
    _watch_shifts(turn)


def foreseen(case: Case, store: Store, now: datetime) -> tuple[Foreseen, ...]:
    """What comes unless somebody takes the case: the next page, then the first one of each rung above. Empty where nothing does."""
    turn, late = Turn(case, store, now), case.target("acknowledge")
    late_at = late.due_at if late is not None and late.state == "running" else None
    if case.status != "open" or case.is_asleep or (case.step_due_at is None and late_at is None):
        return ()
    coming = Foreseen(BREACHED, 0, late_at) if late_at is not None else None
    if case.step_due_at is not None:
        coming = Foreseen(*_coming(case), case.step_due_at)
    found: list[Foreseen] = []
    for _ in range(FORESEEN_MAX):
        if coming is None:
            break
        if not found or coming.rung != found[-1].rung:
            found.append(coming)
        coming = _after(turn, coming, late_at)
    return tuple(found)


def _after(turn: Turn, page: Foreseen, late_at: datetime | None) -> Foreseen | None:
    """The page after one that nobody answered; None after the last rung. The second rung follows the first when taking it is late."""
    ladder = turn.case.plan.ladder
    if page.rung == len(ladder.rungs) - 1:
        return None
    at, repeat = ladder.after(page.rung, page.repeat)
    if page.rung == 0 and late_at is not None:
        return Foreseen(at, repeat, late_at)
    is_elapsed = ladder.rungs[at].hours == "always"
    return Foreseen(at, repeat, turn.due(page.due_at, _wait(turn.case, at, repeat), is_elapsed=is_elapsed))


def start_again(turn: Turn) -> None:
    """A new generation of the ladder at the same level; the old one's steps are over."""
    for kind in ("step", "hand_over"):
        turn.cancel(kind, "next-generation", generation=turn.case.generation)
    turn.change(
        status="open",
        generation=turn.case.generation + 1,
        step=0,
        step_since=None,
        step_due_at=None,
        hand_over_at=None,
        is_asleep=False,
        acknowledged_by=None,
        acknowledged_at=None,
        expires_at=None,
    )


def wake(turn: Turn) -> None:
    """Something stirred in a case that fell asleep: its ladder starts again."""
    if turn.case.is_asleep and turn.case.status == "open":
        start_again(turn)
        _go_on(turn)


def _go_on(turn: Turn) -> None:
    """A new generation climbs on from the level reached."""
    _next_step(turn, turn.now, turn.case.plan.ladder.at_level(turn.case.level), 0)


def shift_name(at: datetime) -> str:
    """What the timer of a change of shifts is called."""
    return f"{at:%Y-%m-%dT%H:%M}"


def replan_step(turn: Turn) -> None:
    """The step that is due next, counted anew from where its wait began; one that would have come already comes now."""
    if turn.case.step_since is not None:
        at, repeat = _coming(turn.case)
        _set_step(turn, turn.case.step_since, at, repeat, not_before=turn.now)


def _next_step(turn: Turn, since: datetime, rung: int, repeat: int) -> None:
    """What follows the page of a rung at `since`: the same one again, or the next after its wait."""
    _set_step(turn, since, *turn.case.plan.ladder.after(rung, repeat))
    _watch_shifts(turn)


def _set_step(turn: Turn, since: datetime, at: int, repeat: int, not_before: datetime | None = None) -> None:
    rung = turn.case.plan.ladder.rungs[at]
    due_at = turn.due(since, _wait(turn.case, at, repeat), is_elapsed=rung.hours == "always")
    turn.change(step_since=since, step_due_at=due_at if not_before is None else max(due_at, not_before), step_rung=at, step_repeat=repeat)
    turn.schedule("step", str(turn.case.step + 1), turn.case.generation, turn.case.step_due_at)


def _wait(case: Case, at: int, repeat: int) -> int:
    """Seconds before a rung is paged: what it says itself, else what the plan says; none for an opened case that waits for the opening."""
    plan, rung = case.plan, case.plan.ladder.rungs[at]
    if at == 0:
        return 0
    own, plans = (rung.repeat_seconds, plan.repeat_seconds) if repeat else (rung.wait_seconds, plan.step_seconds)
    if own is not None:
        return own
    return plan.seconds["acknowledge"] if at == BREACHED and not repeat else plans


def _coming(case: Case) -> tuple[int, int]:
    """The rung of the step that is due next and how often it was paged; within the ladder, which may be another one by now."""
    ladder = case.plan.ladder
    if case.step_rung is None:
        return ladder.after(ladder.at_level(case.level), 0)
    return min(case.step_rung, len(ladder.rungs) - 1), case.step_repeat


def _watch_shifts(turn: Turn) -> None:
    """Be woken when the roster changes next. Each moment is a timer of its own, for the roster may be drawn up anew meanwhile."""
    at = turn.store.shifts_change_at
    if at is not None:
        turn.change(hand_over_at=at)
        turn.schedule("hand_over", shift_name(at), turn.case.generation, at)


def _due_of(turn: Turn, milestone: Milestone) -> datetime:
    target = turn.case.target(milestone)
    return target.due_at if target and target.due_at else turn.now
