"""What the engine's tests stand on: one service on a real PostgreSQL whose use case writes down what it applied."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from shared import timers
from shared.contracts.envelope import Envelope, Event, Fact
from shared.contracts.incidents import INCIDENTS, Incident, IncidentReported
from shared.db import Pool, open_pool
from shared.kernel.clock import MovableClock, machine_now
from shared.kernel.ids import new_id
from shared.messaging import Batch, Engine, Record, Transaction
from shared.messaging.inbox import keep_partitions
from shared.messaging.parked import Redriver
from shared.messaging.records import headers_of
from shared.runtime.host import migrate_service
from shared.runtime.process import _redrive_handler
from tests.support.servers import Database

NOON = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)
SCHEMA = Path(__file__).parent / "schema"
NAME = "escalation"
_offsets = count()

Trouble = Callable[[], None]


def incident(key: str, word: str) -> IncidentReported:
    """An incident of the patient `key`; `word` tells it from others."""
    said = Incident(
        incident_id=new_id(), incident_type="repeat_visit", catalyst="fit_adjustment", location_id="store-12", patient_ref=key,
        root_order_id=word, occurred_at=NOON, reported_at=NOON,
    )  # fmt: skip
    return IncidentReported(incident=said)


def record(key: str, word: str, /, *, offset: int | None = None, ce_id: UUID | None = None, partition: int = 0, **changes: Any) -> Record:
    """A healthy record; `changes` replaces its fields, `headers_` some headers (None takes one away)."""
    event = incident(key, word)
    found: dict[str, Any] = dict(headers_of(Envelope(ce_id or new_id(), event.type_name, "test", NOON, key)))
    found.update(changes.pop("headers_", {}))
    whole: dict[str, Any] = {
        "topic": INCIDENTS,
        "partition": partition,
        "offset": next(_offsets) if offset is None else offset,
        "key": key.encode(),
        "value": event.model_dump_json().encode(),
        "headers": tuple((name, value) for name, value in found.items() if value is not ...),
    }
    return Record(**(whole | changes))


@dataclass
class Bed:
    """The service. `troubles` maps a word to what happens to the event that carries it; `raw` to what happens outside decide_each."""

    engine: Engine
    clock: MovableClock
    owner_dsn: str
    troubles: dict[str, Trouble] = field(default_factory=dict)
    raw: dict[str, Trouble] = field(default_factory=dict)
    sql: str | None = None
    calls: int = 0

    @property
    def pool(self) -> Pool:
        return self.engine.pool

    async def usecase(self, tx: Transaction, facts: Sequence[Any]) -> None:
        """Writes a row for each fact that has no trouble."""
        self.calls += 1
        applied: list[Any] = []

        def decide(fact: Any) -> None:
            if trouble := self.troubles.get(word_of(fact)):
                trouble()
            applied.append(fact)

        tx.decide_each(facts, decide)
        rows = [(id_of(fact), key_of(fact), word_of(fact)) for fact in applied]
        if rows:
            columns = [list(column) for column in zip(*rows, strict=True)]
            await tx.conn.execute(
                "insert into effects (ce_id, key, word) select * from unnest($1::uuid[], $2::text[], $3::text[])", *columns
            )
        for fact in applied:
            if trouble := self.raw.get(word_of(fact)):
                trouble()
            if self.sql and word_of(fact) == "sql":
                await tx.conn.execute(self.sql)

    async def take(self, *records: Record, foreign: bool = False) -> None:
        await self.engine.take(Batch(records), self.usecase, foreign=foreign)

    def redriver(self) -> Redriver:
        async def on_incident(batch: Batch) -> None:
            await self.engine.take(batch, self.usecase)

        self.engine.handlers[INCIDENTS] = on_incident
        return Redriver(NAME, self.pool, partial(_redrive_handler, self.engine))

    async def words(self, key: str | None = None) -> list[str]:
        """What was applied, in order."""
        rows = await self.pool.fetch("select word from effects where $1::text is null or key = $1 order by seq", key)
        return [row["word"] for row in rows]

    async def parked(self) -> list[tuple[str, bool]]:
        """(reason, is_behind) of what lies parked, in the log's order."""
        rows = await self.pool.fetch('select reason, is_behind from parked where redriven_at is null order by key, partition, "offset"')
        return [(row["reason"], row["is_behind"]) for row in rows]

    async def reasons(self) -> Counter[str]:
        return Counter(reason for reason, _ in await self.parked())

    async def say(self, *events: Event) -> None:
        async with self.engine.transaction() as tx:
            for event in events:
                tx.say(event)

    async def as_owner(self, sql: str, *args: Any) -> Any:
        owner = await asyncpg.connect(self.owner_dsn)
        try:
            await owner.execute(f"set search_path to {NAME}")
            return await owner.fetch(sql, *args) if ";" not in sql else await owner.execute(sql)
        finally:
            await owner.close()


def word_of(fact: Any) -> str:
    if isinstance(fact, Record):
        return (fact.value or b"").decode()
    assert isinstance(fact, Fact)
    return str(fact.event.incident.root_order_id)


def id_of(fact: Any) -> UUID:
    return new_id() if isinstance(fact, Record) else fact.envelope.id


def key_of(fact: Any) -> str:
    return fact.order_key if isinstance(fact, Record) else str(fact.envelope.subject)


def raises(error: Exception) -> Trouble:
    def trouble() -> None:
        raise error

    return trouble


@asynccontextmanager
async def bed_in(database: Database, *, size: int = 6, dsn: str | None = None) -> AsyncIterator[Bed]:
    """A migrated schema with its pool and engine; `dsn` where the service reaches the database by another way."""
    await migrate_service(database.dsn, NAME, SCHEMA)
    pool = await open_pool(dsn or database.dsn_of(f"amends_{NAME}"), schema=NAME, size=size)
    await keep_partitions(pool)
    clock = MovableClock(NOON, machine_now(), rate=0)
    engine = Engine(NAME, pool, clock, writers=(timers.write,))
    try:
        yield Bed(engine, clock, database.dsn)
    finally:
        await engine.settle(5)
        await pool.close()


TABLES = "effects, inbox, outbox, parked, rejections, timers, timers_done, timer_findings, timer_audits, topics_heard"


async def emptied(bed: Bed) -> Bed:
    """The same bed, freshly made."""
    await bed.as_owner(f"truncate {TABLES}")
    return Bed(Engine(NAME, bed.pool, bed.clock, writers=(timers.write,)), bed.clock, bed.owner_dsn)
