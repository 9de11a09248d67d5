"""Notification on a real Postgres, its engine and its timers; only the provider and the clock are the test's."""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest_asyncio

import services.notification
from services.notification import timers as doors
from services.notification import usecases
from services.notification.domain import templates
from services.notification.domain.window import Rules
from services.notification.gateway import Accepted, Answer, Look, NotFound
from services.notification.usecases import Desk, Incoming
from shared import reference, timers
from shared.contracts.cases import CASES, CaseEvent, CaseOpened, PolicyRef, Target
from shared.contracts.directory import LocationChanged, StaffChanged
from shared.contracts.envelope import Envelope, Event, Fact
from shared.contracts.incidents import Incident
from shared.contracts.patients import Consent, PatientChanged
from shared.db import open_pool
from shared.kernel.clock import MovableClock, machine_now
from shared.kernel.ids import new_id
from shared.messaging import Engine, Transaction
from shared.messaging.inbox import keep_partitions
from shared.runtime.host import migrate_service
from shared.vault import Vault, fresh_key
from tests.support.servers import Database

NOON = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)  # Monday, noon in New York
PATIENT, MANAGER, REGION = "+12125550101", "+12125550143", "+12125550144"
OWN_TABLES = "patients, cases, consents, conversations, notices, callbacks, messages, links, quarantined, timers, timers_done, outbox"


@dataclass
class FakeSms:
    """A provider that answers as told; `sent` is what reached it."""

    answers: list[Answer] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    sent: list[tuple[str, str, UUID]] = field(default_factory=list)
    looked: int = 0

    async def send(self, to: str, body: str, notice_id: UUID) -> Answer:
        self.sent.append((to, body, notice_id))
        return self.answers.pop(0) if self.answers else Accepted(f"SM{new_id().hex}", "queued")

    async def look(self, to: str, body: str, since: datetime, known: frozenset[str]) -> Look:
        self.looked += 1
        return self.looks.pop(0) if self.looks else NotFound()

    async def close(self) -> None:
        """Nothing to let go of."""

    def to(self, number: str) -> list[str]:
        return [body for to, body, _ in self.sent if to == number]


