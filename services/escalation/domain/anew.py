"""A case counted anew, by a recorded act: hours or roster of its store changed, or a person asked for the plan of the day.

Invariant: due times are those that the hours and the plan of now give from the start of the segment, pauses left out, so what is changed
back gives back the same; what is met or breached stays as it was.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from services.escalation.domain import clock, ladder, promises
from services.escalation.domain.case import Case, Plan, Store, Turn
from shared.contracts import cases as say
from shared.contracts.cases import PolicyRef
from shared.kernel.decision import Decision
from shared.kernel.errors import Rejected


def on_new_hours(case: Case, store: Store, now: datetime) -> Decision[Case]:
    """Targets, warnings, the ladder's next step, a stale acknowledgement, a pause's end, the aims of promises: all by
    the hours that the store has now.

    What moved is told in one event; what the new hours leave where it was is told by none.
    """
    turn = Turn(case, store, now)
    if not case.is_live:
        return turn.decision()
    clock.replan(turn)
    clock.replan_waits(turn)
    ladder.replan_step(turn)
    promises.replan(turn)
    if turn.case != case:
        turn.say(say.CaseReplanned, why="hours_changed")
    return turn.decision()


def on_new_roster(case: Case, store: Store, were: Sequence[str], are: Sequence[str], now: datetime) -> Decision[Case]:
    """The roster was drawn up anew or overridden: the page goes to whoever came on duty by that in the owner's place, and the next change
    is waited for. `were` and `are` are those on duty at that moment by the old roster and by the new one, which may be old again by now.
    """
    turn = Turn(case, replace(store, on_duty_before=tuple(were), rostered=store.rostered.union(were)), now)
    ladder.hand_on(turn, among=are)
    return turn.decision()


def on_new_plan(case: Case, plan: Plan, store: Store, now: datetime, by: str | None, role: str | None) -> Decision[Case]:
    """`plan` is what the tables in force now give the case. The plan it has already: an empty decision.

    A manager's to ask for, since it may move deadlines away; `role` is None for a machine's key. Raises Rejected.
    """
    turn = Turn(case, store, now, by)
    if role == "associate":
        raise Rejected("forbidden", "A manager has a case planned anew.")
    if not case.is_live:
        raise Rejected(f"case-{case.status}", f"The case is {case.status}; reopen it first.")
    if plan == case.plan:
        return turn.decision()
    turn.touch()
    turn.change(plan=plan, severity=plan.severity)
    clock.replan(turn)
    clock.replan_waits(turn)
    ladder.replan_step(turn)
    was = PolicyRef(name=case.plan.name, version=case.plan.version)
    row = plan.decision["row"] if plan.decision else None
    turn.say(say.CaseReplanned, why="plan_changed", row=row, was=was, was_severity=case.severity)
    ladder.wake(turn)
    return turn.decision()
