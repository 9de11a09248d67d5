"""`/v1/ledger` and `/v1/budgets`: the money as booked, for who sees the case or the store."""

from typing import Annotated, Any, Final
from uuid import UUID

from litestar import get
from litestar.params import QueryParameter

from services.restitution import store
from services.restitution.usecases import Desk
from shared import reference
from shared.web import Principal, requires

Month = Annotated[str | None, QueryParameter(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]


@get("/v1/ledger", guards=[requires("restitutions:read")])
async def list_ledger(desk: Desk, principal: Principal, case_id: UUID) -> dict[str, Any]:
    """The legs of a case in the order they were booked; those of one entry sum to zero."""
    async with desk.engine.pool.acquire() as conn:
        case = await store.case_of(conn, case_id)
        visible = case is not None and principal.sees(case.location_id, case.region)
        legs = await store.ledger_of(conn, case_id) if visible else []
    items = [
        leg | {"entry_id": str(leg["entry_id"]), "restitution_id": str(leg["restitution_id"]), "at": leg["at"].isoformat()} for leg in legs
    ]
    return {"items": items, "next_cursor": None}


@get("/v1/budgets", guards=[requires("restitutions:read")])
async def list_budgets(desk: Desk, principal: Principal, location_id: str | None = None, month: Month = None) -> dict[str, Any]:
    """What each store's month has reserved and posted, and where it stands, newest month first."""
    async with desk.engine.pool.acquire() as conn:
        rows = await store.budgets_of(conn, [location_id] if location_id else None, month)
        places = await reference.locations(conn, {row["location_id"] for row in rows})
    regions = {key: place.region for key, place in places.items()}
    items = [
        row | {"state": desk.policies.budget(row["reserved_minor"] + row["posted_minor"])}
        for row in rows
        if principal.sees(row["location_id"], regions.get(row["location_id"]))
    ]
    return {"items": items, "next_cursor": None}


ROUTES: Final = [list_ledger, list_budgets]
