"""How cases are kept. Sets in, sets out; a case is locked before it is decided on, in the order of case ids.

Called by the use cases and queries.
"""

from services.escalation.store.cases import (
    Wanted,
    another_open,
    facts,
    ids_after,
    known_incidents,
    live_after,
    lock,
    lock_named,
    lock_one,
    lock_open,
    numbers,
    page,
    read_one,
    save,
)
from services.escalation.store.clocks import histories, history, hours, keep_hours, unfit_timers
from services.escalation.store.desk import load, lock_unowned, standing, take_turns, turns
from services.escalation.store.promises import Count, Duration, Tally, TallyWanted, add_durations, count, past, tallies
from services.escalation.store.words import Sealed, case_keys, notes, patient_keys, put_case_key, put_patients, put_words, stories

__all__ = [
    "Count",
    "Duration",
    "Sealed",
    "Tally",
    "TallyWanted",
    "Wanted",
    "add_durations",
    "another_open",
    "case_keys",
    "count",
    "facts",
    "histories",
    "history",
    "hours",
    "ids_after",
    "keep_hours",
    "known_incidents",
    "live_after",
    "load",
    "lock",
    "lock_named",
    "lock_one",
    "lock_open",
    "lock_unowned",
    "notes",
    "numbers",
    "page",
    "past",
    "patient_keys",
    "put_case_key",
    "put_patients",
    "put_words",
    "read_one",
    "save",
    "standing",
    "stories",
    "take_turns",
    "tallies",
    "turns",
    "unfit_timers",
]
