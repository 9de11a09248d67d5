"""The live queue: `GET /` for people, `GET /v1/queue` and `GET /v1/trends` for programs."""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from litestar import Response, get
from litestar.params import Parameter

from services.console import usecases
from services.console.api.doors import AnyRequest, Viewer, viewer_of
from services.console.api.render import html
from services.console.api.sign_in import sign_in_page
from services.console.domain.queue import QueueRow
from services.console.store.queries import Wanted
from services.console.usecases import Desk
from shared.contracts.cases import Status
from shared.kernel.errors import Rejected
from shared.web import PUBLIC, Principal, page, read_cursor, requires
from shared.web.pages import PAGE_LIMIT

ROWS: Final = 50
# No NUL: Postgres could not even compare it.
Name = Annotated[str | None, Parameter(max_length=200, pattern=r"^[^\x00]*$", required=False)]
NOT_CLOSED: Final = ("open", "acknowledged", "resolved")
# What the page's filter by status offers: (value, words, statuses).
VIEWS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("", "Needs work", ("open", "acknowledged")),
    ("open", "Nobody has it yet", ("open",)),
    ("acknowledged", "Taken on", ("acknowledged",)),
    ("resolved", "Resolved", ("resolved",)),
    ("closed", "Closed", ("closed",)),
)


@get("/", opt=PUBLIC, include_in_schema=False)
async def show_queue(request: AnyRequest, desk: Desk) -> Response[str]:
    """The queue for who is signed in, the sign-in page for who is not."""
    viewer = viewer_of(request)
    if viewer is None:
        return await sign_in_page(desk)
    return html("queue.html", **await queue_context(desk, viewer, dict(request.query_params)))


@get("/trends", opt=PUBLIC, include_in_schema=False)
async def show_trends(request: AnyRequest, desk: Desk) -> Response[str]:
    """What is open and overdue, and how promises were kept, per location."""
    viewer = viewer_of(request)
    if viewer is None:
        return await sign_in_page(desk)
    rows, names = await usecases.trends(desk, viewer.principal)
    kept, kept_names = await usecases.kept_promises(desk, viewer.principal)
    return html("trends.html", **frame(desk, viewer), rows=rows, names=names, kept=kept, kept_names=kept_names)


@get("/v1/queue", guards=[requires("cases:read")])
async def list_queue(
    desk: Desk,
    principal: Principal,
    region: Name = None,
    location: Name = None,
    status: Status | None = None,
    severity: Annotated[int | None, Parameter(ge=1, le=9, required=False)] = None,
    due_before: datetime | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Parameter(ge=1, le=PAGE_LIMIT)] = ROWS,
) -> dict[str, Any]:
    """Cases, most urgent first; without a status all that are not closed."""
    if due_before is not None and due_before.tzinfo is None:
        raise Rejected("invalid-input", "A time has its zone.", pointer="/query/due_before")
    after = read_cursor(cursor, datetime, int, UUID)
    wanted = Wanted(
        statuses=(status,) if status else NOT_CLOSED,
        region=region,
        location_id=location,
        severity=severity,
        due_before=due_before,
        after=(after[0], after[1], after[2]) if after else None,
        limit=limit,
    )
    found = await usecases.queue_page(desk, principal, wanted)
    return dict(page(found.rows, limit, row_body, lambda row: (row.urgent_at, row.severity, row.case_id)))


@get("/v1/trends", guards=[requires("cases:read")])
async def list_trends(desk: Desk, principal: Principal) -> dict[str, Any]:
    """Per location what is open, overdue now, and has missed a deadline; the fullest first."""
    rows, names = await usecases.trends(desk, principal)
    items = [row | {"name": names.store(row["location_id"]), "oldest_opened_at": row["oldest_opened_at"].isoformat()} for row in rows]
    return {"items": items, "next_cursor": None}


def row_body(row: QueueRow) -> dict[str, Any]:
    """A case of the queue as the contract spells it."""
    return {
        "id": str(row.case_id),
        "reference": row.reference,
        "status": row.status,
        "level": row.level,
        "severity": row.severity,
        "catalyst": row.catalyst,
        "location_id": row.location_id,
        "region": row.region,
        "patient_ref": row.patient_ref,
        "owner": {"staff_id": row.owner_staff_id} if row.owner_staff_id else None,
        "incidents": row.incidents,
        "opened_at": row.opened_at.isoformat(),
        "next_milestone": row.next_milestone,
        "next_due_at": row.next_due_at.isoformat() if row.next_due_at else None,
        "version": row.version,
    }


def wanted_by(query: dict[str, str]) -> Wanted:
    """What the page's filter asks for; a value that makes no sense is as good as none, since people edit addresses."""
    statuses = next((statuses for value, _, statuses in VIEWS if value == query.get("status", "")), VIEWS[0][2])
    severity = query.get("severity", "")
    after = read_cursor(query.get("cursor") or None, datetime, int, UUID)
    return Wanted(
        statuses=statuses,
        region=_name(query.get("region")),
        location_id=_name(query.get("location")),
        severity=int(severity) if severity in ("1", "2", "3") else None,
        after=(after[0], after[1], after[2]) if after else None,
        limit=ROWS,
    )


def _name(text: str | None) -> str | None:
    return text if text and "\x00" not in text else None


async def queue_context(desk: Desk, viewer: Viewer, query: dict[str, str]) -> dict[str, Any]:
    """What the queue's templates are given."""
    found = await usecases.queue_page(desk, viewer.principal, wanted_by(query))
    body = page(found.rows, ROWS, lambda row: row, lambda row: (row.urgent_at, row.severity, row.case_id))
    chosen = {name: query.get(name, "") for name in ("status", "region", "location", "severity")}
    return frame(desk, viewer) | {
        "rows": body["items"],
        "next_cursor": body["next_cursor"],
        "names": found.names,
        "chosen": chosen,
        "may_work": viewer.principal.may("cases:write"),
        "said": _taken(query.get("taken", "")),
        # A further page stands still: the stream tells of the first.
        "is_first": not query.get("cursor"),
        "is_filtered": any(chosen.values()),
        "views": VIEWS,
        "places": await usecases.places(desk, viewer.principal),
    }


def _taken(count: str) -> str | None:
    """What was just done with the cases that were picked."""
    if not (count.isascii() and count.isdigit() and 0 < len(count) < 4 and int(count)):
        return None
    return f"{count} {'case is' if int(count) == 1 else 'cases are'} yours now. Their ladders have stopped."


def frame(desk: Desk, viewer: Viewer) -> dict[str, Any]:
    """What the frame around every page for staff is given."""
    return {"viewer": viewer, "now": desk.now, "rate": desk.rate, "is_demo": desk.is_demo}
