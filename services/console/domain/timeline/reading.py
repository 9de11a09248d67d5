"""What a timeline is made of: an event as it is kept, the line it is read as, and what is needed to read it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from services.console.domain.when import moment, parse

Tone = Literal["plain", "good", "warn", "bad", "money", "text"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of a case as it is kept. `data` is the event without what every event carries."""

    event_id: str
    case_id: str
    at: datetime
    type: str
    data: Mapping[str, Any]
    version: int = 1


@dataclass(frozen=True, slots=True)
class Line:
    """One event of a case as it is read. `who` is a name where a person did it."""

    at: datetime
    text: str
    tone: Tone
    who: str | None
    type: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What is needed to read a timeline: names of staff by id, and the store's zone."""

    names: Mapping[str, str]
    zone: str

    def name(self, staff_id: str | None) -> str:
        """A person's name."""
        return self.names.get(staff_id or "", staff_id or "nobody")

    def people(self, staff_ids: Any) -> str:
        """Several names as one phrase."""
        found = [self.name(staff_id) for staff_id in staff_ids or ()]
        return ", ".join(found[:-1]) + (" and " if len(found) > 1 else "") + found[-1] if found else "nobody"

    def time(self, text: str | None) -> str:
        """An instant of an event on the wall of the store."""
        at = parse(text)
        return moment(at, self.zone) if at else "a time not set"


Told = tuple[str, Tone]
Data = Mapping[str, Any]
Teller = Callable[[Data, Reading], Told]
