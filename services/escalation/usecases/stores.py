"""The stores of a batch, with their people, from the local copy of the directory."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from services.escalation.domain.case import Store
from shared import reference
from shared.db import Connection
from shared.kernel.errors import Unready


@dataclass(frozen=True, slots=True)
class Stores:
    """What is known of these locations."""

    locations: Mapping[str, reference.Location]
    people: Mapping[str, reference.People]

    def at(self, location_id: str, moment: datetime) -> Store:
        """A location with whoever is on duty at `moment`. Raises Unready where the directory has not told of it yet."""
        location, people = self.locations.get(location_id), self.people.get(location_id)
        if location is None:
            raise Unready(f"location {location_id}")
        return Store(
            location_id=location_id,
            region=location.region,
            calendar=location.calendar,
            on_duty=tuple(location.on_duty(moment)),
            associates=tuple(people.associates) if people else (),
            managers=tuple(people.managers) if people else (),
            regionals=tuple(people.regional_managers) if people else (),
            hours=location.version,
        )


async def stores(conn: Connection, location_ids: Iterable[str]) -> Stores:
    """Two reads for all of them."""
    wanted = sorted(set(location_ids))
    return Stores(await reference.locations(conn, wanted), await reference.people_of(conn, wanted))
