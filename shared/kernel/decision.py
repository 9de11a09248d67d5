"""What a domain function answers: the new state, what happened, and what to be woken for.

Called by every `domain.py`; applied by the use case in one transaction. "Already done" is an empty decision, so idempotence is visible.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Be woken at `due_at` (business time, UTC). The same key again moves the timer; `due_at=None` keeps the row but pauses it."""

    kind: str
    subject: str
    name: str
    generation: int
    due_at: datetime | None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cancel:
    """Do not be woken: all timers of `subject` that match; None matches any. `reason` is kept in `timers_done`."""

    kind: str
    subject: str
    reason: str
    name: str | None = None
    generation: int | None = None


Timer = Schedule | Cancel


@dataclass(frozen=True, slots=True)
class Decision(Generic[S]):
    """`state` after, `events` that happened (contracts), `timers` to set or cancel, in order."""

    state: S
    events: tuple[Any, ...] = ()
    timers: tuple[Timer, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Nothing happened: the fact was known already."""
        return not self.events and not self.timers
