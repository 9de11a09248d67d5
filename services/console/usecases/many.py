"""Taking many cases from the queue in one act, asked of escalation in the person's name; each gets its own answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from services.console.domain.queue import QueueRow
from services.console.store import queries
from services.console.usecases.act import catch_up
from services.console.usecases.desk import Asker, Desk, Directory, directory, walls_of
from shared.kernel.errors import Rejected

AT_ONCE: Final = 200
# So many of the projections are waited for, so that the queue that follows does not show the time before.
WAITED_FOR: Final = 5


@dataclass(frozen=True, slots=True)
class Picked:
    """Cases that somebody picked from the queue, most urgent first, as far as they see them; and names for them."""

    rows: list[QueueRow]
    names: Directory


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one of them; `refusal` is the owner's sentence where it was not taken."""

    row: QueueRow
    refusal: str | None


async def picked(desk: Desk, asker: Asker, case_ids: Sequence[UUID]) -> Picked:
    """These cases inside the asker's walls. Raises Rejected for too many."""
    if len(case_ids) > AT_ONCE:
        raise Rejected("invalid-input", f"At most {AT_ONCE} cases are taken on at once.", pointer="/case")
    async with desk.engine.pool.acquire() as conn:
        rows = await queries.some(conn, walls_of(asker), case_ids)
        return Picked(rows, await directory(conn, {row.location_id for row in rows}, {row.owner_staff_id or "" for row in rows}))


async def take_on(desk: Desk, asker: Asker, case_ids: Sequence[UUID], key: str | None) -> tuple[Directory, list[Taken]]:
    """Take these; names, and what became of each that the asker sees. `key`: asked twice, done once.

    Raises Transient where escalation is away, Rejected where the asker may take none.
    """
    found = await picked(desk, asker, case_ids)
    if not found.rows:
        return found.names, []
    body = {"ids": [str(row.case_id) for row in found.rows]}
    answer = await desk.services.post("escalation", "/v1/cases/acknowledge", asker, body, key=key)
    results = {result["id"]: result for result in answer["results"]}
    changed = [row for row in found.rows if results[str(row.case_id)].get("changed")]
    for row in changed[:WAITED_FOR]:
        await catch_up(desk, row, results[str(row.case_id)]["case"])
    return found.names, [Taken(row, _refusal(results[str(row.case_id)].get("problem"))) for row in found.rows]


def _refusal(problem: dict[str, str] | None) -> str | None:
    return str(problem.get("detail") or "It was refused.") if problem else None
