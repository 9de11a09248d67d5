"""Where the running Amends is that a command works beside: an `amends up` of the data folder, or the servers that the settings name."""

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx

from services.command.door import Failed, Misused
from shared.contracts.flow import ALL_SERVICES
from shared.db import DATABASE_DOWN, REFUSED, Pool, open_pool
from shared.kernel.clock import Clock, MachineClock, MovableClock
from shared.settings import PREFIX, read

CLOCK_SECONDS: Final = 5.0


class Lacking(Failed):
    """A service's database is not named here."""


@dataclass(frozen=True)
class Place:
    """`dsns` and `urls` by service, `kafka` its bootstrap servers."""

    dsns: Mapping[str, str]
    urls: Mapping[str, str]
    kafka: str

    @asynccontextmanager
    async def pool(self, service: str) -> AsyncIterator[Pool]:
        """Connections to one service's schema. Raises Failed where the database does not answer."""
        if service not in self.dsns:
            raise Lacking(f"{PREFIX}POSTGRES__{service.upper()} is missing: this needs the database of {service}.")
        try:
            pool = await open_pool(self.dsns[service], schema=service, size=2)
        except (*DATABASE_DOWN, *REFUSED) as fault:
            raise Failed(f"The database does not answer ({str(fault) or type(fault).__name__}); is Amends still running?") from fault
        try:
            yield pool
        finally:
            await pool.close()


def beside(data: Path) -> Place:
    """The `amends up` that runs on this folder, else the servers that the settings name. Raises Failed where there is neither."""
    try:
        row = _running(data)
    except Failed:
        settings = read(with_keys=False)
        if settings.postgres.is_embedded or settings.kafka.bootstrap_servers is None:
            raise
        dsns = {service: dsn for service in ALL_SERVICES if (dsn := settings.postgres.dsn_of(service)) is not None}
        return Place(dsns, settings.urls.by_service(), settings.kafka.bootstrap_servers)
    return Place(dict.fromkeys(ALL_SERVICES, row["dsn"]), dict.fromkeys(ALL_SERVICES, row["url"]), row["kafka"])


async def business_clock(place: Place) -> Clock:
    """What time it is for the business beside what runs: a demo's clock may be elsewhere than the machine's, and stands meanwhile here."""
    async with httpx.AsyncClient(timeout=CLOCK_SECONDS, trust_env=False) as client:
        try:
            answer = await client.get(f"{place.urls['console']}/dev/clock")
        except httpx.TransportError as away:
            raise Failed(f"Amends does not answer at {place.urls['console']}.") from away
    if answer.status_code != 200:
        return MachineClock()
    return MovableClock(business_at=datetime.fromisoformat(answer.json()["now"]), rate=0.0)


def services_named(service: str | None) -> tuple[str, ...]:
    """The service that was named, else all. Raises Misused for one that is not there."""
    return (service_named(service),) if service else tuple(ALL_SERVICES)


def service_named(service: str) -> str:
    """The service that was named. Raises Misused for one that is not there."""
    if service not in ALL_SERVICES:
        raise Misused(f"There is no service {service}; there are {', '.join(ALL_SERVICES)}.")
    return service


def _running(data: Path) -> dict[str, Any]:
    """What `amends up` wrote down of itself."""
    file = data / "run.json"
    try:
        row: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except FileNotFoundError as missing:
        raise Failed(f"Nothing runs in {data}; start it with `amends up --data {data}`.") from missing
    except (OSError, ValueError) as fault:
        raise Failed(f"{file} cannot be read ({fault}).") from fault
    try:
        os.kill(row["pid"], 0)
    except ProcessLookupError as gone:
        raise Failed(f"Amends was killed in {data}; start it again with `amends up --data {data}`, it goes on.") from gone
    except PermissionError:
        pass
    return row
