"""What the auditor of timers asks escalation: whether each case has the timers that its state waits for, and no others."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from services.escalation import store
from shared.db import Connection
from shared.timers import Finding

CASES_AT_ONCE: Final = 1000
NOBODY: Final = UUID(int=0)


async def check_timers(conn: Connection, cursor: str, now: datetime) -> tuple[Sequence[Finding], str]:
    """The next thousand cases after `cursor`, an id; what does not fit, and where to go on ("" at the end)."""
    rows, last = await store.unfit_timers(conn, UUID(cursor) if cursor else NOBODY, CASES_AT_ONCE, now)
    found = [
        Finding(
            row["fault"],
            row["kind"],
            str(row["case_id"]),
            row["name"],
            row["generation"],
            f"set for {row['set_for'].isoformat() if row['set_for'] else 'no time'}" if row["fault"] == "wrong_due" else "",
            row["due_at"],
        )
        for row in rows
    ]
    return found, str(last) if last else ""


async def timer_cases(conn: Connection, subjects: Sequence[UUID]) -> Mapping[UUID, UUID]:
    """The cases that these timers are for: each is its own timers' subject."""
    return {subject: subject for subject in subjects}
