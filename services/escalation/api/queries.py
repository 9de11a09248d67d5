"""`GET` of cases: a page, one, its clock; and of how promises were kept."""

from datetime import date, datetime
from itertools import groupby
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get
from litestar.params import QueryParameter

from services.escalation import usecases
from services.escalation.api.views import case_body, clock_body, kept_body, whole_body
from services.escalation.store import TallyWanted, Wanted
from services.escalation.usecases import Desk
from shared.contracts.cases import Status
from shared.web import Principal, etag, page, read_cursor, requires
from shared.web.pages import PAGE_LIMIT

PAGE = 50
MONTH = r"^20[0-9]{2}-(0[1-9]|1[0-2])$"
# What a column can hold: no U+0000, and not endlessly long.
Name = Annotated[str | None, QueryParameter(max_length=200, pattern=r"^[^\x00]*$")]


@get("/v1/cases", guards=[requires("cases:read")])
async def list_cases(
    desk: Desk,
    principal: Principal,
    patient_ref: Name = None,
    location_id: Name = None,
    status: Status | None = None,
    cursor: str | None = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_LIMIT)] = PAGE,
) -> dict[str, Any]:
    """Cases that the asker may see, newest first."""
    sees_all = principal.sees(None, None)
    after = read_cursor(cursor, datetime, UUID)
    wanted = Wanted(
        patient_ref=patient_ref,
        location_id=location_id,
        status=status,
        locations=None if sees_all else list(principal.locations),
        regions=None if sees_all else list(principal.regions),
        after=(after[0], after[1]) if after else None,
        limit=limit,
    )
    found = await usecases.cases(desk, wanted)
    return dict(page(found, limit, case_body, lambda view: (view.case.opened_at, view.case.case_id)))


@get("/v1/cases/{case_name:str}", guards=[requires("cases:read")])
async def get_case(desk: Desk, principal: Principal, case_name: str) -> Response[dict[str, Any]]:
    """One case, by id or reference."""
    whole = await usecases.case(desk, case_name, principal)
    return Response(whole_body(whole), headers={"etag": etag(whole.view.case.version)})


@get("/v1/cases/{case_name:str}/clock", guards=[requires("cases:read")])
async def get_case_clock(desk: Desk, principal: Principal, case_name: str) -> dict[str, Any]:
    """Each target of a case with its story."""
    return clock_body(await usecases.clock(desk, case_name, principal))


@get("/v1/promises/kept", guards=[requires("cases:read")])
async def list_kept_promises(
    desk: Desk,
    principal: Principal,
    location_id: Name = None,
    month: Annotated[str | None, QueryParameter(pattern=MONTH)] = None,
    cursor: str | None = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_LIMIT)] = PAGE,
) -> dict[str, Any]:
    """What became of promises, by store: made, kept, early, late, moved in a month (this one, where none is named)."""
    sees_all = principal.sees(None, None)
    after = read_cursor(cursor, str)
    day = date.fromisoformat(f"{month}-01") if month else desk.engine.clock.now().date().replace(day=1)
    wanted = TallyWanted(
        month=day,
        location_id=location_id,
        locations=None if sees_all else list(principal.locations),
        regions=None if sees_all else list(principal.regions),
        after=after[0] if after else "",
        limit=limit,
    )
    found = groupby(await usecases.kept_promises(desk, wanted), key=lambda tally: tally.location_id)
    rows = [(place, list(tallies)) for place, tallies in found]
    return dict(page(rows, limit, lambda row: kept_body(row[0], day, row[1]), lambda row: (row[0],)))


ROUTES = [list_cases, get_case, get_case_clock, list_kept_promises]
