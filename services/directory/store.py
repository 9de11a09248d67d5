"""How the directory is kept: rows and the values of the domain, whole sets at a time.

Called by the use cases and, for reading, by the API. Invariant: whoever writes holds the row of `sequence` first, so that one change is
decided after another and versions follow the order of commits.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from typing import Any, Final

from services.directory.domain import Change, Directory, Document, Key, Location, Override, Overrides, Put, Region, Shift, Shifts, Staff
from shared.contracts.directory import ACCESS, LOCATIONS, STAFF
from shared.db import Connection, Pool

Reader = Connection | Pool

LOCK: Final = "select version from sequence for update"
MOVE: Final = "update sequence set version = $1"
REGIONS: Final = """
-- Regions by id, and those of these locations.
select region_id as id, name from regions
where region_id = any($1::text[]) or region_id in (select region_id from locations where location_id = any($2::text[]))
order by region_id
"""
_LOCATION: Final = """
select location_id as id, version, name, region_id as region, timezone, phone, latitude, longitude, country, subdivision, weekly,
       observe_holidays, closures, overrides from locations
"""
LOCATIONS_OF: Final = _LOCATION + "where location_id = any($1::text[]) or region_id = any($2::text[]) order by location_id"
LOCATIONS_PAGE: Final = _LOCATION + "where location_id > $1 order by location_id limit $2"
_STAFF: Final = "select staff_id as id, version, name, role, locations, regions, phone, email, is_active as active from staff "
STAFF_OF: Final = _STAFF + "where staff_id = any($1::text[]) order by staff_id"
STAFF_NAMED: Final = (
    _STAFF + "where staff_id = any($1::text[]) or lower(staff_id) = any($1) or lower(email) = any($1) or lower(name) = any($1)"
)
STAFF_PAGE: Final = _STAFF + "where staff_id > $1 order by staff_id limit $2"
REGIONS_PAGE: Final = "select region_id as id, name from regions where region_id > $1 order by region_id limit $2"
ROSTERS: Final = """
-- Shifts of these locations, in the order in which they are compared and said.
select location_id, staff_id, to_char(starts, 'YYYY-MM-DD"T"HH24:MI') as starts, to_char(ends, 'YYYY-MM-DD"T"HH24:MI') as ends
from rosters where location_id = any($1::text[]) order by location_id, rosters.starts, rosters.ends, staff_id collate "C"
"""
OVERRIDES: Final = """
-- What is laid on the shifts of these locations, in the order in which it was given.
select override_id as id, location_id, to_char(starts, 'YYYY-MM-DD"T"HH24:MI') as starts, to_char(ends, 'YYYY-MM-DD"T"HH24:MI') as ends,
       staff_id, instead_of, reason, made_by
from roster_overrides where location_id = any($1::text[]) order by location_id, number
"""
SHIFTS_ELSEWHERE: Final = """
-- Shifts of these people at other locations that touch a span of wall time, soonest first.
select location_id, staff_id, to_char(starts, 'YYYY-MM-DD"T"HH24:MI') as starts, to_char(ends, 'YYYY-MM-DD"T"HH24:MI') as ends
from rosters where staff_id = any($1::text[]) and location_id <> $2 and ends > $3::text::timestamp and starts < $4::text::timestamp
order by rosters.starts, rosters.ends, staff_id collate "C" limit $5
"""
OVERRIDES_ELSEWHERE: Final = """
-- Other locations where an override puts one of these people on duty within a span of wall time.
select distinct location_id from roster_overrides
where staff_id = any($1::text[]) and location_id <> $2 and ends > $3::text::timestamp and starts < $4::text::timestamp limit $5
"""
_KEY: Final = "select key_id as id, name, hash, scopes, staff_id, is_revoked as revoked, version from keys "
KEY: Final = _KEY + "where key_id = $1"
KEYS_PAGE: Final = _KEY + "where key_id > $1 order by key_id limit $2"
REACHED: Final = """
-- The last version said on each topic: whoever has heard it has heard all of that topic.
select $1::text as topic, max(version) as version from locations having count(*) > 0
union all select $2, max(version) from staff having count(*) > 0
union all select $3, max(version) from keys having count(*) > 0
"""
SAVE_REGIONS: Final = """
-- Regions as they are now.
insert into regions (region_id, name) select * from unnest($1::text[], $2::text[])
on conflict (region_id) do update set name = excluded.name
"""
SAVE_LOCATIONS: Final = """
-- Locations as they are now.
insert into locations (location_id, version, name, region_id, timezone, phone, latitude, longitude, country, subdivision, weekly,
                       observe_holidays, closures, overrides)
