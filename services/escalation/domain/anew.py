"""A case counted anew, by a recorded act: the hours of its store changed.

Invariant: due times are those that the hours of now give from the start of the segment, pauses left out, so hours that are changed back
give back the same; what is met or breached stays as it was.
"""

from datetime import datetime

from services.escalation.domain import clock, ladder
from services.escalation.domain.case import Case, Store, Turn
from shared.contracts import cases as say
from shared.kernel.decision import Decision


def on_new_hours(case: Case, store: Store, now: datetime) -> Decision[Case]:
    """Targets, warnings, the ladder's next step, a stale acknowledgement and a pause's end by the hours that the store has now.

    What moved is told in one event; what the new hours leave where it was is told by none.
    """
    turn = Turn(case, store, now)
    if not case.is_live:
        return turn.decision()
    clock.replan(turn)
    clock.replan_waits(turn)
    ladder.replan_step(turn)
    if turn.case != case:
        turn.say(say.CaseReplanned, why="hours_changed")
    return turn.decision()
