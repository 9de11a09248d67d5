"""Promises, what the patient was told by when.

`rules` (the policy), `when` (how the time is found), `states` (what becomes of it), `words` (why it is for when it is).
"""

from services.escalation.domain.promises.rules import Rule, mistakes, rule_of
from services.escalation.domain.promises.states import (
    Outcome,
    fulfil_all,
    fulfil_by,
    fulfilled,
    keep,
    lapse,
    outcomes,
    promise,
    replan,
    timers_of,
    warn,
)
from services.escalation.domain.promises.when import Past
from services.escalation.domain.promises.words import because

__all__ = [
    "Outcome",
    "Past",
    "Rule",
    "because",
    "fulfil_all",
    "fulfil_by",
    "fulfilled",
    "keep",
    "lapse",
    "mistakes",
    "outcomes",
    "promise",
    "replan",
    "rule_of",
    "timers_of",
    "warn",
]
