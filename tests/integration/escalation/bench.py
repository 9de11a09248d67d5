"""Escalation on a real Postgres, without Kafka: facts come as records, time is moved by hand, HTTP goes through the router."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, cast

import httpx

from services.escalation import api, timers, usecases
from services.escalation.domain.plan import POLICIES, Policies
from services.escalation.usecases import Desk
from shared import reference
from shared.contracts.directory import LocationChanged, StaffChanged
from shared.contracts.envelope import Envelope, Event, Fact
from shared.contracts.incidents import Incident, IncidentReported
from shared.db import open_pool
from shared.kernel.clock import MovableClock
from shared.kernel.ids import new_id
from shared.messaging import Batch, Engine, Record
from shared.messaging.inbox import keep_partitions
from shared.messaging.records import headers_of
from shared.runtime.host import migrate_service
from shared.timers import Loop, write
from shared.vault import Vault, fresh_key
from shared.web import Access, Auth, make_app, service_router
from shared.web.app import Check
from shared.web.auth import hash_secret
from tests.support.servers import Database

SERVICE = Path(usecases.__file__).parents[1]
MON_9 = datetime(2026, 11, 23, 14, tzinfo=UTC)
WEEK = dict.fromkeys(("mon", "tue", "wed", "thu", "fri"), (("09:00", "18:00"),))
Usecase = Callable[..., Awaitable[None]]
# A machine's key with all scopes, one that may only read, and people of two stores.
KEYS = {
    "machine": Access("machine", hash_secret("s"), frozenset({"cases:read", "cases:write"})),
    "reader": Access("reader", hash_secret("s"), frozenset({"cases:read"})),
    "ana": Access("ana", hash_secret("s"), staff_id="ana", role="associate", locations=("store-12",)),
    "zoe": Access("zoe", hash_secret("s"), staff_id="zoe", role="associate", locations=("store-99",)),
    "mia": Access("mia", hash_secret("s"), staff_id="mia", role="store_manager", locations=("store-12",)),
    "rex": Access("rex", hash_secret("s"), staff_id="rex", role="regional_manager", regions=("north",)),
}
STAFF = (
    StaffChanged(staff_id="ana", name="Ana Example", role="associate", locations=("store-12",)),
    StaffChanged(staff_id="ben", name="Ben Example", role="associate", locations=("store-12",)),
    StaffChanged(staff_id="mia", name="Mia Example", role="store_manager", locations=("store-12",)),
    StaffChanged(staff_id="rex", name="Rex Example", role="regional_manager", regions=("north",)),
    StaffChanged(staff_id="zoe", name="Zoe Example", role="associate", locations=("store-99",)),
)


def location(location_id: str = "store-12", region: str = "north") -> LocationChanged:
    """A shop that is open Monday to Friday from nine to six in New York."""
    return LocationChanged(location_id=location_id, name=location_id.title(), region=region, timezone="America/New_York", weekly=WEEK)


def incident(patient: str = "P-1", kind: str = "repeat_visit", **fields: Any) -> Incident:
    base: dict[str, Any] = {
        "incident_id": new_id(), "incident_type": kind, "catalyst": "fit_adjustment", "location_id": "store-12", "patient_ref": patient,
        "root_order_id": f"o-{patient}", "occurred_at": MON_9, "reported_at": MON_9,
    }  # fmt: skip
    return Incident(**base | fields)


@dataclass
class Bench:
    """One database with escalation on it."""

    engine: Engine
    desk: Desk
    clock: MovableClock
    loop: Loop
    client: httpx.AsyncClient
    offsets: "count[int]" = field(default_factory=count)

    async def hear(self, usecase: Usecase, *events: Event) -> None:
        """One batch from Kafka, through the engine's door."""
        await self.engine.take(Batch([self.record(event) for event in events]), partial(usecase, self.desk))

    async def told(self, *places: LocationChanged) -> None:
        """What the directory tells of locations, each with its own version."""
        take = partial(reference.take_locations, before=partial(usecases.hours_told, self.desk))
        await self.engine.take(Batch([self.record(place) for place in places]), take)

    async def report(self, *incidents: Incident) -> None:
        await self.hear(usecases.take_incidents, *(IncidentReported(incident=one) for one in incidents))

    def record(self, event: Event) -> Record:
        envelope = Envelope(new_id(), event.type_name, "test", self.clock.now(), event.key)
        headers: Sequence[tuple[str, bytes | None]] = headers_of(envelope)
        return Record(event.topic, 0, next(self.offsets), event.key.encode(), event.model_dump_json().encode(), headers)

    async def advance(self, at: datetime) -> None:
        """Step through everything that is due by `at`, as the demo's clock does."""
        for _ in range(1000):
            due = await self.loop.next_due()
            if due is None or due > at:
                break
            self.clock.jump_to(due)
            await self.loop.once()
        self.clock.jump_to(at)

    async def post(self, path: str, body: object = None, who: str = "ana", **headers: str) -> httpx.Response:
        return await self.client.post(path, json=body, headers=bearer(who) | headers)

    async def get(self, path: str, who: str = "ana", **params: str) -> httpx.Response:
        return await self.client.get(path, params=params, headers=bearer(who))

    async def said(self, *types: str) -> list[dict[str, Any]]:
        """The bodies of what lies in the outbox, in order; only these types where some are named."""
        rows = await self.engine.pool.fetch("select type, body from outbox order by seq")
        wanted = {f"amends.case.{name}" for name in types}
        return [json.loads(row["body"]) | {"type": row["type"]} for row in rows if not wanted or row["type"] in wanted]

    async def only_case(self) -> dict[str, Any]:
        items = (await self.get("/v1/cases", "machine")).json()["items"]
        assert len(items) == 1
        found: dict[str, Any] = items[0]
        return found


