"""Timers: durable deadlines in business time, each fired exactly once or cancelled for a recorded reason.

`schedule.write` keeps what decisions ask for, `due.Loop` wakes the service's `timers.py`, `done.fire` is called by its use cases;
`look` tells what is set and what was fired.
"""

from shared.timers.audit import Auditor, Check, Finding, findings
from shared.timers.done import fire
from shared.timers.due import Loop, TimerHandler
from shared.timers.look import Pending, fired, pending
from shared.timers.schedule import Due, write

__all__ = ["Auditor", "Check", "Finding", "findings", "Due", "Loop", "Pending", "TimerHandler", "fire", "fired", "pending", "write"]
