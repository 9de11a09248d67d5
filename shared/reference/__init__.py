"""Everybody's local copy of locations, staff and access, kept from the directory's compacted topics in the service's own schema.

Called by use cases and doors of every service. Invariant: a row never goes back to a lower version; no service asks another.
A use case that lacks a row raises `Unready`: the fact is kept and tried again, never refused for it.
"""

from shared.reference.copies import BeforeLocations, heard, subscribe, take_access, take_locations, take_staff
from shared.reference.queries import (
    Access,
    Location,
    People,
    Staff,
    access,
    access_version,
    left,
    location_ids,
    locations,
    need_location,
    need_staff,
    people_of,
    staff,
)

__all__ = [
    "Access",
    "BeforeLocations",
    "Location",
    "People",
    "Staff",
    "access",
    "access_version",
    "heard",
    "left",
    "location_ids",
    "locations",
    "need_location",
    "need_staff",
    "people_of",
    "staff",
    "subscribe",
    "take_access",
    "take_locations",
    "take_staff",
]
