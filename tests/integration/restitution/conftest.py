"""Restitution on a real Postgres with its engine, timers and HTTP; only the clock is the test's, and the gateway where a test says so."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import asyncpg
import httpx
import pytest_asyncio

import services.restitution
from services.restitution import api, store, usecases
from services.restitution import timers as doors
from services.restitution.__main__ import policies
from services.restitution.gateway import CodeGateway
from services.restitution.usecases import Desk
from shared import reference, timers
from shared.contracts.cases import CaseOpened, IncidentAttached, PolicyRef, StoryConfirmed
from shared.contracts.directory import LocationChanged, StaffChanged
from shared.contracts.envelope import Envelope, Event, Fact
from shared.contracts.incidents import Incident, Trip
from shared.db import open_pool
from shared.kernel.clock import MovableClock, machine_now
from shared.kernel.ids import new_id
from shared.messaging import Engine
from shared.messaging.inbox import keep_partitions
from shared.runtime.host import migrate_service
from shared.vault import Vault, fresh_key
from shared.web import Access, Auth, make_app, service_router
from shared.web.auth import hash_secret
from tests.support.servers import Database

NOW = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)
STORES = {"store-12": "north", "store-13": "north", "store-14": "south", "store-15": "south"}
# staff id → role, locations, regions
PEOPLE: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "lee": ("associate", ("store-12", "store-13"), ()),
    "ana": ("store_manager", ("store-12", "store-13"), ()),
    "kim": ("store_manager", ("store-12", "store-13"), ()),
    "bob": ("store_manager", ("store-14",), ()),
    "raj": ("regional_manager", (), ("north",)),
    "com": ("compliance", (), ()),
    "ada": ("admin", (), ()),
    "alf": ("admin", (), ()),
}
ALL = frozenset({"restitutions:read", "restitutions:write"})


async def nobody() -> dict[str, Any]:
    return {}


async def lookup(key_id: str) -> Access | None:
    """Each person's key, a machine's, and one that only reads; the secret is `s` for all."""
    if key_id in PEOPLE:
        role, locations, regions = PEOPLE[key_id]
        return Access(key_id, hash_secret("s"), staff_id=key_id, role=role, locations=locations, regions=regions)
    return {
        "machine": Access("machine", hash_secret("s"), ALL),
        "reader": Access("reader", hash_secret("s"), frozenset({"restitutions:read"})),
    }.get(key_id)


@dataclass
class World:
    """The service with its hands: facts go in, people ask, time passes."""

    desk: Desk
    clock: MovableClock
    loop: timers.Loop
    http: httpx.AsyncClient
    owner_dsn: str
    versions: dict[UUID, int] = field(default_factory=dict)

    @property
    def engine(self) -> Engine:
        return self.desk.engine

    async def hears(self, *events: Event) -> list[str]:
        """Hand over facts of cases; the reasons of those that were set aside."""
        async with self.engine.transaction() as tx:
            await usecases.take_cases(self.desk, tx, [self.fact(event) for event in events])
            return [aside.reason for aside in tx.set_aside]

    def fact(self, event: Event) -> Fact[Any]:
        return Fact(Envelope(new_id(), event.type_name, "test", self.clock.now(), event.key), event)

    async def runs(self) -> None:
        """Until no timer is due and nothing is under way."""
        for _ in range(20):
            fired = await self.loop.once()
            await self.engine.settle(10)
            if not fired:
                return
        raise AssertionError("the timers do not come to rest")

    async def passes(self, span: timedelta) -> None:
        self.clock.jump_to(self.clock.now() + span)
        await self.runs()

    async def asks(self, who: str, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """A request as that person (or `machine`, `reader`)."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()} | {"authorization": f"Bearer amk_{who}_s"}
        return await self.http.request(method, path, json=body, headers=headers)

    async def of_case(self, case_id: UUID) -> list[dict[str, Any]]:
        answer = await self.asks("ada", "GET", f"/v1/restitutions?case_id={case_id}")
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    async def the_one(self, case_id: UUID) -> dict[str, Any]:
        (only,) = await self.of_case(case_id)
        return only

    async def ledger(self, case_id: UUID) -> list[tuple[str, int, str]]:
        answer = await self.asks("ada", "GET", f"/v1/ledger?case_id={case_id}")
        return [(leg["account"].partition(":")[0], leg["amount_minor"], leg["state"]) for leg in answer.json()["items"]]

    async def budget(self, location_id: str, month: str = "2026-11") -> tuple[int, int]:
        answer = await self.asks("ada", "GET", f"/v1/budgets?location_id={location_id}&month={month}")
        found = [(row["reserved_minor"], row["posted_minor"]) for row in answer.json()["items"]]
        return found[0] if found else (0, 0)

    async def said(self, case_id: UUID) -> list[tuple[str, int]]:
        """What the service said of a case: the end of the type, and the version; oldest first."""
        rows = await self.engine.pool.fetch("select type, body from outbox where key = $1 order by seq", str(case_id))
        return [(row["type"].rpartition(".")[2], json.loads(row["body"])["version"]) for row in rows]

    def case(self, cls: Any = CaseOpened, case_id: UUID | None = None, *, trips: tuple[Trip, ...] = (), **changes: Any) -> Any:
        """An event of a case, one version on."""
        case_id = case_id or new_id()
        self.versions[case_id] = self.versions.get(case_id, 0) + 1
        now = self.clock.now()
        place = changes.get("location_id", "store-12")
        payer = changes.get("payer_class", "self")
        incident = Incident(
            incident_id=new_id(), incident_type="repeat_visit", catalyst="fit_adjustment", location_id=place, patient_ref="P-1",
            root_order_id="O-1", occurred_at=now, reported_at=now, trips=trips, payer_class=payer, repeat_count=max(len(trips), 1),
        )  # fmt: skip
        base = {
            "case_id": case_id, "reference": "AM-7F3K-9X", "at": now, "status": "open", "level": 0, "severity": 2,
            "catalyst": "fit_adjustment", "location_id": place, "region": STORES.get(place, "north"), "patient_ref": "P-1",
            "root_order_id": "O-1", "payer_class": payer, "incidents": 1, "opened_at": now, "policy": PolicyRef(name="sla", version=1),
            "version": self.versions[case_id], "targets": (), "incident": incident, "next_contact_by": now + timedelta(hours=1),
        }  # fmt: skip
        return cls.model_validate(base | changes)

    def attached(self, case_id: UUID, *trips: Trip, **changes: Any) -> IncidentAttached:
        attached: IncidentAttached = self.case(IncidentAttached, case_id, trips=trips, **changes)
        return attached

    def confirmed(self, case_id: UUID, **changes: Any) -> StoryConfirmed:
        confirmed: StoryConfirmed = self.case(StoryConfirmed, case_id, story_confirmed=True, **changes)
        return confirmed


