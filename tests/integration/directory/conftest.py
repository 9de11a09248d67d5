"""The directory on a real Postgres behind its real doors; what it says is handed to its own local copy without a broker."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import httpx
import pytest_asyncio

from services.directory import api, usecases
from services.directory.__main__ import SCHEMA
from services.directory.usecases import Desk
from shared import reference, timers
from shared.contracts.envelope import Envelope, Fact
from shared.contracts.flow import EVENT_TYPES
from shared.db import open_pool
from shared.kernel.clock import MachineClock
from shared.messaging import Engine
from shared.messaging.inbox import keep_partitions
from shared.runtime.host import migrate_service
from shared.web.app import Check, make_app, service_router
from shared.web.auth import Access, Auth
from tests.support.servers import Database

TAKE = {"amends.location.changed": reference.take_locations, "amends.staff.changed": reference.take_staff}


@dataclass
class World:
    """The service with its hands; `seq` is how far `spread` has read the outbox."""

    desk: Desk
    http: httpx.AsyncClient
    seq: int = 0

    @property
    def engine(self) -> Engine:
        return self.desk.engine

    async def load(self, document: Any) -> usecases.Loaded:
        async with self.engine.transaction() as tx:
            return await usecases.load(self.desk, tx, document, actor="test")

    async def said(self) -> list[Fact[Any]]:
        """What was said since the last time, in the relay's order."""
        rows = await self.engine.pool.fetch("select * from outbox where seq > $1 order by seq", self.seq)
        self.seq = rows[-1]["seq"] if rows else self.seq
        return [
            Fact(
                Envelope(row["event_id"], row["type"], "directory", row["at"], row["key"]),
                EVENT_TYPES[row["type"]].model_validate_json(row["body"]),
            )
            for row in rows
        ]

    async def hear(self, *facts: Fact[Any]) -> None:
        """Hand facts to the local copy, one at a time."""
        for fact in facts:
            async with self.engine.transaction() as tx:
                await TAKE.get(fact.envelope.type, reference.take_access)(tx, [fact])
        await self.engine.settle(5)

    async def spread(self) -> list[Fact[Any]]:
        facts = await self.said()
        await self.hear(*facts)
        return facts

    async def key(self, *scopes: str, staff_id: str | None = None) -> dict[str, str]:
        """A new key that everybody has heard of, as a header."""
        async with self.engine.transaction() as tx:
            _, shown = await usecases.create_key(self.desk, tx, "Test", scopes, staff_id, actor="test")
        await self.spread()
        return {"authorization": f"Bearer {shown}"}


async def lookup(engine: Engine, key_id: str) -> Access | None:
    found = await reference.access(engine.pool, key_id)
    return None if found is None else Access(
        key_id=found.key_id, hash=found.hash, scopes=found.scopes, revoked=found.revoked, staff_id=found.staff_id, role=found.role,
        locations=found.locations, regions=found.regions,
    )  # fmt: skip


async def ready() -> dict[str, Check]:
    return {}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(database: Database) -> AsyncIterator[World]:
    await migrate_service(database.dsn, "directory", SCHEMA)
    pool = await open_pool(database.dsn_of("amends_directory"), schema="directory", size=8)
    await keep_partitions(pool)
    engine = Engine("directory", pool, MachineClock(), writers=(timers.write,))
    desk = Desk(engine)
    auth = Auth(audience="directory", lookup=partial(lookup, engine), version=partial(reference.access_version, "directory"))
    app = make_app([service_router("directory", api.ROUTES, desk=desk, auth=auth, pool=pool)], title="Directory", health=ready)
    transport = httpx.ASGITransport(cast("Any", app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://directory") as http:
        yield World(desk, http)
        await engine.settle(5)
    await pool.close()
