"""One storm from its first event to its last finding: start everything, send, strike, wait until it is quiet, read, judge.

Called by the tests of this folder. Nothing in here is about one service; what is struck and what is sent is the plan's.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import asyncpg
import httpx
import yaml

from shared.contracts.flow import ALL_SERVICES
from shared.kernel.clock import machine_now
from tests.chaos.checks import Finding, Seen, findings
from tests.chaos.ground import Ground, ground
from tests.chaos.people import People, team_of
from tests.chaos.plan import Plan, Size, plan
from tests.chaos.provider import Provider
from tests.chaos.quiet import frozen, quiet
from tests.chaos.record import Record
from tests.chaos.seen import read, watch
from tests.chaos.striker import Striker
from tests.chaos.traffic import Stores
from tests.support.eventually import eventually
from tests.support.stack import client

SCOPES: Final = ("events:write", "cases:read", "restitutions:read", "directory:write")
REST_SECONDS: Final = 90.0
HEARD_SECONDS, STILL_SECONDS = 60.0, 50.0

NO_KEY: Final = "alter table {service}.inbox drop constraint inbox_pkey"


@dataclass(frozen=True, slots=True)
class Weather:
    """How a storm is run, whatever its seed. `minute`: seconds that a minute of the people's work takes; `slack`: how late a timer may be
    beyond its service's outage; `doubts`: whether the end waits for the look-ups of what a kill left in doubt; `inbox_key`: False takes
    the key of every inbox away, so that what is delivered twice is applied twice."""

    minute: float = 0.4
    slack: timedelta = timedelta(seconds=2)
    drain_seconds: float = 600.0
    doubts: bool = True
    inbox_key: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """A storm that is over, with the seconds from its first event to the last acknowledged, and from there until it was quiet."""

    plan: Plan
    record: Record
    seen: Seen
    findings: list[Finding]
    sent_seconds: float
    drained_seconds: float


async def storm(seed: int, size: Size, folder: Path, weather: Weather, say: Callable[[str], None]) -> Outcome:
    """Run it in `folder`, which is empty and stays behind. Raises what keeps a storm from being judged at all."""
    made, record = plan(seed, size, machine_now()), Record()
    provider = Provider(record)
    say = _timed(say)
    say(f"seed {seed}, plan {made.digest}: {size.events} events, {len(made.strikes)} strikes")
    async with ground(folder, provider) as here:
        await watch(here.dsn)
        if not weather.inbox_key:
            await _without_keys(here.dsn)
        stores, people = await _everybody(here, made, provider, record, weather)
        say("everything is up")
        loop = asyncio.get_running_loop()
        began = loop.time()
        await _rage(here, stores, people, made, record, say)
        sent = loop.time()
        say(f"all events are acknowledged after {sent - began:.0f} s; waiting until it is quiet")
        await people.rest(REST_SECONDS)
        await quiet(here.dsn, here.servers, provider, within_seconds=weather.drain_seconds, doubts=weather.doubts)
        drained = loop.time() - sent
        say(f"quiet after {drained:.0f} s")
        record.refused += here.fallen()
        async with frozen(here.dsn) as frozen_at:
            await quiet(here.dsn, here.servers, provider, within_seconds=STILL_SECONDS, timers=False)
            seen = await read(here, made, record, provider, weather.slack, frozen_at)
    return Outcome(made, record, seen, findings(seen), sent - began, drained)


async def _rage(here: Ground, stores: Stores, people: People, made: Plan, record: Record, say: Callable[[str], None]) -> None:
    """Events, people and strikes at once, until the last event is acknowledged and what was struck last is up again."""
    working = asyncio.create_task(people.work())
    try:
        async with asyncio.TaskGroup() as raging:
            raging.create_task(stores.send_all())
            raging.create_task(Striker(here, stores, made, record, say).strike_all())
        if working.done():
            working.result()
    finally:
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working


async def _everybody(here: Ground, made: Plan, provider: Provider, record: Record, weather: Weather) -> tuple[Stores, People]:
    """All services up, with the group and a key for everybody in it."""
    await here.start()
    file = here.folder / "group.yaml"
    file.write_text(yaml.safe_dump(dict(made.group)), "utf-8")
    await here.command("directory", "load", str(file))
    key = await here.command("keys", "create", "storm", *(word for scope in SCOPES for word in ("--scope", scope)))
    keys = await _keys(here, key, [person["id"] for person in made.group["staff"]])
    urls = {name: here.url(name) for name in ("escalation", "restitution")}
    people = People(made.seed, urls, key, keys, team_of(made.group), made.phones, provider, record, weather.minute)
    return Stores(made, here.url("intake"), key, record), people


async def _keys(here: Ground, key: str, staff: list[str]) -> dict[str, str]:
    """A key that acts as each person; returns when those who are asked know them all."""
    made: dict[str, str] = {}
    async with client(here.url("directory"), key) as http:
        for person in staff:
            answer = await http.post("/v1/keys", json={"name": person, "staff_id": person})
            answer.raise_for_status()
            made[person] = answer.json()["key"]
    last = made[staff[-1]]
    for service, path in (("escalation", "/v1/cases"), ("restitution", "/v1/restitutions")):
        async with client(here.url(service), last) as http:
            await eventually(lambda http=http, path=path: _knows(http, path), within_seconds=HEARD_SECONDS)  # type: ignore[misc]
    return made


async def _knows(http: httpx.AsyncClient, path: str) -> bool:
    return (await http.get(path)).status_code == httpx.codes.OK


async def _without_keys(dsn: str) -> None:
    """No inbox can tell any more what it has taken."""
    connection = await asyncpg.connect(dsn)
    try:
        for service in ALL_SERVICES:
            await connection.execute(NO_KEY.format(service=service))
    finally:
        await connection.close()


def _timed(say: Callable[[str], None]) -> Callable[[str], None]:
    """Each line with the seconds since now."""
    began = machine_now()
    return lambda line: say(f"{(machine_now() - began).total_seconds():>6.1f}  {line}")