def trips(count: int, miles: str | None = "9") -> tuple[Trip, ...]:
    """Trips of November 2026, one each day."""
    first = datetime(2026, 11, 1, tzinfo=UTC).date()
    return tuple(
        Trip(visit_id=new_id(), on=first + timedelta(days=n), miles=None if miles is None else Decimal(miles)) for n in range(count)
    )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(database: Database) -> AsyncIterator[World]:
    here = Path(services.restitution.__file__).parent
    await migrate_service(database.dsn, "restitution", here / "schema")
    pool = await open_pool(database.dsn_of("amends_restitution"), schema="restitution", size=8)
    await keep_partitions(pool)
    clock = MovableClock(NOW, machine_now(), rate=0)
    engine = Engine("restitution", pool, clock, writers=(timers.write,))
    gateway = CodeGateway(partial(store.issue_code, pool), partial(store.find_code, pool))
    desk = Desk(engine, policies(), gateway, Vault.from_keys("k1", {"k1": fresh_key()}, fresh_key()))
    auth = Auth(audience="restitution", lookup=lookup)
    app = make_app([service_router("restitution", api.ROUTES, desk=desk, auth=auth, pool=pool)], title="Restitution", health=nobody)
    transport = httpx.ASGITransport(cast("Any", app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://restitution") as http:
        world = World(desk, clock, timers.Loop(engine, doors.kinds(desk)), http, database.dsn)
        locations = [
            LocationChanged(location_id=key, name=key, region=region, timezone="America/New_York", version=n)
            for n, (key, region) in enumerate(STORES.items(), 1)
        ]
        people = [
            StaffChanged(staff_id=key, name=key, role=role, locations=places, regions=regions, version=n)
            for n, (key, (role, places, regions)) in enumerate(PEOPLE.items(), 10)
        ]
        async with engine.transaction() as tx:
            await reference.take_locations(tx, [world.fact(location) for location in locations])
            await reference.take_staff(tx, [world.fact(person) for person in people])
        yield world
        await engine.settle(5)
    await pool.close()


@pytest_asyncio.fixture(loop_scope="session")
async def owner(world: World) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """The owner's own connection, for what no role of ours may do."""
    connection = await asyncpg.connect(world.owner_dsn)
    await connection.execute("set search_path to restitution")
    yield connection
    await connection.close()
