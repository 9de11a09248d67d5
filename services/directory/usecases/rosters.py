"""Rosters: who is on duty when, what is written over it, and where it leaves a store alone.

Called by the API. Invariant: questions are answered by the rule that paging goes by, from one state of the tables; people who left are on
no duty. An override never touches a shift: undone, the shifts hold again.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from services.directory import domain, store
from services.directory.domain import Change, Doubled, Import, Kind, Location, Override, Overrides, Shifts, Staff
from services.directory.usecases.change import Desk, change_rows
from shared.calendars import Duty, Stretch
from shared.kernel.decision import Decision
from shared.kernel.errors import Rejected
from shared.kernel.ids import new_id
from shared.messaging import Transaction

ELSEWHERE_MAX: Final = 5_000  # shifts at other stores that are looked at for people who are there twice


@dataclass(frozen=True, slots=True)
class Moment:
    """Who is on duty at `at`, each since when and until when, and who comes next. `people` are all whom it names."""

    location: Location
    is_open: bool
    on_duty: tuple[Stretch, ...]
    next: Stretch | None
    people: dict[str, Staff]


@dataclass(frozen=True, slots=True)
class Span:
    """Who is on duty through a span: its stretches, open hours with nobody, and people who are at two stores at one time."""

    location: Location
    has_roster: bool
    stretches: list[Stretch]
    gaps: list[tuple[datetime, datetime]]
    doubled: list[Doubled]


async def put_roster(desk: Desk, tx: Transaction, location_id: str, body: Any, *, actor: str) -> Shifts:
    """Replace a location's whole roster. Raises Rejected `invalid-data`, `unknown-staff`, and `unknown-location` for the address."""
    wanted = domain.read_roster(location_id, body)
    if await store.location(tx.conn, location_id) is None:
        raise _unknown(location_id)
    before, change = await change_rows(tx, wanted, actor, cleared=(location_id,), within="/rosters", becomes="/shifts")
    return change.rosters.get(location_id, before.rosters.get(location_id, ()))


async def import_roster(
    desk: Desk, tx: Transaction, location_id: str, kind: Kind, raw: bytes, *, actor: str, is_dry_run: bool = False
) -> Import:
    """Take a file's shifts for the days that it covers, all or nothing. A dry run tells what would happen and writes nothing.

    Raises Rejected `unknown-location`, `malformed-csv` or `-calendar`, `invalid-data` with a line for each fault, `too-many-shifts`.
    """
    place = await store.location(tx.conn, location_id)
    if place is None:
        raise _unknown(location_id)
    # In a thread: a file may take a second, in which others are answered.
    sheet = await asyncio.to_thread(domain.read_sheet, kind, raw, place.row.timezone, tx.now)
    await store.lock(tx.conn)
    people = await store.people_named(tx.conn, domain.named_in(sheet))
    planned = domain.plan_import(location_id, sheet, people, (await store.rosters(tx.conn, [location_id])).get(location_id, ()))
    if not is_dry_run and (planned.added or planned.removed):
        await change_rows(tx, domain.Document(rosters=planned.roster), actor, cleared=(location_id,))
    return planned


async def reached(tx: Transaction) -> dict[str, int]:
    """The last version said on each topic, for whoever waits until everybody has heard it."""
    return await store.reached(tx.conn)


async def put_override(desk: Desk, tx: Transaction, location_id: str, body: Any, *, actor: str) -> Override:
    """Lay an override on top of the shifts. Raises Rejected `unknown-location`, `invalid-data`, `unknown-staff`, `too-many-overrides`."""
    wanted = domain.read_override(body, location_id, new_id(), actor)
    state = await store.read(tx.conn, await store.lock(tx.conn), domain.Document(), (location_id,), (wanted.staff_id, wanted.instead_of))
    if location_id not in state.locations:
        raise _unknown(location_id)
    await _keep(tx, domain.add_override(state, wanted), actor, "put override", wanted)
    return wanted


