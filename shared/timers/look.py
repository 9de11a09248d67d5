"""Looking at timers: what is set for a subject, and what was fired.

Called by use cases that compare what is set with what ought to be. Sets in, sets out; nothing changes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.db import Connection

PENDING: Final = """
-- The timers of these subjects.
select subject, kind, name, generation, due_at, parked_reason from timers where subject = any($1::text[]) order by subject, kind, name
"""
FIRED: Final = """
-- Which timers of these subjects were fired.
select subject, kind, name, generation from timers_done where subject = any($1::text[]) and outcome = 'fired'
"""

# (kind, name, generation) within a subject.
Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Pending:
    """A timer that is set; `due_at` is None while it is paused, `parked_reason` set where it waits for a person."""

    due_at: datetime | None
    parked_reason: str | None = None


async def pending(conn: Connection, subjects: Iterable[str]) -> dict[str, dict[Key, Pending]]:
    """What is set, by subject and key; a subject without timers is absent."""
    found: dict[str, dict[Key, Pending]] = {}
    for row in await conn.fetch(PENDING, list(subjects)):
        found.setdefault(row["subject"], {})[row["kind"], row["name"], row["generation"]] = Pending(row["due_at"], row["parked_reason"])
    return found


async def fired(conn: Connection, subjects: Iterable[str]) -> Mapping[str, set[Key]]:
    """What was fired, by subject; such a key cannot be set again."""
    found: dict[str, set[Key]] = {}
    for row in await conn.fetch(FIRED, list(subjects)):
        found.setdefault(row["subject"], set()).add((row["kind"], row["name"], row["generation"]))
    return found
