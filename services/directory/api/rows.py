"""Regions, locations and staff: put and read. A body has the fields of the file; its id is in the address."""

from collections.abc import Mapping
from typing import Any, Final

from litestar import get, put

from services.directory import store, usecases
from services.directory.api.doors import GUARDS, Limit, View, after_of, id_of
from services.directory.domain import Location, Put, Staff
from services.directory.usecases import Desk
from shared.kernel.errors import Rejected
from shared.web import Principal, page


@get("/v1/regions", guards=GUARDS)
async def list_regions(desk: Desk, cursor: str | None = None, limit: Limit = 100) -> Mapping[str, Any]:
    """Regions by id."""
    rows = await store.regions(desk.engine.pool, after_of(cursor), limit + 1)
    return page(rows, limit, lambda row: row.model_dump(mode="json"), lambda row: (row.id,))


@put("/v1/regions/{region_id:str}", guards=GUARDS)
async def put_region(desk: Desk, principal: Principal, region_id: str, data: dict[str, Any]) -> View:
    """Write a region: `name`."""
    async with desk.engine.transaction() as tx:
        return (await usecases.put_region(desk, tx, region_id, data, actor=principal.actor)).model_dump(mode="json")


@get("/v1/locations", guards=GUARDS)
async def list_locations(desk: Desk, cursor: str | None = None, limit: Limit = 100) -> Mapping[str, Any]:
    """Locations by id."""
    rows = await store.locations(desk.engine.pool, after_of(cursor), limit + 1)
    return page(rows, limit, location_view, lambda found: (found.row.id,))


@get("/v1/locations/{location_id:str}", guards=GUARDS)
async def get_location(desk: Desk, location_id: str) -> View:
    """One location."""
    found = await store.location(desk.engine.pool, id_of(location_id, "unknown-location"))
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
    rows = await store.staff(desk.engine.pool, after_of(cursor), limit + 1)
    return page(rows, limit, staff_view, lambda found: (found.row.id,))


@get("/v1/staff/{staff_id:str}", guards=GUARDS)
async def get_staff(desk: Desk, staff_id: str) -> View:
    """One member of staff."""
    found = await store.member(desk.engine.pool, id_of(staff_id, "unknown-staff"))
    if found is None:
        raise Rejected("unknown-staff", "There is nobody of that id.")
    return staff_view(found)


@put("/v1/staff/{staff_id:str}", guards=GUARDS)
async def put_staff(desk: Desk, principal: Principal, staff_id: str, data: dict[str, Any]) -> View:
    """Write a member of staff: the fields of the directory file, and `active`."""
    async with desk.engine.transaction() as tx:
        return staff_view(await usecases.put_staff(desk, tx, staff_id, data, actor=principal.actor))


def location_view(found: Put[Location]) -> View:
    """A location as the file has it, coordinates as numbers of degrees."""
    row = found.row.model_dump(mode="json")
    row["coordinates"] = row["coordinates"] and [float(degrees) for degrees in row["coordinates"]]
    return {**row, "version": found.version}


def staff_view(found: Put[Staff]) -> View:
    return {**found.row.model_dump(mode="json"), "version": found.version}


ROUTES: Final = [list_regions, put_region, list_locations, get_location, put_location, list_staff, get_staff, put_staff]