async def drop_override(desk: Desk, tx: Transaction, location_id: str, override_id: UUID, *, actor: str) -> Override:
    """Undo an override; answers what it was. Raises Rejected `unknown-override`."""
    state = await store.read(tx.conn, await store.lock(tx.conn), domain.Document(), (location_id,))
    decision = domain.drop_override(state, location_id, override_id)
    dropped = next(row for row in state.overrides[location_id] if row.id == override_id)
    await _keep(tx, decision, actor, "drop override", dropped)
    return dropped


async def roster_of(desk: Desk, location_id: str) -> tuple[Location, Shifts]:
    """A location with its shifts. Raises Rejected `unknown-location`."""
    async with desk.engine.pool.acquire() as conn:
        place = await store.location(conn, location_id)
        if place is None:
            raise _unknown(location_id)
        return place.row, (await store.rosters(conn, [location_id])).get(location_id, ())


async def overrides_of(desk: Desk, location_id: str) -> Overrides:
    """A location's overrides, in the order in which they are laid on."""
    return (await store.overrides(desk.engine.pool, [location_id])).get(location_id, ())


async def duty_at(desk: Desk, location_id: str, at: datetime) -> Moment:
    """Who is on duty at any moment, by the roster as it stands now. Raises Rejected `unknown-location`, OutOfRange."""
    location, duty, people = await _duty(desk, location_id)
    left = _left(people)
    here = tuple(Stretch(*duty.turn_of(person, at), (person,)) for person in duty.on_duty(at, left))
    return Moment(location, duty.calendar.is_open(at), here, duty.comes_next(at, left), people)


async def duty_between(desk: Desk, location_id: str, start: datetime, end: datetime) -> Span:
    """Who is on duty through a span, by the roster as it stands now. Raises Rejected `unknown-location`, OutOfRange."""
    location, duty, people = await _duty(desk, location_id)
    left = _left(people)
    stretches = duty.stretches(start, end, left)
    elsewhere = await _elsewhere(desk, location_id, {person for stretch in stretches for person in stretch.staff}, start, end)
    gaps, doubled = duty.gaps(start, end, left), domain.doubled(duty, elsewhere, start, end, left)
    return Span(location, bool(duty), stretches, gaps, doubled)


async def _duty(desk: Desk, location_id: str) -> tuple[Location, Duty, dict[str, Staff]]:
    location, shifts = await roster_of(desk, location_id)
    duty = domain.duty_of(location, shifts, await overrides_of(desk, location_id))
    return location, duty, await store.members(desk.engine.pool, duty.rostered)


async def _elsewhere(desk: Desk, location_id: str, people: set[str], start: datetime, end: datetime) -> dict[str, Duty]:
    """The duty of these people at other locations: their shifts of the span, and all that is laid on shifts there."""
    if not people:
        return {}
    async with desk.engine.pool.acquire() as conn:
        shifts, also = await store.elsewhere(conn, people, location_id, domain.walls_around(start, end), ELSEWHERE_MAX)
        places = await store.locations_named(conn, {*shifts, *also})
        overrides = await store.overrides(conn, places)
    return {name: domain.duty_of(place, shifts.get(name, ()), overrides.get(name, ())) for name, place in places.items()}


async def _keep(tx: Transaction, decision: Decision[Change], actor: str, action: str, override: Override) -> None:
    tx.apply(decision)
    await store.save(tx.conn, decision.state)
    said = {"override_id": str(override.id), "from": override.starts, "to": override.ends, "staff_id": override.staff_id}
    tx.audit(actor, action, f"location:{override.location_id}", {**said, "instead_of": override.instead_of, "reason": override.reason})


def _left(people: dict[str, Staff]) -> set[str]:
    return {name for name, person in people.items() if not person.active}


def _unknown(location_id: str) -> Rejected:
    return Rejected("unknown-location", f"There is no location {location_id}.")