select * from unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
                     $11::jsonb[], $12::boolean[], $13::jsonb[], $14::jsonb[])
on conflict (location_id) do update set version = excluded.version, name = excluded.name, region_id = excluded.region_id,
    timezone = excluded.timezone, phone = excluded.phone, latitude = excluded.latitude, longitude = excluded.longitude,
    country = excluded.country, subdivision = excluded.subdivision, weekly = excluded.weekly,
    observe_holidays = excluded.observe_holidays, closures = excluded.closures, overrides = excluded.overrides
"""
SAVE_STAFF: Final = """
-- Staff as they are now; lists come as jsonb, since an array of arrays would have to be even.
insert into staff (staff_id, version, name, role, locations, regions, phone, email, is_active)
select s.id, s.version, s.name, s.role, array(select jsonb_array_elements_text(s.locations)),
       array(select jsonb_array_elements_text(s.regions)), s.phone, s.email, s.active
from unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::jsonb[], $6::jsonb[], $7::text[], $8::text[], $9::boolean[])
     as s(id, version, name, role, locations, regions, phone, email, active)
on conflict (staff_id) do update set version = excluded.version, name = excluded.name, role = excluded.role,
    locations = excluded.locations, regions = excluded.regions, phone = excluded.phone, email = excluded.email,
    is_active = excluded.is_active
"""
CLEAR_ROSTERS: Final = "delete from rosters where location_id = any($1::text[])"
SAVE_ROSTERS: Final = """
-- The shifts of locations whose rosters were cleared just before.
insert into rosters (location_id, staff_id, starts, ends)
select l, s, f::timestamp, t::timestamp from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as r(l, s, f, t)
"""
CLEAR_OVERRIDES: Final = "delete from roster_overrides where location_id = any($1::text[]) and override_id <> all($2::uuid[])"
SAVE_OVERRIDES: Final = """
-- Overrides of locations, in their order; one that is there stays as it is.
insert into roster_overrides (override_id, location_id, starts, ends, staff_id, instead_of, reason, made_by)
select o, l, f::timestamp, t::timestamp, s, i, r, m
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
     with ordinality as given(o, l, f, t, s, i, r, m, n) order by n
