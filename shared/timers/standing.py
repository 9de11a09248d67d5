"""How a service's timers stand. Called by the loop, for its gauges, and by `amends doctor`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.db import Pool

STANDING: Final = """
-- What is due and not fired, since when, and what is parked; bounded.
select (select count(*) from (select 1 from timers where due_at <= $1 and parked_reason is null limit 10000) o) as overdue,
       (select min(due_at) from timers where due_at <= $1 and parked_reason is null) as since,
       (select count(*) from (select 1 from timers where parked_reason is not null limit 10000) p) as parked
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """Timers that are due and not fired, the earliest of these, and timers that wait for a person; counted up to 10,000."""

    overdue: int
    since: datetime | None
    parked: int


async def standing(pool: Pool, now: datetime) -> Standing:
    """As of `now` (business time)."""
    row = await pool.fetchrow(STANDING, now)
    assert row is not None, "a select of scalars has a row"
    return Standing(**row)
