"""The ground a storm goes over: six services, each a process of its own, a broker, and the database they stand on.

What must stay true: nothing here outlives the harness, and a service that ends without having been struck is not overlooked.
"""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import httpx

from shared.embedded import EmbeddedKafka, EmbeddedPostgres
from tests.chaos.provider import ACCOUNT, NUMBER, TOKEN, Provider
from tests.support.fleet import Fleet, Member, fleet
from tests.support.servers import Database

START_SECONDS, START_AGAIN_AFTER, READY_EVERY = 120.0, 0.5, 0.25
# The window for texts is the whole day and there may be many, so that a storm is the same at any hour and texts are not held back.
TEXTING: Final = {
    "AMENDS_TEXTING__START": "00:00:00",
    "AMENDS_TEXTING__END": "23:59:59.999999",
    "AMENDS_TEXTING__PER_DAY": "100",
    "AMENDS_TEXTING__PER_WEEK": "100",
}


@dataclass
class Ground:
    """See the module. `folder` keeps what all of them have written."""

    folder: Path
    postgres: EmbeddedPostgres
    kafka: EmbeddedKafka
    fleet: Fleet

    @property
    def dsn(self) -> str:
        """The superuser's."""
        return self.postgres.dsn()

    @property
    def servers(self) -> str:
        """The broker's address, before and after it was struck."""
        return self.kafka.bootstrap_servers

    def url(self, service: str) -> str:
        """Where a service answers, before and after it was struck."""
        return f"http://127.0.0.1:{self.fleet.members[service].port}"

    async def start(self) -> None:
        """All six."""
        await asyncio.gather(*(self.revive(service) for service in self.fleet.members))

    async def kill(self, service: str) -> None:
        """As a power cut: no goodbye."""
        await self.fleet.members[service].kill()

    async def revive(self, service: str) -> None:
        """Start it, and wait until it says that it is ready; where it ends, because the broker is away too, start it again."""
        member = self.fleet.members[service]
        async with asyncio.timeout(START_SECONDS), httpx.AsyncClient(trust_env=False) as http:
            while True:
                await member.start()
                while member.is_running:
                    if await _is_ready(http, member):
                        return
                    await asyncio.sleep(READY_EVERY)
                await asyncio.sleep(START_AGAIN_AFTER)

    async def kill_broker(self) -> None:
        """As a power cut of the broker's machine, whose disk is there when it comes back."""
        assert self.kafka.pid is not None, "the broker runs"
        os.kill(self.kafka.pid, signal.SIGKILL)
        await self.kafka.stop()

    async def lose_the_log(self, since: datetime, down_seconds: float) -> None:
        """The broker's disk is gone: killed, emptied, started, and filled again as an operator does it, with every service stopped."""
        await self.kill_broker()
        shutil.rmtree(self.kafka.folder / "storage")
        await asyncio.sleep(down_seconds)
        await self.kafka.start()
        await self.fleet.end()
        await self.command("republish", "--since", since.isoformat())
        await self.start()

    async def command(self, *words: str) -> str:
        """A command beside all of them; gives what it prints. Fails where the command does."""
        code, printed, complaint = await self.fleet.command(*words, "--data", str(self.folder / "none"))
        assert code == 0, f"amends {' '.join(words)}: {complaint}"
        return printed

    def fallen(self) -> list[str]:
        """Services that ended although nobody struck them, with the last they said."""
        return [f"{m.service} ended by itself: {m.said()[-2000:]}" for m in self.fleet.members.values() if not m.is_running]


async def _is_ready(http: httpx.AsyncClient, member: Member) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return (await http.get(f"{member.url}/readyz")).status_code == httpx.codes.OK
    return False


@contextlib.asynccontextmanager
async def ground(folder: Path, provider: Provider) -> AsyncIterator[Ground]:
    """Both servers and the provider up, the schemas made; no service started yet."""
    async with EmbeddedPostgres(folder) as postgres, EmbeddedKafka(folder) as kafka, provider:
        database = Database("postgres", postgres.dsn())
        async with fleet(database, kafka.bootstrap_servers, folder, **_settings(provider.url)) as six:
            for service, member in six.members.items():
                # Alone of its service, so the broker may give it its partitions back at once.
                member.environ = {**member.environ, "AMENDS_KAFKA__MEMBER": service}
            provider.reports_to(six.members["notification"].url)
            yield Ground(folder, postgres, kafka, six)


def _settings(provider_url: str) -> Mapping[str, str]:
    return {
        **TEXTING,
        "AMENDS_SMS__ACCOUNT_SID": ACCOUNT,
        "AMENDS_SMS__AUTH_TOKEN": TOKEN,
        "AMENDS_SMS__FROM_NUMBER": NUMBER,
        "AMENDS_SMS__BASE_URL": provider_url,
    }
