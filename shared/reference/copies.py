"""Hearing the directory: three subscribers, one upsert each."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from faststream.kafka import KafkaBroker

from shared.contracts.directory import ACCESS, LOCATIONS, STAFF, AccessChanged, LocationChanged, StaffChanged
from shared.contracts.envelope import Event, Fact
from shared.db import Connection, Pool
from shared.messaging import Batch, Engine, Transaction, listen
from shared.reference.queries import forget_access

# Each topic has one partition, so a fetch held long delays nothing: news ends it at once. It spares an idle process most of its fetches.
FETCH_WAIT_MS: Final = 1000

SAVE_LOCATIONS: Final = """
-- Whole rows; a lower version than the one kept changes nothing.
insert into reference_locations as r (location_id, version, region, data)
select * from unnest($1::text[], $2::int[], $3::text[], $4::jsonb[])
on conflict (location_id) do update set version = excluded.version, region = excluded.region, data = excluded.data
where r.version < excluded.version
"""
SAVE_STAFF: Final = """
-- Whole rows; the lists come as text, since an array of arrays would have to be even.
insert into reference_staff as r (staff_id, version, role, active, locations, regions, data)
select s.id, s.version, s.role, s.active,
       array(select jsonb_array_elements_text(s.data -> 'locations')), array(select jsonb_array_elements_text(s.data -> 'regions')), s.data
from unnest($1::text[], $2::int[], $3::text[], $4::bool[], $5::jsonb[]) as s(id, version, role, active, data)
on conflict (staff_id) do update set version = excluded.version, role = excluded.role, active = excluded.active,
    locations = excluded.locations, regions = excluded.regions, data = excluded.data
where r.version < excluded.version
"""
SAVE_ACCESS: Final = """
-- Whole rows.
insert into reference_access as r (key_id, version, data) select * from unnest($1::text[], $2::int[], $3::jsonb[])
on conflict (key_id) do update set version = excluded.version, data = excluded.data where r.version < excluded.version
"""
HEAR: Final = """
-- The highest version heard on a topic.
insert into reference_heard as h (topic, version) values ($1, $2)
on conflict (topic) do update set version = greatest(h.version, excluded.version)
"""
HEARD: Final = "select topic, version from reference_heard"


# What a service does about locations before its copy of them is renewed, in the same transaction; given each location's newest event.
BeforeLocations = Callable[[Transaction, Sequence[LocationChanged]], Awaitable[None]]


def subscribe(broker: KafkaBroker, engine: Engine, before_locations: BeforeLocations | None = None) -> None:
    """The three subscribers of one service."""

    @listen(broker, engine, LOCATIONS, fetch_max_wait_ms=FETCH_WAIT_MS)
    async def on_location(batch: Batch) -> None:
        await engine.take(batch, partial(take_locations, before=before_locations))

    @listen(broker, engine, STAFF, fetch_max_wait_ms=FETCH_WAIT_MS)
    async def on_staff(batch: Batch) -> None:
        await engine.take(batch, take_staff)

    @listen(broker, engine, ACCESS, fetch_max_wait_ms=FETCH_WAIT_MS)
    async def on_access(batch: Batch) -> None:
        await engine.take(batch, take_access)


async def take_locations(tx: Transaction, facts: Sequence[Fact[Event]], *, before: BeforeLocations | None = None) -> None:
    """Keep what was told of locations."""
    rows = _newest(fact.event for fact in facts if isinstance(fact.event, LocationChanged))
    if before is not None and rows:
        await before(tx, rows)
    columns = [(e.location_id, e.version, e.region, e.model_dump(mode="json")) for e in rows]
    await _save(tx.conn, SAVE_LOCATIONS, columns, LOCATIONS)


async def take_staff(tx: Transaction, facts: Sequence[Fact[Event]]) -> None:
    """Keep what was told of staff."""
    rows = _newest(fact.event for fact in facts if isinstance(fact.event, StaffChanged))
    columns = [(e.staff_id, e.version, e.role, e.active, e.model_dump(mode="json")) for e in rows]
    await _save(tx.conn, SAVE_STAFF, columns, STAFF)
    tx.after_commit(partial(_forget, tx.service))


async def take_access(tx: Transaction, facts: Sequence[Fact[Event]]) -> None:
    """Keep what was told of keys."""
    rows = _newest(fact.event for fact in facts if isinstance(fact.event, AccessChanged))
    await _save(tx.conn, SAVE_ACCESS, [(e.key_id, e.version, e.model_dump(mode="json")) for e in rows], ACCESS)
    tx.after_commit(partial(_forget, tx.service))


async def heard(pool: Pool | Connection) -> dict[str, int]:
    """The version of the directory heard on each of its topics, for whoever waits until everybody knows."""
    return {row["topic"]: row["version"] for row in await pool.fetch(HEARD)}


async def _forget(service: str) -> None:
    forget_access(service)


def _newest(events: Iterable[Any]) -> list[Any]:
    """One row per key: a statement may touch a row once."""
    found: dict[str, Any] = {}
    for event in events:
        if event.key not in found or found[event.key].version < event.version:
            found[event.key] = event
    return list(found.values())


async def _save(conn: Connection, sql: str, rows: Sequence[tuple[Any, ...]], topic: str) -> None:
    if rows:
        await conn.execute(sql, *(list(column) for column in zip(*rows, strict=True)))
        await conn.execute(HEAR, topic, max(row[1] for row in rows))
