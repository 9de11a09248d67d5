"""What the directory is asked: put and read regions, locations, staff and rosters; issue, list and revoke keys.

All of it needs the scope `directory:write`, which administrators have. A body has the fields of the file; its id is in the address.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from litestar import delete, get, post, put
from litestar.params import QueryParameter
from pydantic import BaseModel, ConfigDict, Field

from services.directory import store, usecases
from services.directory.domain import ID, Key, Location, Put, Shifts, Staff
from services.directory.usecases import Desk
from shared.kernel.errors import Rejected
from shared.web import Principal, page, read_cursor, requires

GUARDS: Final = [requires("directory:write")]
Limit = Annotated[int, QueryParameter(ge=1, le=200)]
View = dict[str, Any]


class KeyWanted(BaseModel):
    """Scopes of its own, a member of staff it acts as, or both."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]*$")
    scopes: list[str] = Field([], max_length=50)
    staff_id: str | None = Field(None, pattern=ID)


@get("/v1/regions", guards=GUARDS)
async def list_regions(desk: Desk, cursor: str | None = None, limit: Limit = 100) -> Mapping[str, Any]:
    """Regions by id."""
    rows = await store.regions(desk.engine.pool, _after(cursor), limit + 1)
    return page(rows, limit, lambda row: row.model_dump(mode="json"), lambda row: (row.id,))


@put("/v1/regions/{region_id:str}", guards=GUARDS)
async def put_region(desk: Desk, principal: Principal, region_id: str, data: dict[str, Any]) -> View:
    """Write a region: `name`."""
    async with desk.engine.transaction() as tx:
        return (await usecases.put_region(desk, tx, region_id, data, actor=principal.actor)).model_dump(mode="json")


@get("/v1/locations", guards=GUARDS)
async def list_locations(desk: Desk, cursor: str | None = None, limit: Limit = 100) -> Mapping[str, Any]:
    """Locations by id."""
    rows = await store.locations(desk.engine.pool, _after(cursor), limit + 1)
    return page(rows, limit, location_view, lambda found: (found.row.id,))


@get("/v1/locations/{location_id:str}", guards=GUARDS)
async def get_location(desk: Desk, location_id: str) -> View:
    """One location."""
    found = await store.location(desk.engine.pool, _id(location_id, "unknown-location"))
    if found is None:
        raise Rejected("unknown-location", "There is no such location.")
    return location_view(found)


@put("/v1/locations/{location_id:str}", guards=GUARDS)
async def put_location(desk: Desk, principal: Principal, location_id: str, data: dict[str, Any]) -> View:
    """Write a location: the fields of the directory file. Its roster stays as it is."""
    async with desk.engine.transaction() as tx:
        return location_view(await usecases.put_location(desk, tx, location_id, data, actor=principal.actor))


@get("/v1/staff", guards=GUARDS)
async def list_staff(desk: Desk, cursor: str | None = None, limit: Limit = 100) -> Mapping[str, Any]:
    """Staff by id."""
    rows = await store.staff(desk.engine.pool, _after(cursor), limit + 1)
    return page(rows, limit, staff_view, lambda found: (found.row.id,))


@get("/v1/staff/{staff_id:str}", guards=GUARDS)
async def get_staff(desk: Desk, staff_id: str) -> View:
    """One member of staff."""
    found = await store.member(desk.engine.pool, _id(staff_id, "unknown-staff"))
    if found is None:
        raise Rejected("unknown-staff", "There is nobody of that id.")
    return staff_view(found)


@put("/v1/staff/{staff_id:str}", guards=GUARDS)
async def put_staff(desk: Desk, principal: Principal, staff_id: str, data: dict[str, Any]) -> View:
    """Write a member of staff: the fields of the directory file, and `active`."""
    async with desk.engine.transaction() as tx:
        return staff_view(await usecases.put_staff(desk, tx, staff_id, data, actor=principal.actor))


@get("/v1/rosters/{location_id:str}", guards=GUARDS)
async def get_roster(desk: Desk, location_id: str) -> View:
    """A location's roster, in wall time of the store."""
    if await store.location(desk.engine.pool, _id(location_id, "unknown-location")) is None:
        raise Rejected("unknown-location", "There is no such location.")
    return roster_view(location_id, (await store.rosters(desk.engine.pool, [location_id])).get(location_id, ()))


@put("/v1/rosters/{location_id:str}", guards=GUARDS)
async def put_roster(desk: Desk, principal: Principal, location_id: str, data: dict[str, Any] | list[Any]) -> View:
    """Replace a location's roster: `{"shifts": [{"staff_id", "from", "to"}]}`, or the list alone."""
    async with desk.engine.transaction() as tx:
        shifts = await usecases.put_roster(desk, tx, _id(location_id, "unknown-location"), data, actor=principal.actor)
    return roster_view(location_id, shifts)


@get("/v1/keys", guards=GUARDS)
async def list_keys(desk: Desk, cursor: str | None = None, limit: Limit = 100) -> Mapping[str, Any]:
    """Keys by id, without what opens them."""
    rows = await store.keys(desk.engine.pool, _after(cursor), limit + 1)
    return page(rows, limit, key_view, lambda key: (key.id,))


@get("/v1/keys/{key_id:str}", guards=GUARDS)
async def get_key(desk: Desk, key_id: str) -> View:
    """One key, without what opens it."""
    found = await store.key(desk.engine.pool, _id(key_id, "unknown-key"))
    if found is None:
        raise Rejected("unknown-key", "There is no such key.")
    return key_view(found)


@post("/v1/keys", guards=GUARDS)
async def create_key(desk: Desk, principal: Principal, data: KeyWanted) -> View:
    """Issue a key; `key` is shown this once."""
    async with desk.engine.transaction() as tx:
        issued, shown = await usecases.create_key(desk, tx, data.name, data.scopes, data.staff_id, actor=principal.actor)
    return {**key_view(issued), "key": shown}


@delete("/v1/keys/{key_id:str}", guards=GUARDS, status_code=200)
async def revoke_key(desk: Desk, principal: Principal, key_id: str) -> View:
    """Revoke a key; it stays in the list."""
    async with desk.engine.transaction() as tx:
        return key_view(await usecases.revoke_key(desk, tx, _id(key_id, "unknown-key"), actor=principal.actor))


def location_view(found: Put[Location]) -> View:
    """A location as the file has it, coordinates as numbers of degrees."""
    row = found.row.model_dump(mode="json")
    row["coordinates"] = row["coordinates"] and [float(degrees) for degrees in row["coordinates"]]
    return {**row, "version": found.version}


def staff_view(found: Put[Staff]) -> View:
    return {**found.row.model_dump(mode="json"), "version": found.version}


def roster_view(location_id: str, shifts: Shifts) -> View:
    return {"location_id": location_id, "shifts": [{"staff_id": s.staff_id, "from": s.starts, "to": s.ends} for s in shifts]}


def key_view(key: Key) -> View:
    return {"id": key.id, "name": key.name, "scopes": key.scopes, "staff_id": key.staff_id, "revoked": key.revoked, "version": key.version}


def _id(text: str, code: str) -> str:
    """What the address names; nothing has a name that is no id."""
    if not re.match(ID, text):
        raise Rejected(code)
    return text


def _after(cursor: str | None) -> str:
    parts = read_cursor(cursor, str)
    return parts[0] if parts else ""


ROUTES: Final = [
    list_regions, put_region, list_locations, get_location, put_location, list_staff, get_staff, put_staff, get_roster, put_roster,
    list_keys, get_key, create_key, revoke_key,
]  # fmt: skip
