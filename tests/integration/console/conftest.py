"""The console on a real Postgres behind its real doors; only the other services are the test's."""

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import asyncpg
import httpx
import pytest_asyncio

import services.console
from services.console import api, usecases
from services.console.usecases import Desk
from shared import reference
from shared.contracts.cases import CASES, CaseEvent, CaseOpened, PolicyRef, Target
from shared.contracts.directory import LocationChanged, StaffChanged
from shared.contracts.envelope import Envelope, Event, Fact
from shared.contracts.incidents import Incident
from shared.contracts.notices import NOTICES, LinkIssued
from shared.contracts.patients import PATIENTS, PatientChanged
from shared.contracts.restitutions import RESTITUTIONS, RestitutionSettled
from shared.db import open_pool
from shared.kernel.clock import MovableClock, machine_now
from shared.kernel.errors import Rejected, Transient
from shared.kernel.ids import new_id
from shared.kernel.ids import reference as reference_of
from shared.messaging import Engine
from shared.messaging.inbox import keep_partitions
from shared.runtime.host import migrate_service
from shared.vault import Vault, fresh_key
from shared.web import Auth, make_app, service_router
from shared.web.app import Check
from tests.support.servers import Database

NOON = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)  # Monday, noon in New York
TAKERS: dict[str, Any] = {
    CASES: usecases.take_cases,
    RESTITUTIONS: usecases.take_restitutions,
    NOTICES: usecases.take_notices,
    PATIENTS: usecases.take_patients,
}
OWN_TABLES = "queue_rows, entries, incidents, restitutions, notices, patients, links, link_visits, sessions"


