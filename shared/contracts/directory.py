"""Stores, people and keys, as the directory tells them. Compacted topics: the latest event of a key is the whole row."""

from typing import ClassVar, Literal

from shared.contracts.envelope import Contract, Event

LOCATIONS, STAFF, ACCESS = "amends.locations.v1", "amends.staff.v1", "amends.access.v1"

Role = Literal["associate", "store_manager", "regional_manager", "compliance", "admin"]
Hours = tuple[tuple[str, str], ...]


class Shift(Contract):
    """Who is on duty; wall time of the store, `YYYY-MM-DDTHH:MM`, half-open."""

    staff_id: str
    starts: str
    ends: str


class Override(Contract):
    """Another arrangement than the shifts for a span of wall time: `staff_id` comes on duty, `instead_of` goes off.

    Without either nobody is on duty. They are laid on in their order.
    """

    starts: str
    ends: str
    staff_id: str | None = None
    instead_of: str | None = None


class LocationChanged(Event):
    """A location with its calendar and roster, whole. `version` is one sequence over the whole directory."""

    type_name: ClassVar[str] = "amends.location.changed"
    topic: ClassVar[str] = LOCATIONS
    location_id: str
    name: str
    region: str
    region_name: str = ""
    timezone: str
    phone: str | None = None
    coordinates: tuple[str, str] | None = None
    country: str = "US"
    subdivision: str | None = None
    weekly: dict[str, Hours] = {}
    observe_holidays: bool = False
    closures: tuple[str, ...] = ()
    overrides: dict[str, Hours] = {}
    roster: tuple[Shift, ...] = ()
    roster_overrides: tuple[Override, ...] = ()

    @property
    def key(self) -> str:
        return self.location_id


class StaffChanged(Event):
    """A member of staff, whole."""

    type_name: ClassVar[str] = "amends.staff.changed"
    topic: ClassVar[str] = STAFF
    staff_id: str
    name: str
    role: Role
    locations: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    phone: str | None = None
    email: str | None = None
    active: bool = True

    @property
    def key(self) -> str:
        return self.staff_id


class AccessChanged(Event):
    """An API key: `hash` is the SHA-256 (hex) of its secret; a revoked key stays as a row."""

    type_name: ClassVar[str] = "amends.access.changed"
    topic: ClassVar[str] = ACCESS
    key_id: str
    name: str
    hash: str
    scopes: tuple[str, ...] = ()
    staff_id: str | None = None
    revoked: bool = False

    @property
    def key(self) -> str:
        return self.key_id


EVENTS: tuple[type[Event], ...] = (LocationChanged, StaffChanged, AccessChanged)
