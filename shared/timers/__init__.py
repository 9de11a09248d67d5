"""Timers: durable deadlines in business time, each fired exactly once or cancelled for a recorded reason.

`schedule.write` keeps what decisions ask for, `due.Loop` wakes the service's `timers.py`, `done.fire` is called by its use cases.
"""

from shared.timers.done import fire
from shared.timers.due import Loop, TimerHandler
from shared.timers.schedule import Due, write

__all__ = ["Due", "Loop", "TimerHandler", "fire", "write"]
