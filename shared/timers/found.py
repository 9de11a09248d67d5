"""What the auditor of timers found, as people are told of it, and what they took note of.

Called by the doors. Invariant: what can be mended goes by itself once it is; only what happened for good is ended by a person's word.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shared.db import Connection, Pool
from shared.kernel.errors import Rejected
from shared.timers.audit import FAULTS, FOR_GOOD, ROWS

LISTED: Final = """
-- What was found and nobody took note of, oldest first.
select finding_id, fault, kind, subject, name, generation, detail, due_at, created_at, seen_at from timer_findings
where noted_at is null order by created_at, fault, kind, subject, name limit $1
"""
ONE: Final = """
-- One of these, locked.
select finding_id, fault, kind, subject, name, generation from timer_findings where finding_id = $1 and noted_at is null for update
"""
NOTE: Final = "update timer_findings set noted_at = $2 where finding_id = $1"
LOOKED: Final = "select looked_at, went_round_at from timer_audits"


# The cases that subjects of a service's timers belong to, as far as they belong to one.
CasesOf = Callable[[Connection, Sequence[UUID]], Awaitable[Mapping[UUID, UUID]]]


@dataclass(frozen=True, slots=True)
class Looked:
    """When the auditor looked last, and as of when it had gone over everything; machine time, None where that is still to come."""

    looked_at: datetime | None
    went_round_at: datetime | None


async def findings(pool: Pool | Connection, limit: int = ROWS) -> list[dict[str, Any]]:
    """What was found and is still so, oldest first, each with what its fault means in words."""
    return [dict(row) | {"words": FAULTS.get(row["fault"], row["fault"])} for row in await pool.fetch(LISTED, limit)]


async def looked(pool: Pool | Connection) -> Looked:
    """How far the auditor has come."""
    row = await pool.fetchrow(LOOKED)
    return Looked(row["looked_at"], row["went_round_at"]) if row else Looked(None, None)


async def note(conn: Connection, finding_id: UUID, machine_now: datetime) -> str:
    """End what a person took note of; its name as `fault:kind:subject:name:generation`. Rejected: unknown-finding, goes-by-itself."""
    row = await conn.fetchrow(ONE, finding_id)
    if row is None:
        raise Rejected("unknown-finding", "There is no such finding here: it is mended, or somebody has taken note of it.")
    if row["fault"] not in FOR_GOOD:
        raise Rejected("goes-by-itself", "This can be mended, and goes by itself once it is; only what fired early or twice is noted.")
    await conn.execute(NOTE, finding_id, machine_now)
    return ":".join(str(row[part]) for part in ("fault", "kind", "subject", "name", "generation"))
