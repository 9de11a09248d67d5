"""What the auditor of timers found in a service, over HTTP, under the service's name.

Called by the process, which adds it to each service's own routes. Scope `parked:write`: subjects are of all stores, so it is for who keeps
the machinery going, not for who sees one store.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final
from uuid import UUID

from litestar import get, post
from pydantic import BaseModel, ConfigDict, StringConstraints

from shared import timers
from shared.kernel.clock import machine_now
from shared.timers import CasesOf
from shared.timers.audit import FOR_GOOD
from shared.web import Principal, requires

GUARDS: Final = [requires("parked:write")]


class Noted(BaseModel):
    """Why it is all right."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


def findings_routes(service: str, cases_of: CasesOf | None) -> list[Any]:
    """`GET /v1/timers/SERVICE`, and taking note of what cannot be mended. `cases_of`: whose cases the timers' subjects are."""

    @get(f"/v1/timers/{service}", guards=GUARDS)
    async def list_timer_findings(desk: Any) -> dict[str, Any]:
        """Timers that are not as they ought to be, oldest first; none in a healthy system. `checked_at`: when that was looked at last."""
        async with desk.engine.pool.acquire() as conn:
            rows, looked = await timers.findings(conn), await timers.looked(conn)
            cases = await cases_of(conn, _ids(rows)) if cases_of is not None else {}
        return {
            "items": [_view(service, row, cases) for row in rows],
            "next_cursor": None,
            "checked_at": looked.looked_at,
            "went_round_at": looked.went_round_at,
        }

    @post(f"/v1/timers/{service}/{{finding_id:uuid}}/noted", guards=GUARDS, status_code=200)
    async def note_timer_finding(desk: Any, principal: Principal, finding_id: UUID, data: Noted) -> dict[str, Any]:
        """Take note of a timer that fired early or twice, with the reason: it is listed and counted no more."""
        async with desk.engine.transaction(door="http") as tx:
            name = await timers.note(tx.conn, finding_id, machine_now())
            tx.audit(principal.actor, "note", f"timer:{name}", {"reason": data.reason})
        return {"id": str(finding_id), "noted": True}

    return [list_timer_findings, note_timer_finding]


def _ids(rows: Sequence[Mapping[str, Any]]) -> list[UUID]:
    """The subjects that are ids; a service's other timers have names."""
    found = []
    for row in rows:
        try:
            found.append(UUID(row["subject"]))
        except ValueError:
            continue
    return found


def _view(service: str, row: Mapping[str, Any], cases: Mapping[UUID, UUID]) -> dict[str, Any]:
    """`is_for_good`: it cannot be mended and stays until a person takes note of it."""
    case_id = next((case_id for subject, case_id in cases.items() if str(subject) == row["subject"]), None)
    return {
        "id": str(row["finding_id"]),
        "service": service,
        **{
            name: row[name]
            for name in ("fault", "words", "kind", "subject", "name", "generation", "detail", "due_at", "created_at", "seen_at")
        },
        "case_id": str(case_id) if case_id else None,
        "is_for_good": row["fault"] in FOR_GOOD,
    }
