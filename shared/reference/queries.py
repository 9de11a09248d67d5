"""Asking the local copy: set-based reads, and calendars kept ready."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic
from typing import Any, Final

import msgspec

from shared.calendars import Calendar, Duty
from shared.contracts.directory import LocationChanged
from shared.db import Connection, Pool
from shared.kernel.errors import Unready

# As text: what is kept of a location is found by it, and read only where it is new.
OF_LOCATIONS: Final = "select location_id, version, data::text from reference_locations where location_id = any($1::text[])"
LOCATION_IDS: Final = "select location_id from reference_locations order by location_id"
OF_STAFF: Final = "select staff_id, data from reference_staff where staff_id = any($1::text[])"
LEFT: Final = "select staff_id from reference_staff where staff_id = any($1::text[]) and not active"
OF_PEOPLE: Final = """
-- Who works at these locations or answers for their regions.
select l.location_id, s.staff_id, s.role, s.locations @> array[l.location_id] as works_here
from reference_locations l
join reference_staff s on s.active and (s.locations @> array[l.location_id] or s.regions @> array[l.region])
where l.location_id = any($1::text[]) order by s.staff_id
"""
OF_ACCESS: Final = """
-- A key, with the person it acts as.
select a.data as key, s.data as person
from reference_access a left join reference_staff s on s.staff_id = a.data ->> 'staff_id' where a.key_id = $1
"""

# A process that shares its service's schema with others hears only part of the changes itself: what it keeps of keys lives no longer.
ACCESS_SECONDS: Final = 2
# How often a service heard of keys or staff, in this process.
_access_changes: Counter[str] = Counter()


@dataclass(frozen=True, slots=True)
class Location:
    """A store as its services need it; `calendar` and `duty` are ready to ask."""

    location_id: str
    name: str
    region: str
    region_name: str
    timezone: str
    phone: str | None
    country: str
    subdivision: str | None
    coordinates: tuple[str, str] | None
    calendar: Calendar
    duty: Duty
    version: int


@dataclass(frozen=True, slots=True)
class Staff:
    """A member of staff."""

    staff_id: str
    name: str
    role: str
    locations: tuple[str, ...]
    regions: tuple[str, ...]
    phone: str | None
    email: str | None
    active: bool


@dataclass(frozen=True, slots=True)
class People:
    """Staff ids by what they are to one location, each sorted."""

    associates: tuple[str, ...] = ()
    managers: tuple[str, ...] = ()
    regional_managers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Access:
    """A key with the person it acts as; see `shared/web/auth.py`."""

    key_id: str
    hash: str
    scopes: frozenset[str]
    revoked: bool
    staff_id: str | None
    role: str | None
    locations: tuple[str, ...]
    regions: tuple[str, ...]


async def locations(conn: Connection | Pool, ids: Iterable[str]) -> dict[str, Location]:
    """Those of `ids` that are known, in one read."""
    rows = await conn.fetch(OF_LOCATIONS, list(set(ids)))
    return {row[0]: _location(*row) for row in rows}


async def location_ids(conn: Connection | Pool) -> list[str]:
    """Every location that is known."""
    return [row["location_id"] for row in await conn.fetch(LOCATION_IDS)]


def need_location(known: Mapping[str, Location], location_id: str) -> Location:
    """The location, or Unready: its row is on the way, and the fact waits for it."""
    found = known.get(location_id)
    if found is None:
        raise Unready(f"location {location_id}")
    return found


def need_staff(known: Mapping[str, Staff], staff_id: str) -> Staff:
    """The member of staff, or Unready."""
    found = known.get(staff_id)
    if found is None:
        raise Unready(f"staff {staff_id}")
    return found


async def staff(conn: Connection | Pool, ids: Iterable[str]) -> dict[str, Staff]:
    """Those of `ids` that are known, in one read."""
    return {row["staff_id"]: _staff(row["data"]) for row in await conn.fetch(OF_STAFF, list(set(ids)))}


async def left(conn: Connection | Pool, rosters: Iterable[Duty]) -> frozenset[str]:
    """Who is on these rosters but works here no longer, in one read; none where no roster names anybody."""
    rostered = frozenset[str]().union(*(duty.rostered for duty in rosters))
    return frozenset(row["staff_id"] for row in await conn.fetch(LEFT, list(rostered))) if rostered else rostered


async def people_of(conn: Connection | Pool, location_ids: Iterable[str]) -> dict[str, People]:
    """Who works where, in one read; a location nobody works at is absent."""
    found: dict[str, dict[str, list[str]]] = {}
    for row in await conn.fetch(OF_PEOPLE, list(set(location_ids))):
        kinds = found.setdefault(row["location_id"], {"associate": [], "store_manager": [], "regional_manager": []})
        is_regional = row["role"] == "regional_manager"
        if row["role"] in kinds and (row["works_here"] or is_regional):
            kinds[row["role"]].append(row["staff_id"])
    return {
        place: People(tuple(kinds["associate"]), tuple(kinds["store_manager"]), tuple(kinds["regional_manager"]))
        for place, kinds in found.items()
    }  # fmt: skip


async def access(conn: Connection | Pool, key_id: str) -> Access | None:
    """A key, or None. One whose person has left is revoked with them."""
    row = await conn.fetchrow(OF_ACCESS, key_id)
    if row is None:
        return None
    key, person = row["key"], row["person"] or {}
    acts_as: str | None = key.get("staff_id")
    return Access(
        key_id=key["key_id"],
        hash=key["hash"],
        scopes=frozenset(key["scopes"]),
        revoked=key["revoked"] or (acts_as is not None and not person.get("active", False)),
        staff_id=acts_as,
        role=person.get("role"),
        locations=tuple(person.get("locations", ())),
        regions=tuple(person.get("regions", ())),
    )


def access_version(service: str) -> tuple[int, int]:
    """What an auth cache is valid for: changes whenever this process heard of keys or staff, and every two seconds of machine time."""
    return _access_changes[service], int(monotonic()) // ACCESS_SECONDS


def forget_access(service: str) -> None:
    """Something about keys or staff changed: the next look-up reads anew. To be called once the change is committed."""
    _access_changes[service] += 1


@lru_cache(maxsize=4096)
def _location(location_id: str, version: int, row: str) -> Location:
    data = msgspec.json.decode(row)
    told = LocationChanged.model_validate(data)
    calendar = Calendar.of(data)
    return Location(
        location_id=location_id,
        name=told.name,
        region=told.region,
        region_name=told.region_name,
        timezone=told.timezone,
        phone=told.phone,
        country=told.country,
        subdivision=told.subdivision,
        coordinates=told.coordinates,
        calendar=calendar,
        duty=Duty(calendar, told.roster, told.roster_overrides),
        version=version,
    )


def _staff(row: Mapping[str, Any]) -> Staff:
    return Staff(
        staff_id=row["staff_id"],
        name=row["name"],
        role=row["role"],
        locations=tuple(row["locations"]),
        regions=tuple(row["regions"]),
        phone=row["phone"],
        email=row["email"],
        active=row["active"],
    )