@dataclass
class World:
    """The service with its hands: facts go in, time passes, texts come out."""

    desk: Desk
    clock: MovableClock
    sms: FakeSms
    loop: timers.Loop
    versions: dict[UUID, int] = field(default_factory=dict)

    @property
    def engine(self) -> Engine:
        return self.desk.engine

    def provider_is(self, there: bool) -> None:
        """The service starts again, with a provider or without."""
        self.desk = replace(self.desk, has_provider=there)
        self.loop = timers.Loop(self.engine, doors.kinds(self.desk))

    async def hears(self, *events: Event, ids: tuple[UUID, ...] = ()) -> list[str]:
        """Hand over facts of one topic, and wait for what leaves at once; the reasons of those that were set aside."""
        async with self.engine.transaction() as tx:
            await self._take(tx, events, ids)
        await self.engine.settle(10)
        return [aside.reason for aside in tx.set_aside]

    async def hears_and_dies(self, *events: Event) -> list[Callable[[], Awaitable[None]]]:
        """The same, but the process is gone once that is committed; what it would have run then."""
        async with self.engine.transaction() as tx:
            await self._take(tx, events)
            later, tx.afterwards[:] = list(tx.afterwards), []
        return later

    async def _take(self, tx: Transaction, events: Sequence[Event], ids: Sequence[UUID] = ()) -> None:
        facts = [self.fact(event, ids[n] if ids else new_id()) for n, event in enumerate(events)]
        topic = events[0].topic
        take = {CASES: usecases.take_cases, PatientChanged.topic: usecases.take_patients}.get(topic, usecases.take_restitutions)
        await take(self.desk, tx, facts)

    def fact(self, event: Event, event_id: UUID) -> Fact[Any]:
        return Fact(Envelope(event_id, event.type_name, "test", self.clock.now(), event.key), event)

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

    async def texts(self, body: str, sender: str = PATIENT, sid: str | None = None) -> None:
        """Somebody writes to us; the answers leave."""
        async with self.engine.transaction() as tx:
            await usecases.receive(self.desk, tx, Incoming(sid or f"SM{new_id().hex}", sender, body))
        await self.runs()

    async def said(self, kind: str | None = None) -> list[dict[str, Any]]:
        """What the service said, oldest first, with its type; `kind` is the end of the type."""
        rows = await self.engine.pool.fetch("select type, body from outbox order by seq")
        found = [json.loads(row["body"]) | {"type": row["type"]} for row in rows]
        return [event for event in found if kind is None or event["type"].endswith(f".{kind}")]

    async def statuses(self) -> list[tuple[str, str, str | None]]:
        rows = await self.engine.pool.fetch("select template, status, reason from notices order by seq")
        return [(row["template"], row["status"], row["reason"]) for row in rows]

    async def silence(self) -> None:
        """Every lease has run out: the sender was killed, or was asleep."""
        await self.engine.pool.execute("update notices set lease_until = clock_timestamp() - interval '1 second' where status = 'sending'")

    def case(self, cls: type[CaseEvent] = CaseOpened, case_id: UUID | None = None, **changes: Any) -> Any:
        """An event of a case, one version on."""
        case_id = case_id or new_id()
        self.versions[case_id] = self.versions.get(case_id, 0) + 1
        now = self.clock.now()
        incident = Incident(
            incident_id=new_id(), incident_type="repeat_visit", catalyst="fit_adjustment", location_id="store-12", patient_ref="P-1",
            occurred_at=now, reported_at=now,
        )  # fmt: skip
        base = {
            "case_id": case_id, "reference": "AM-7F3K-9X", "at": now, "status": "open", "level": 0, "severity": 2,
            "catalyst": "fit_adjustment", "location_id": "store-12", "region": "north", "patient_ref": "P-1", "owner_staff_id": "ana",
            "incidents": 1, "opened_at": now, "policy": PolicyRef(name="sla", version=1), "version": self.versions[case_id],
            "targets": (Target(milestone="acknowledge", due_at=now + timedelta(minutes=15)),), "incident": incident,
            "next_contact_by": now + timedelta(hours=1),
        }  # fmt: skip
        return cls.model_validate(base | changes)

    def patient(self, ref: str = "P-1", number: str | None = PATIENT, version: int = 1, **changes: Any) -> PatientChanged:
        """A patient as intake tells of one, who agreed to care."""
        key, wrapped = self.desk.vault.new_key()
        phone = base64.b64encode(key.seal(number, "patients", ref, "phone")).decode() if number else None
        care = Consent(purpose="care", granted=True, at=NOON - timedelta(days=1), source="the group's word")
        made = PatientChanged(
            patient_ref=ref, version=version, wrapped_key=base64.b64encode(wrapped).decode(), phone=phone,
            phone_index=self.desk.index(number) if number else None, consents=(care,), location_id="store-12",
        )  # fmt: skip
        return made.model_copy(update=changes)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def built(database: Database) -> AsyncIterator[World]:
    here = Path(services.notification.__file__).parent
    await migrate_service(database.dsn, "notification", here / "schema")
    pool = await open_pool(database.dsn_of("amends_notification"), schema="notification", size=6)
    await keep_partitions(pool)
    clock = MovableClock(NOON, machine_now(), rate=0)
    engine = Engine("notification", pool, clock, writers=(timers.write,))
    vault = Vault.from_keys("k1", {"k1": fresh_key()}, fresh_key())
    words = templates.load((here / "policy" / "templates.toml").read_text())
    url = "https://amends.example.org"
    desk = Desk(engine, vault, words, Rules(), FakeSms(), url, url, "Amends Optical", "secret", contact="+12125550112")
    world = World(desk, clock, FakeSms(), timers.Loop(engine, {}))
    location = LocationChanged(location_id="store-12", name="Elm Street", region="north", timezone="America/New_York", subdivision="NY")
    people = [
        StaffChanged(staff_id="ana", name="Ana Example", role="store_manager", locations=("store-12",), phone=MANAGER),
        StaffChanged(staff_id="rita", name="Rita Example", role="regional_manager", regions=("north",), phone=REGION, version=2),
    ]
    async with engine.transaction() as tx:
        await reference.take_locations(tx, [world.fact(location, new_id())])
        await reference.take_staff(tx, [world.fact(person, new_id()) for person in people])
    yield world
    await engine.settle(5)
    await pool.close()


@pytest_asyncio.fixture(loop_scope="session")
async def world(built: World, database: Database) -> World:
    """The service at noon, knowing its directory and one patient, and nothing else."""
    owner = await asyncpg.connect(database.dsn)
    await owner.execute(f"set search_path to notification; truncate {OWN_TABLES}")
    await owner.close()
    sms = FakeSms()
    desk = replace(built.desk, gateway=sms)
    built.clock.business_at = NOON
    world = World(desk, built.clock, sms, timers.Loop(built.engine, doors.kinds(desk)))
    await world.hears(world.patient())
    return world
