"""A whole running Amends for the stories: every service, the real database, the real broker, the phone; business time stands still.

Goal: stories speak to it as stores, staff and patients do (HTTP, texts) and move time by hand. Where this run has containers their
servers are used; else the stack brings its own, as `amends up` does.
"""

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from pydantic import SecretStr

from services.command.up import builders
from services.directory import domain, usecases
from services.directory.gateway import wait_until_heard
from shared.contracts.directory import ACCESS
from shared.contracts.flow import ALL_SERVICES
from shared.embedded.stack import Stack
from shared.kernel.clock import MovableClock
from shared.settings import Http, Kafka, Postgres, Settings, VaultKeys
from tests.support.builders import MORNING, Event, group
from tests.support.eventually import eventually
from tests.support.servers import Servers

BATCH = "application/cloudevents-batch+json"
DRAIN_SECONDS = 60.0
# The hours of the small group's stores.
ZONE, OPENS, CLOSES = ZoneInfo("America/New_York"), 9, 18


@dataclass
class Amends:
    """A running Amends as the world outside sees it. `http` carries a key with every scope, `people` the keys of staff by id."""

    url: str
    http: httpx.AsyncClient
    people: dict[str, httpx.AsyncClient] = field(default_factory=dict)
    stack: Stack | None = None

    async def now(self) -> datetime:
        """Business time."""
        return datetime.fromisoformat((await self.http.get("/dev/clock")).json()["now"])

    async def send(self, *events: Event) -> dict[str, Any]:
        """Events go in and everything that follows from them at once is done. Each must be accepted."""
        answer = await self.post_events(*events)
        assert answer["rejected"] == 0, answer["results"]
        await self.settle()
        return answer

    async def post_events(self, *events: Event) -> dict[str, Any]:
        """One batch; gives its results. Returns when they are stored, not when they are worked through."""
        response = await self.http.post("/v1/events", json=list(events), headers={"content-type": BATCH})
        assert response.status_code == 202, response.text
        found: dict[str, Any] = response.json()
        return found

    async def settle(self) -> None:
        """Wait until nothing is under way and nothing is due."""
        await self.advance(seconds=0)

    async def advance(self, minutes: float = 0, *, seconds: float = 0) -> datetime:
        """Business time moves forward, through every deadline on its way, and all that follows is done."""
        answer = await self._moved(minutes * 60 + seconds)
        loop = asyncio.get_running_loop()
        until = loop.time() + DRAIN_SECONDS
        while not answer["drained"]:
            assert loop.time() < until, f"not quiet within {DRAIN_SECONDS:g} s"
            answer = await self._moved(0)
        return datetime.fromisoformat(answer["now"])

    async def open_hours(self, *, hours: float) -> datetime:
        """Now, if the stores stay open for `hours` more; else business time moves to their next opening. Gives business time."""
        now = await self.now()
        opening = max(now, _wall(now, OPENS))
        if opening.astimezone(ZONE).weekday() == 6 or opening + timedelta(hours=hours) > _wall(now, CLOSES):
            opening = _next_opening(now)
        return await self.advance(seconds=(opening - now).total_seconds())

    async def minutes_before_closing(self, minutes: float) -> datetime:
        """Business time moves to so many minutes before the stores' next closing."""
        now = await self.open_hours(hours=minutes / 60)
        return await self.advance(seconds=(_wall(now, CLOSES) - timedelta(minutes=minutes) - now).total_seconds())

    async def _moved(self, seconds: float) -> dict[str, Any]:
        response = await self.http.post("/dev/clock", json={"advance_seconds": seconds})
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    async def texts(self, to: str) -> list[str]:
        """What a number was texted, oldest first."""
        return [text["body"] for text in await self.thread(to) if text["direction"] == "outbound"]

    async def thread(self, to: str) -> list[dict[str, Any]]:
        """What a number was texted, with times and states."""
        found: list[dict[str, Any]] = (await self.http.get("/dev/phone/messages", params={"to": to})).json()["items"]
        return found

    async def answer(self, sender: str, body: str) -> None:
        """A text typed on somebody's phone, and what comes of it."""
        response = await self.http.post("/dev/phone/messages", json={"from": sender, "body": body})
        assert response.status_code == 200, response.text
        assert response.json()["taken"], "the webhook took the text"
        await self.settle()

    async def cases_of(self, patient_ref: str) -> list[dict[str, Any]]:
        """A patient's cases, newest first."""
        return await self.items("/v1/cases", patient_ref=patient_ref)

    async def case_of(self, patient_ref: str) -> dict[str, Any]:
        """A patient's only case, with everything."""
        found = await self.cases_of(patient_ref)
        assert len(found) == 1, f"{len(found)} cases of {patient_ref}"
        return await self.get(f"/v1/cases/{found[0]['id']}")

    async def items(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """A list's first page."""
        found: list[dict[str, Any]] = (await self.get(path, **query))["items"]
        return found

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        response = await self.http.get(path, params=query)
        assert response.status_code == 200, f"{path}: {response.status_code} {response.text}"
        found: dict[str, Any] = response.json()
        return found

    async def do(self, path: str, body: Mapping[str, Any] | None = None, *, by: str | None = None) -> dict[str, Any]:
        """A command that succeeds, by a person or by the machine's key, and what follows from it."""
        response = await self.ask(path, body, by=by)
        assert response.status_code == 200, f"{path}: {response.status_code} {response.text}"
        await self.settle()
        found: dict[str, Any] = response.json()
        return found

    async def ask(self, path: str, body: Mapping[str, Any] | None = None, *, by: str | None = None) -> httpx.Response:
        """A command, whatever comes of it."""
        return await (self.people[by] if by else self.http).post(path, json=body)


@contextlib.asynccontextmanager
async def running(
    data: Path, servers: Servers | None = None, *, at: datetime = MORNING, vault: VaultKeys | None = None
) -> AsyncIterator[Amends]:
    """A stack in this process on the folder `data`, with the small group loaded where it is not there yet; fresh keys without `vault`."""
    stack = Stack(_settings(servers, vault), builders(), data, clock=MovableClock(business_at=at, rate=0))
    async with contextlib.AsyncExitStack() as cleanup:
        await stack.start()
        cleanup.push_async_callback(stack.stop)
        assert stack.process is not None, "a started stack has its services"
        desk = stack.process.running["directory"].service.desk
        document = domain.read(group())
        async with desk.engine.transaction() as tx:
            loaded = await usecases.load(desk, tx, document, actor="test")
            key, secret = await usecases.create_key(desk, tx, "stories", domain.SCOPES, None, actor="test")
            theirs = {}
            for person in document.staff:
                key, theirs[person.id] = await usecases.create_key(desk, tx, person.name, (), person.id, actor="test")
        await wait_until_heard(dict.fromkeys(ALL_SERVICES, stack.url), {**loaded.reached, ACCESS: key.version})
        amends = Amends(stack.url, await cleanup.enter_async_context(client(stack.url, secret)), stack=stack)
        for staff_id, shown in theirs.items():
            amends.people[staff_id] = await cleanup.enter_async_context(client(stack.url, shown))
        yield amends


def client(url: str, key: str | None = None) -> httpx.AsyncClient:
    """An HTTP client with a key's power, or none."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=30, trust_env=False)


def _wall(at: datetime, hour: int) -> datetime:
    """The stores' day of `at`, at a full hour of theirs."""
    return at.astimezone(ZONE).replace(hour=hour, minute=0, second=0, microsecond=0).astimezone(UTC)


def _next_opening(at: datetime) -> datetime:
    days = 2 if at.astimezone(ZONE).weekday() == 5 else 1
    return _wall(at.astimezone(ZONE) + timedelta(days=days), OPENS)


def _settings(servers: Servers | None, vault: VaultKeys | None) -> Settings:
    http = Http(port=0)
    if servers is None:
        return Settings(http=http)
    return Settings(
        http=http,
        kafka=Kafka(bootstrap_servers=servers.bootstrap_servers),
        postgres=Postgres(dsn=SecretStr(servers.postgres_dsn)),
        vault=vault or VaultKeys(master_key=_key(), index_key=_key()),
    )


def _key() -> SecretStr:
    return SecretStr(base64.b64encode(os.urandom(32)).decode())


__all__ = ["Amends", "client", "eventually", "running"]
