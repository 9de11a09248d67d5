"""Timers: durable deadlines in business time, each fired exactly once or cancelled for a recorded reason.

`schedule.write` keeps what decisions ask for, `due.Loop` wakes the service's `timers.py`, `done.fire` is called by its use cases;
`look` tells what is set and what was fired; `audit` holds all of it against what ought to be, `waits` against what a service's subjects
wait for, and `found` tells people what was found.
"""

from shared.timers.audit import Auditor, Check, Finding
from shared.timers.done import fire
from shared.timers.due import Loop, TimerHandler
from shared.timers.found import CasesOf, Looked, findings, looked, note
from shared.timers.look import Pending, fired, pending
from shared.timers.schedule import Due, write
from shared.timers.waits import check_of

__all__ = [
    "Auditor", "CasesOf", "Check", "Due", "Finding", "Looked", "Loop", "Pending", "TimerHandler",
    "check_of", "findings", "fire", "fired", "looked", "note", "pending", "write",
]  # fmt: skip
