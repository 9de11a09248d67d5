"""Intake on a real Postgres with its HTTP doors; only the clock is the test's, and Kafka's records are handed in."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, cast

import asyncpg
import httpx

import services.intake
from services.intake import timers as doors
from services.intake import usecases
from services.intake.api import ROUTES
from services.intake.domain import Rules
from services.intake.usecases import Desk
from shared import reference, timers
from shared.contracts.directory import LocationChanged
from shared.contracts.envelope import Envelope, Event, Fact
from shared.db import open_pool
from shared.kernel.clock import MovableClock, machine_now
from shared.kernel.ids import new_id
from shared.messaging import Batch, Engine, Record
from shared.messaging.inbox import keep_partitions
from shared.runtime.host import migrate_service
from shared.vault import Vault, fresh_key
from shared.web import Access, Auth, make_app
from shared.web.app import service_router
from shared.web.auth import hash_secret
from tests.support.servers import Database

HERE = Path(services.intake.__file__).parent
NOON = datetime(2026, 11, 23, 17, tzinfo=UTC)  # Monday, noon in New York
WEEK = dict.fromkeys(("mon", "tue", "wed", "thu", "fri", "sat"), (("09:00", "18:00"),))
KEYS = {
    "writer": Access("writer", hash_secret("s"), frozenset({"events:write"})),
    "reader": Access("reader", hash_secret("s"), frozenset({"cases:read"})),
    "elsewhere": Access("elsewhere", hash_secret("s"), staff_id="bo", role="associate", locations=("store-7",)),
    "here": Access("here", hash_secret("s"), staff_id="ana", role="associate", locations=("store-12",)),
}
_NUMBERS = count(1)


@dataclass
class Bench:
    """The service with its hands: requests, records and facts go in, time passes, rows and events are looked at."""

    desk: Desk
    clock: MovableClock
    http: httpx.AsyncClient
    loop: timers.Loop
    offsets: Any = field(default_factory=count)

    async def post(self, *events: dict[str, Any], path: str = "/v1/events", key: str = "writer") -> httpx.Response:
        headers = {"content-type": "application/cloudevents-batch+json", "authorization": f"Bearer amk_{key}_s"}
        return await self.http.post(path, json=list(events), headers=headers)

    async def get(self, path: str, key: str = "writer", **query: str) -> httpx.Response:
        return await self.http.get(path, params=query, headers={"authorization": f"Bearer amk_{key}_s"})

    async def became(self, event: dict[str, Any]) -> dict[str, Any]:
        answer = await self.get("/v1/events", source=event["source"], id=event["id"])
        found: dict[str, Any] = answer.json()
        return found

    async def rows(self, sql: str, *args: object) -> list[asyncpg.Record]:
        found: list[asyncpg.Record] = await self.desk.engine.pool.fetch(sql, *args)
        return found

    async def said(self, topic: str) -> list[dict[str, Any]]:
        """The events in the outbox, oldest first."""
        return [json.loads(row["body"]) for row in await self.rows("select body from outbox where topic = $1 order by seq", topic)]

    async def hears(self, *events: Event) -> None:
        """Facts of one topic, as the engine hands them on."""
        async with self.desk.engine.transaction() as tx:
            await usecases.take_cases(self.desk, tx, [fact(event) for event in events])

    async def consumes(self, *records: Record) -> None:
        async def take(tx: Any, items: Any) -> None:
            await usecases.take_ingress(self.desk, tx, items)

        await self.desk.engine.take(Batch(records), take, foreign=True)

    def record(self, headers: dict[str, str], value: bytes, key: str = "k") -> Record:
        packed = [(name, text.encode()) for name, text in headers.items()]
        return Record("amends.ingress.v1", 0, next(self.offsets), key.encode(), value, packed)

    async def passes(self, **time: float) -> None:
        """Business time goes on, and what is due fires."""
        self.clock.jump_to(self.clock.now() + timedelta(**time))
        while await self.loop.once():
            pass


def event(kind: str, at: datetime = NOON, **data: Any) -> dict[str, Any]:
    """A CloudEvent as a POS system sends it."""
    name = f"e-{next(_NUMBERS)}"
    body = {"location_id": "store-12", **data}
    return {"specversion": "1.0", "id": name, "source": "pos/store-12", "type": f"amends.{kind}", "time": at.isoformat(), "data": body}


def fact(event: Event) -> Fact[Any]:
    return Fact(Envelope(new_id(), event.type_name, "amends/test", machine_now(), event.key), event)


def place(location_id: str, version: int) -> LocationChanged:
    return LocationChanged(
        version=version, location_id=location_id, name=location_id, region="north", timezone="America/New_York", weekly=WEEK
    )


@asynccontextmanager
async def running(database: Database) -> AsyncIterator[Bench]:
    """Intake, migrated and served in this process."""
    await migrate_service(database.dsn, "intake", HERE / "schema")
    pool = await open_pool(database.dsn_of("amends_intake"), schema="intake", size=4)
    await keep_partitions(pool)
    clock = MovableClock(NOON, machine_now(), rate=0)
    engine = Engine("intake", pool, clock, writers=(timers.write,))
    vault = Vault.from_keys("k1", {"k1": fresh_key()}, fresh_key())
    desk = Desk(engine, vault, Rules.read((HERE / "policy" / "incidents.toml").read_text("utf-8")))
    async with engine.transaction() as tx:
        await reference.take_locations(tx, [fact(place("store-12", 1)), fact(place("store-7", 2))])

    async def lookup(key_id: str) -> Access | None:
        return KEYS.get(key_id)

    router = service_router("intake", ROUTES, desk=desk, auth=Auth(audience="intake", lookup=lookup), pool=pool, sealer=vault)

    async def health() -> dict[str, Any]:
        return {}

    app = make_app([router], title="Intake", health=health)
    transport = httpx.ASGITransport(app=cast(Any, app))
    async with httpx.AsyncClient(transport=transport, base_url="http://intake") as http:
        yield Bench(desk, clock, http, timers.Loop(engine, doors.kinds(desk)))
    await engine.settle(5)
    await pool.close()
