"""What the console's use cases stand on, and the bell that wakes open pages."""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from services.console.domain.queue import QueueRow
from services.console.gateway import Services
from services.console.store import queries
from services.console.store.queries import Walls
from shared import reference
from shared.db import Connection
from shared.kernel.errors import Rejected
from shared.kernel.ids import normal_reference
from shared.messaging import Engine
from shared.reference import Location, Staff
from shared.vault import Unreadable, Vault


class Asker(Protocol):
    """Who looks, as far as a use case needs to know."""

    @property
    def staff_id(self) -> str | None: ...
    @property
    def role(self) -> str | None: ...
    @property
    def locations(self) -> tuple[str, ...]: ...
    @property
    def regions(self) -> tuple[str, ...]: ...

    def sees(self, location_id: str | None, region: str | None) -> bool:
        """Whether a store of this location and region is this asker's to see."""
        ...


class Bell:
    """Wakes whoever waits in this process. What changed in another process is found by the slow look that goes with every wait."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Event] = set()

    def ring(self) -> None:
        """Something changed."""
        for one in self._waiting:
            one.set()

    async def wait(self, seconds: float) -> bool:
        """Until it rings, at most `seconds`; whether it rang."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), seconds)
            return event.is_set()
        finally:
            self._waiting.discard(event)


@dataclass(frozen=True)
class Desk:
    """One per process. `has_demo_people`: anybody may sign in as anybody; `is_demo`: the clock may be moved; `is_https`: TLS cookies."""

    engine: Engine
    vault: Vault
    services: Services
    has_demo_people: bool = False
    is_demo: bool = False
    is_https: bool = False
    idle: timedelta = timedelta(seconds=900)
    longest: timedelta = timedelta(seconds=43_200)
    bell: Bell = field(default_factory=Bell)

    @property
    def now(self) -> datetime:
        """Business time."""
        return self.engine.clock.now()

    @property
    def rate(self) -> float:
        """Seconds of business time per machine second; 1 where nobody moves the clock."""
        return float(getattr(self.engine.clock, "rate", 1.0))

    def open(self, patient: Mapping[str, Any] | None, field_name: str) -> str | None:
        """A patient's `name` or `phone` in plain text; None where there is none or the patient was erased."""
        if patient is None or patient[field_name] is None:
            return None
        try:
            return self.vault.unwrap(patient["wrapped_key"]).open(patient[field_name], "patients", patient["patient_ref"], field_name)
        except Unreadable:
            return None


@dataclass(frozen=True, slots=True)
class Directory:
    """Names for what a page shows."""

    places: Mapping[str, Location]
    staff: Mapping[str, Staff]

    def store(self, location_id: str) -> str:
        """A location's name."""
        return self.places[location_id].name if location_id in self.places else location_id

    def zone(self, location_id: str) -> str:
        """A location's IANA zone."""
        return self.places[location_id].timezone if location_id in self.places else "UTC"

    def region(self, region: str) -> str:
        """A region's name."""
        return next((p.region_name or p.region for p in self.places.values() if p.region == region), region)

    def person(self, staff_id: str | None) -> str | None:
        """A person's name."""
        return self.staff[staff_id].name if staff_id is not None and staff_id in self.staff else staff_id

    @property
    def names(self) -> dict[str, str]:
        """Names by staff id."""
        return {staff_id: person.name for staff_id, person in self.staff.items()}


def walls_of(asker: Asker) -> Walls:
    """What the asker may see: whoever sees a place that does not exist sees every place."""
    return Walls(None, None) if asker.sees(None, None) else Walls(list(asker.locations), list(asker.regions))


async def directory(conn: Connection, locations: Collection[str], staff: Collection[str]) -> Directory:
    """Names of these locations and people."""
    return Directory(await reference.locations(conn, locations), await reference.staff(conn, staff))


async def visible(conn: Connection, asker: Asker, name: str) -> QueueRow:
    """A case by id or reference. Raises Rejected `not-found` for one that is not there or not the asker's to see."""
    row = await queries.one(conn, key) if (key := case_key(name)) is not None else None
    if row is None or not asker.sees(row.location_id, row.region):
        raise Rejected("not-found", "There is no such case.")
    return row


def case_key(name: str) -> UUID | str | None:
    """A case's name as typed: its id, its reference in normal spelling, or None."""
    try:
        return UUID(name)
    except ValueError:
        return normal_reference(name)