def bearer(who: str) -> dict[str, str]:
    return {"authorization": f"Bearer amk_{who}_s"}


@asynccontextmanager
async def bench_on(database: Database, *later_sla: str, later_ladders: Sequence[str] = ()) -> AsyncIterator[Bench]:
    """Escalation with a small directory, at Monday nine o'clock in New York; its clock stands until it is moved.

    `later_sla` and `later_ladders` are further versions of these policies beside those that are shipped.
    """
    await migrate_service(database.dsn, "escalation", SERVICE / "schema")
    pool = await open_pool(database.dsn_of("amends_escalation"), schema="escalation")
    await keep_partitions(pool)
    clock = MovableClock(business_at=MON_9, rate=0.0)
    engine = Engine("escalation", pool, clock, writers=(write,))
    texts = {name: [file.read_text() for file in sorted((SERVICE / "policy" / name).glob("*.toml"))] for name in POLICIES}
    texts["sla"] += later_sla
    texts["ladder"] += later_ladders
    policies = Policies.load(texts, MON_9.date())
    desk = Desk(engine=engine, vault=Vault.from_keys("k1", {"k1": fresh_key()}, fresh_key()), policies=policies)
    async with engine.transaction() as tx:
        places = [location(), location("store-99", "south")]
        heard = [told(place, n) for n, place in enumerate(places, 1)]
        await reference.take_locations(tx, heard, before=partial(usecases.hours_told, desk))
        await reference.take_staff(tx, [told(person, n) for n, person in enumerate(STAFF, 1)])
    auth = Auth(audience="amends", lookup=_lookup)
    app = make_app([service_router("escalation", api.ROUTES, desk=desk, auth=auth, pool=pool)], title="escalation", health=_healthy)
    transport = httpx.ASGITransport(app=cast("Any", app))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield Bench(engine, desk, clock, Loop(engine, timers.kinds(desk)), client)
    await pool.close()


def told(event: Event, version: int) -> Fact[Any]:
    """An event of the directory as a listener gets it."""
    numbered = event.model_copy(update={"version": version})
    return Fact(Envelope(new_id(), event.type_name, "test", MON_9, event.key), numbered)


async def _lookup(key_id: str) -> Access | None:
    return KEYS.get(key_id)


async def _healthy() -> dict[str, Check]:
    return {}
