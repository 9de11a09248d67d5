"""What the world outside of a storm knows of it: what was acknowledged to whom, what was struck, what was texted when somebody said STOP.

Written while the storm goes on, read by the checks. Nothing in here comes from a table of Amends.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from tests.chaos.plan import Target


@dataclass(frozen=True, slots=True)
class Blow:
    """A strike as it happened. `up_at`: when what was struck answered again; between the two is the outage."""

    target: Target
    acknowledged: int
    struck_at: datetime
    up_at: datetime


@dataclass(frozen=True, slots=True)
class Stop:
    """A number that said STOP: when it was typed, and when our webhook had taken it."""

    number: str
    typed_at: datetime
    taken_at: datetime


@dataclass(frozen=True, slots=True)
class Done:
    """A person's command that was answered with 200."""

    what: str
    subject: str
    by: str


@dataclass
class Record:
    """One storm as the outside saw it. `acknowledged`: (source, id) to how often it was answered 202 with `accepted` or `duplicate`."""

    acknowledged: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    blows: list[Blow] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)
    sent_again: int = 0
    asked_again: int = 0
