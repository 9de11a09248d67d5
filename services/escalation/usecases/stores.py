"""The stores of a batch, with their people, from the local copy of the directory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.escalation import store
from services.escalation.domain.case import Case, Store
from services.escalation.domain.rungs import Ladder
from services.escalation.domain.who import could_own
from shared import reference
from shared.db import Connection
from shared.kernel.errors import Unready

MOMENT = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Stores:
    """What is known of these locations. `turns` is written on as people are paged in turn; None where no ladder does that.

    `left` are people on their rosters who work here no longer; they are never on duty.
    """

    locations: Mapping[str, reference.Location]
    people: Mapping[str, reference.People]
    named: Sequence[str] = ()
    turns: dict[str, int] | None = None
    left: frozenset[str] = frozenset()
    taken: set[str] = field(default_factory=set)
    # As `at` told them: the cases of one store and moment are decided on one value.
    seen: dict[tuple[str, datetime], Store] = field(default_factory=dict)

    def at(self, location_id: str, moment: datetime) -> Store:
        """A location with whoever is on duty at `moment`. Raises Unready where the directory has not told of it yet."""
        place = self.seen.get((location_id, moment))
        if place is None:
            place = self.seen[location_id, moment] = self._look(location_id, moment)
        return place

    def leaves_a_choice(self, location_id: str, moment: datetime) -> bool:
        """Whether a case that is opened there now could be one person's or another's, so that it matters who has how many."""
        return location_id in self.locations and len(could_own(self.at(location_id, moment))) > 1

    def _look(self, location_id: str, moment: datetime) -> Store:
        location, people = self.locations.get(location_id), self.people.get(location_id)
        if location is None:
            raise Unready(f"location {location_id}")
        duty = location.duty
        return Store(
            location_id=location_id,
            region=location.region,
            calendar=location.calendar,
            on_duty=tuple(duty.on_duty(moment, self.left)),
            associates=tuple(people.associates) if people else (),
            managers=tuple(people.managers) if people else (),
            regionals=tuple(people.regional_managers) if people else (),
            on_duty_before=tuple(duty.on_duty(moment - MOMENT, self.left)) if duty else (),
            hours=location.version,
            rostered=duty.rostered,
            shifts_change_at=duty.changes_at(moment),
            named=tuple(self.named),
            turns={} if self.turns is None else self.turns,
        )

    def paged(self, people: Iterable[str]) -> None:
        """Somebody was paged: where people take turns, they are the last now."""
        if self.turns is None:
            return
        for person in people:
            self.turns[person] = max(self.turns.values(), default=0) + 1
            self.taken.add(person)


async def stores(conn: Connection, cases: Iterable[Case], location_ids: Iterable[str] = (), ladders: Iterable[Ladder] = ()) -> Stores:
    """The locations of these cases, and those named beside, in two reads; one more where they have rosters, two where a ladder names
    people or lets them take turns.

    `ladders` are those of cases that are not there yet.
    """
    known = list(cases)
    wanted = sorted({case.location_id for case in known}.union(location_ids))
    climbed = [*(case.plan.ladder for case in known), *ladders]
    named = {staff_id for ladder in climbed for staff_id in ladder.named}
    locations = await reference.locations(conn, wanted)
    return Stores(
        locations,
        await reference.people_of(conn, wanted),
        sorted(person.staff_id for person in (await reference.staff(conn, named)).values() if person.active) if named else (),
        await store.turns(conn) if any(ladder.takes_turns for ladder in climbed) else None,
        await reference.left(conn, (location.duty for location in locations.values())),
    )