on conflict (override_id) do nothing
"""
SAVE_KEY: Final = """
-- A new key, or a revoked one; nothing else of a key ever changes.
insert into keys (key_id, version, name, hash, scopes, staff_id, is_revoked) values ($1, $2, $3, $4, $5, $6, $7)
on conflict (key_id) do update set version = excluded.version, is_revoked = excluded.is_revoked
"""


async def lock(conn: Connection) -> int:
    """Let nobody else change the directory until this transaction ends; the last version given out."""
    version: int = await conn.fetchval(LOCK)
    return version


async def read(
    conn: Connection, version: int, wanted: Document, touched: Iterable[str] = (), named: Iterable[str | None] = ()
) -> Directory:
    """What a change of `wanted`, of the rosters of `touched` and by the people `named` touches or refers to, in five reads."""
    places = {row.id for row in wanted.locations} | {name for row in wanted.staff for name in row.locations}
    places |= {row.location_id for row in wanted.rosters} | set(touched)
    regions = {row.id for row in wanted.regions}
    locations = {put.row.id: put.row for put in await _locations(conn, LOCATIONS_OF, list(places), list(regions))}
    regions |= {row.region for row in wanted.locations} | {name for row in wanted.staff for name in row.regions}
    people = {row.id for row in wanted.staff} | {row.staff_id for row in wanted.rosters} | {name for name in named if name}
    return Directory(
        version=version,
        regions={row["id"]: Region.model_construct(**row) for row in await conn.fetch(REGIONS, list(regions), list(locations))},
        locations=locations,
        staff={put.row.id: put.row for put in await _staff(conn, STAFF_OF, list(people))},
        rosters=await rosters(conn, locations),
        overrides=await overrides(conn, locations),
    )


async def save(conn: Connection, change: Change) -> None:
    """Write what changed. The caller holds the lock."""
    await _write(conn, SAVE_REGIONS, [(row.id, row.name) for row in change.regions])
    await _write(conn, SAVE_LOCATIONS, [_location_columns(put) for put in change.locations])
    await _write(conn, SAVE_STAFF, [_staff_columns(put) for put in change.staff])
    if change.rosters:
        await conn.execute(CLEAR_ROSTERS, list(change.rosters))
        shifts = [shift for of_one in change.rosters.values() for shift in of_one]
        await _write(conn, SAVE_ROSTERS, [(s.location_id, s.staff_id, s.starts, s.ends) for s in shifts])
    if change.overrides:
        kept = [override for of_one in change.overrides.values() for override in of_one]
        await conn.execute(CLEAR_OVERRIDES, list(change.overrides), [override.id for override in kept])
        await _write(conn, SAVE_OVERRIDES, kept)
    await conn.execute(MOVE, change.version)


async def save_key(conn: Connection, key: Key) -> None:
    """Write a key that was issued or revoked. The caller holds the lock."""
    await conn.execute(SAVE_KEY, key.id, key.version, key.name, key.hash, list(key.scopes), key.staff_id, key.revoked)
    await conn.execute(MOVE, key.version)


async def reached(conn: Reader) -> dict[str, int]:
    """The last version said on each topic; a topic without rows is absent."""
    return {row["topic"]: row["version"] for row in await conn.fetch(REACHED, LOCATIONS, STAFF, ACCESS)}


async def location(conn: Reader, location_id: str) -> Put[Location] | None:
    found = await _locations(conn, LOCATIONS_OF, [location_id], [])
    return found[0] if found else None


async def locations(conn: Reader, after: str, limit: int) -> list[Put[Location]]:
    return await _locations(conn, LOCATIONS_PAGE, after, limit)


async def locations_named(conn: Reader, location_ids: Iterable[str]) -> dict[str, Location]:
    return {put.row.id: put.row for put in await _locations(conn, LOCATIONS_OF, list(location_ids), [])}


async def members(conn: Reader, staff_ids: Iterable[str]) -> dict[str, Staff]:
    return {put.row.id: put.row for put in await _staff(conn, STAFF_OF, list(staff_ids))}


async def people_named(conn: Reader, words: Collection[str]) -> list[Staff]:
    """Whose id, e-mail or name in small letters is among these words."""
    return [put.row for put in await _staff(conn, STAFF_NAMED, list(words))]


async def member(conn: Reader, staff_id: str) -> Put[Staff] | None:
    found = await _staff(conn, STAFF_OF, [staff_id])
    return found[0] if found else None


async def staff(conn: Reader, after: str, limit: int) -> list[Put[Staff]]:
    return await _staff(conn, STAFF_PAGE, after, limit)


async def regions(conn: Reader, after: str, limit: int) -> list[Region]:
    return [Region.model_construct(**row) for row in await conn.fetch(REGIONS_PAGE, after, limit)]


async def regions_named(conn: Reader, region_ids: Iterable[str]) -> list[Region]:
    return [Region.model_construct(**row) for row in await conn.fetch(REGIONS, list(region_ids), [])]


async def rosters(conn: Reader, location_ids: Iterable[str]) -> dict[str, Shifts]:
    """Shifts by location; a location without any is absent."""
    rows = await conn.fetch(ROSTERS, list(location_ids))
    return {name: tuple(Shift.model_construct(**row) for row in group) for name, group in groupby(rows, key=lambda r: r["location_id"])}


async def overrides(conn: Reader, location_ids: Iterable[str]) -> dict[str, Overrides]:
    """Overrides by location, in their order; a location without any is absent."""
    rows = await conn.fetch(OVERRIDES, list(location_ids))
    return {name: tuple(Override(**row) for row in group) for name, group in groupby(rows, key=lambda r: r["location_id"])}


async def elsewhere(
    conn: Reader, staff_ids: Collection[str], location_id: str, walls: tuple[str, str], limit: int
) -> tuple[dict[str, list[Shift]], set[str]]:
    """Shifts of these people at other locations in a span, by location, and the other locations where an override puts one of them.

    At most `limit` of each.
    """
    shifts: dict[str, list[Shift]] = {}
    for row in await conn.fetch(SHIFTS_ELSEWHERE, list(staff_ids), location_id, *walls, limit):
        shifts.setdefault(row["location_id"], []).append(Shift.model_construct(**row))
    rows = await conn.fetch(OVERRIDES_ELSEWHERE, list(staff_ids), location_id, *walls, limit)
    return shifts, {row["location_id"] for row in rows}


async def key(conn: Reader, key_id: str) -> Key | None:
    row = await conn.fetchrow(KEY, key_id)
    return _key(row) if row else None


async def keys(conn: Reader, after: str, limit: int) -> list[Key]:
    return [_key(row) for row in await conn.fetch(KEYS_PAGE, after, limit)]


async def _locations(conn: Reader, sql: str, *given: Any) -> list[Put[Location]]:
    return [Put(row["version"], _location(dict(row))) for row in await conn.fetch(sql, *given)]


async def _staff(conn: Reader, sql: str, *given: Any) -> list[Put[Staff]]:
    return [Put(row["version"], _member(dict(row))) for row in await conn.fetch(sql, *given)]


def _location(row: dict[str, Any]) -> Location:
    latitude, longitude = row.pop("latitude"), row.pop("longitude")
    del row["version"]
    row["coordinates"] = (latitude, longitude) if latitude is not None else None
    row["weekly"], row["overrides"] = _hours(row["weekly"]), _hours(row["overrides"])
    row["closures"] = tuple(row["closures"])
    return Location.model_construct(**row)


def _member(row: dict[str, Any]) -> Staff:
    del row["version"]
    row["locations"], row["regions"] = tuple(row["locations"]), tuple(row["regions"])
    return Staff.model_construct(**row)


def _hours(table: dict[str, list[list[str]]]) -> dict[str, tuple[tuple[str, ...], ...]]:
    return {day: tuple(tuple(window) for window in windows) for day, windows in table.items()}


def _key(row: Any) -> Key:
    return Key(**{**row, "scopes": tuple(row["scopes"])})


def _location_columns(put: Put[Location]) -> tuple[Any, ...]:
    row = put.row
    latitude, longitude = row.coordinates or (None, None)
    return (
        row.id, put.version, row.name, row.region, row.timezone, row.phone, latitude, longitude, row.country, row.subdivision, row.weekly,
        row.observe_holidays, row.closures, row.overrides,
    )  # fmt: skip


def _staff_columns(put: Put[Staff]) -> tuple[Any, ...]:
    row = put.row
    return (row.id, put.version, row.name, row.role, row.locations, row.regions, row.phone, row.email, row.active)


async def _write(conn: Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        await conn.execute(sql, *(list(column) for column in zip(*rows, strict=True)))