@dataclass
class FakeServices:
    """The other services: `answers` by path, an exception is raised; `asked` is what they were asked, and for whom."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str, Any, Any]] = field(default_factory=list)
    moved: list[dict[str, Any]] = field(default_factory=list)

    async def get(self, service: str, path: str, asker: Any) -> dict[str, Any]:
        return self._answer(service, path, asker, None)

    async def post(self, service: str, path: str, asker: Any, body: Mapping[str, Any], *, key: str | None = None) -> dict[str, Any]:
        return self._answer(service, path, asker, dict(body))

    async def move_clock(self, body: Mapping[str, Any]) -> dict[str, Any]:
        self.moved.append(dict(body))
        return {}

    def _answer(self, service: str, path: str, asker: Any, body: Any) -> dict[str, Any]:
        self.asked.append((service, path, asker, body))
        answer = self.answers.get(path, Transient(f"{service} does not answer") if body is None else {})
        if isinstance(answer, Exception):
            raise answer
        return cast("dict[str, Any]", answer)


@dataclass
class World:
    """The console with its hands: facts go in, people look."""

    desk: Desk
    clock: MovableClock
    services: FakeServices
    app: Any
    versions: dict[UUID, int] = field(default_factory=dict)
    numbers: int = 0

    def browser(self) -> httpx.AsyncClient:
        """A browser with cookies of its own, which asks for pages."""
        transport = httpx.ASGITransport(app=self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers={"accept": "text/html,*/*"})

    @asynccontextmanager
    async def signed_in(self, staff_id: str) -> AsyncIterator[httpx.AsyncClient]:
        """A browser of somebody."""
        async with self.browser() as browser:
            answer = await browser.post("/sign-in", data={"staff_id": staff_id})
            assert answer.status_code == 303, answer.text
            yield browser

    async def hears(self, *events: Event) -> None:
        """Facts of one topic in one batch."""
        facts = [self.fact(event) for event in events]
        async with self.desk.engine.transaction() as tx:
            await TAKERS[events[0].topic](self.desk, tx, facts)

    def fact(self, event: Event) -> Fact[Any]:
        return Fact(Envelope(new_id(), event.type_name, "test", self.clock.now(), event.key), event)

    def case(self, cls: type[CaseEvent] = CaseOpened, case_id: UUID | None = None, *, due_in: int = 15, **changes: Any) -> Any:
        """An event of a case, one version on; `due_in`: minutes until somebody has to take it on."""
        case_id = case_id or new_id()
        self.versions[case_id] = self.versions.get(case_id, 0) + 1
        self.numbers += self.versions[case_id] == 1
        now = self.clock.now()
        incident = Incident(
            incident_id=new_id(), incident_type="voice_of_patient", catalyst="other", location_id="elm", patient_ref="P-1",
            occurred_at=now, reported_at=now, has_words=True,
        )  # fmt: skip
        base = {
            "case_id": case_id, "reference": reference_of(case_id.int % 1_000_000), "at": now, "status": "open", "level": 0, "severity": 2,
            "catalyst": "late_order", "location_id": "elm", "region": "north", "patient_ref": "P-1", "owner_staff_id": "lee",
            "incidents": 1, "opened_at": now, "policy": PolicyRef(name="sla", version=1), "version": self.versions[case_id],
            "targets": (Target(milestone="acknowledge", due_at=now + timedelta(minutes=due_in)),), "incident": incident,
            "next_contact_by": now + timedelta(hours=1), "generation": 1, "expires_at": now + timedelta(hours=4),
        }  # fmt: skip
        return cls.model_validate(base | changes)

    def patient(self, ref: str = "P-1", name: str = "Paula Example", number: str = "+12125550199", version: int = 1) -> PatientChanged:
        """A patient as intake tells of one."""
        key, wrapped = self.desk.vault.new_key()

        def sealed(text: str, part: str) -> str:
            return base64.b64encode(key.seal(text, "patients", ref, part)).decode()

        return PatientChanged(
            patient_ref=ref, version=version, wrapped_key=base64.b64encode(wrapped).decode(), name=sealed(name, "name"),
            phone=sealed(number, "phone"), location_id="elm",
        )  # fmt: skip

    def link(self, case_id: UUID, token: str, *, hours: int = 48) -> LinkIssued:
        """A patient link for a case."""
        now = self.clock.now()
        return LinkIssued(
            link_id=new_id(),
            case_id=case_id,
            token_hash=hashlib.sha256(token.encode()).hexdigest(),
            at=now,
            expires_at=now + timedelta(hours=hours),
        )

    def gas_money(self, case_id: UUID) -> RestitutionSettled:
        """Gas money that was paid."""
        return RestitutionSettled(
            restitution_id=new_id(), case_id=case_id, at=self.clock.now(), location_id="elm", kind="gas_money", amount_minor=2610,
            currency="USD", status="settled", version=4,
        )  # fmt: skip


async def _healthy() -> Mapping[str, Check]:
    return {}


async def _no_key(key_id: str) -> None:
    return None


def refuses(code: str, detail: str) -> Rejected:
    """What a service says no with."""
    return Rejected(code, detail)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def built(database: Database) -> AsyncIterator[World]:
    await migrate_service(database.dsn, "console", Path(services.console.__file__).parent / "schema")
    pool = await open_pool(database.dsn_of("amends_console"), schema="console", size=6)
    await keep_partitions(pool)
    clock = MovableClock(NOON, machine_now(), rate=0)
    engine = Engine("console", pool, clock)
    fake = FakeServices()
    desk = Desk(engine, Vault.from_keys("k1", {"k1": fresh_key()}, fresh_key()), fake, has_demo_people=True, is_demo=True)
    auth = Auth(audience="amends", lookup=_no_key, sessions=api.session_hook(desk))
    app = make_app([service_router("console", api.ROUTES, desk=desk, auth=auth, pool=pool)], title="Console", health=_healthy)
    world = World(desk, clock, fake, app)
    week = dict.fromkeys(("mon", "tue", "wed", "thu", "fri", "sat"), (("09:00", "18:00"),))
    places = [
        LocationChanged(
            location_id=place, name=name, region=region, region_name=region.title(), timezone="America/New_York", weekly=week,
            phone="+12125550112",
        )
        for place, name, region in (("elm", "Elm Street", "north"), ("bay", "Bay Road", "south"))
    ]  # fmt: skip
    people = [
        StaffChanged(staff_id="lee", name="Lee Example", role="associate", locations=("elm",)),
        StaffChanged(staff_id="sam", name="Sam Example", role="associate", locations=("bay",)),
        StaffChanged(staff_id="raj", name="Raj Example", role="regional_manager", regions=("north",)),
        StaffChanged(staff_id="ada", name="Ada Example", role="admin"),
        StaffChanged(staff_id="cleo", name="Cleo Example", role="compliance"),
        StaffChanged(staff_id="gone", name="Gone Example", role="admin", active=False),
    ]
    async with engine.transaction() as tx:
        await reference.take_locations(tx, [world.fact(place) for place in places])
        await reference.take_staff(tx, [world.fact(person) for person in people])
    yield world
    await engine.settle(5)
    await pool.close()


@pytest_asyncio.fixture(loop_scope="session")
async def world(built: World, database: Database) -> World:
    """The console at noon, knowing its directory and nothing else."""
    owner = await asyncpg.connect(database.dsn)
    await owner.execute(f"set search_path to console; truncate {OWN_TABLES}")
    await owner.close()
    built.clock.business_at = NOON
    built.services.answers.clear()
    built.services.asked.clear()
    built.services.moved.clear()
    return built
