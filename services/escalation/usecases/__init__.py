"""One function, one transaction: `hear` (what others told), `deadlines` (what time has come), `act` and
`promises` (what people ask), `queries`."""

from services.escalation.usecases.act import (
    Asked,
    CaseView,
    acknowledge,
    add_note,
    assign,
    close,
    pause,
    record_action,
    reopen,
    replan,
    resolve,
    resume,
    tell_story,
)
from services.escalation.usecases.check import check_timers, timer_cases
from services.escalation.usecases.deadlines import (
    breach_targets,
    climb,
    end_pauses,
    expire_acknowledgements,
    hand_over,
    lapse_promises,
    warn_of_promises,
    warn_owners,
)
from services.escalation.usecases.desk import Desk
from services.escalation.usecases.hear import take_incidents, take_notices, take_patients, take_restitutions
from services.escalation.usecases.hours import hours_told, recount
from services.escalation.usecases.many import Answered, acknowledge_many
from services.escalation.usecases.promises import keep_promise, kept_promises, make_promise
from services.escalation.usecases.queries import Clock, WholeCase, case, cases, clock
from services.escalation.usecases.rebuild import Looked, case_named, next_cases, rebuild_clocks
from services.escalation.usecases.standing import measure
from services.escalation.usecases.unowned import find_owners, watch_unowned

__all__ = [
    "Answered",
    "Asked",
    "CaseView",
    "Clock",
    "Desk",
    "Looked",
    "WholeCase",
    "acknowledge",
    "add_note",
    "acknowledge_many",
    "assign",
    "breach_targets",
    "case",
    "case_named",
    "check_timers",
    "cases",
    "climb",
    "clock",
    "close",
    "end_pauses",
    "expire_acknowledgements",
    "find_owners",
    "hand_over",
    "hours_told",
    "keep_promise",
    "kept_promises",
    "lapse_promises",
    "make_promise",
    "next_cases",
    "measure",
    "pause",
    "record_action",
    "rebuild_clocks",
    "recount",
    "reopen",
    "replan",
    "resolve",
    "resume",
    "take_incidents",
    "take_notices",
    "take_patients",
    "take_restitutions",
    "tell_story",
    "timer_cases",
    "warn_of_promises",
    "warn_owners",
    "watch_unowned",
]
