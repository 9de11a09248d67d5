"""What can be done to the directory's rows: load a file, put a row, say everything anew. One function, one transaction.

Called by the API, by `amends directory load`, and by the demo.
Invariant: the lock of the version sequence is taken before anything is read, so a decision rests on what is true when it commits; doing
the same again writes nothing and says nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, TypeVar

from services.directory import domain, store
from services.directory.domain import Change, Directory, Document, Location, Put, Region, Staff
from shared.kernel.errors import Rejected
from shared.messaging import Engine, Transaction

DEMO_GROUP: Final = Path(__file__).parent.parent / "demo" / "group.yaml"
R = TypeVar("R", Location, Staff)
_PAGE = 500


@dataclass(frozen=True)
class Desk:
    """What the directory's use cases stand on."""

    engine: Engine


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a file changed. `reached` is the last version said on each topic: a listener that has heard these has everything."""

    regions: int
    locations: int
    staff: int
    rosters: int
    version: int
    reached: dict[str, int]


async def load(desk: Desk, tx: Transaction, document: Any, *, actor: str) -> Loaded:
    """Write a whole file (its value, or a Document): what it does not name stays as it is. Loading it twice changes nothing.

    Raises Rejected with a pointer for each fault; then nothing is written.
    """
    wanted = document if isinstance(document, Document) else domain.read(document)
    _, change = await change_rows(tx, wanted, actor)
    return Loaded(
        regions=len(change.regions),
        locations=len(change.locations),
        staff=len(change.staff),
        rosters=len(change.rosters),
        version=change.version,
        reached=await store.reached(tx.conn),
    )


def demo_group(start: date) -> Document:
    """The demo's twelve stores and their people, with rosters from the day before `start` on."""
    group = domain.read(domain.parse(DEMO_GROUP.read_text(encoding="utf-8")))
    return group.model_copy(update={"rosters": domain.demo_rosters(group, start)})


async def put_region(desk: Desk, tx: Transaction, region_id: str, body: Any, *, actor: str) -> Region:
    """Write one region; its locations are said anew where its name changed."""
    wanted = domain.read_part("regions", region_id, body)
    await change_rows(tx, wanted, actor, within="/regions/0")
    return wanted.regions[0]


async def put_location(desk: Desk, tx: Transaction, location_id: str, body: Any, *, actor: str) -> Put[Location]:
    """Write one location; its roster stays. Raises Rejected `invalid-data`, `unknown-region`."""
    wanted = domain.read_part("locations", location_id, body)
    _, change = await change_rows(tx, wanted, actor, within="/locations/0")
    return change.locations[0] if change.locations else _there(await store.location(tx.conn, location_id))


async def put_staff(desk: Desk, tx: Transaction, staff_id: str, body: Any, *, actor: str) -> Put[Staff]:
    """Write one member of staff. Raises Rejected `invalid-data`, `unknown-location`, `unknown-region`."""
    wanted = domain.read_part("staff", staff_id, body)
    _, change = await change_rows(tx, wanted, actor, within="/staff/0")
    return change.staff[0] if change.staff else _there(await store.member(tx.conn, staff_id))


async def say_again(desk: Desk) -> int:
    """Say every location, member of staff and key as it is now, in the version it has; how many that is. For a broker that lost its log."""
    async with desk.engine.transaction(door="command") as tx:
        await store.lock(tx.conn)
        after = ""
        while places := await store.locations(tx.conn, after, _PAGE):
            after = places[-1].row.id
            regions = {region.id: region for region in await store.regions_named(tx.conn, {place.row.region for place in places})}
            rosters = await store.rosters(tx.conn, [place.row.id for place in places])
            overrides = await store.overrides(tx.conn, [place.row.id for place in places])
            for place in places:
                name = place.row.id
                tx.say(domain.say_location(place, regions[place.row.region], rosters.get(name, ()), overrides.get(name, ())))
        after = ""
        while people := await store.staff(tx.conn, after, _PAGE):
            after = people[-1].row.id
            for person in people:
                tx.say(domain.say_staff(person))
        after = ""
        while keys := await store.keys(tx.conn, after, _PAGE):
            after = keys[-1].id
            for key in keys:
                tx.say(domain.say_key(key))
        return len(tx.said)


async def change_rows(
    tx: Transaction, wanted: Document, actor: str, *, cleared: Iterable[str] = (), within: str = "", becomes: str = ""
) -> tuple[Directory, Change]:
    """Lock, read, decide, write: the state before, and the change. Pointers `within` the wrapped body are told as in the sent one."""
    version = await store.lock(tx.conn)
    state = await store.read(tx.conn, version, wanted, cleared)
    try:
        decision = domain.change(state, wanted, cleared)
    except Rejected as rejected:
        raise domain.moved(rejected, within, becomes) from rejected
    tx.apply(decision)
    change = decision.state
    if change.regions or change.version != version:
        await store.save(tx.conn, change)
    _audit(tx, actor, change)
    return state, change


def _audit(tx: Transaction, actor: str, change: Change) -> None:
    for region in change.regions:
        tx.audit(actor, "put region", f"region:{region.id}")
    for place in change.locations:
        tx.audit(actor, "put location", f"location:{place.row.id}", {"version": place.version})
    for person in change.staff:
        tx.audit(actor, "put staff", f"staff:{person.row.id}", {"version": person.version, "role": person.row.role})
    for name, shifts in change.rosters.items():
        tx.audit(actor, "put roster", f"location:{name}", {"shifts": len(shifts)})


def _there(found: Put[R] | None) -> Put[R]:
    assert found is not None, "a put that changes nothing found its row"
    return found
