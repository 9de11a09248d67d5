"""Amends as six processes: `amends migrate`, then `amends serve` for each service, on real servers, killed and started again at will.

Goal: tests see what an operator sees, commands, settings, ports and signals. Keys and passwords are made for each fleet, as an operator
would, and reach the processes as settings.
"""

import asyncio
import base64
import contextlib
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from shared.contracts.flow import ALL_SERVICES
from shared.embedded.processes import free_ports, leashed
from shared.kernel.clock import machine_now
from tests.support.builders import MORNING
from tests.support.eventually import eventually
from tests.support.servers import Database

ROOT = Path(__file__).parents[2]
READY_SECONDS, STOP_SECONDS = 90.0, 20.0
# Processes of their own live in the machine's time: the hour of the stories, or now where that has not come yet.
PAST = min(MORNING, machine_now())


@dataclass
class Member:
    """One process of a service; it may be started again after it ended."""

    service: str
    port: int
    environ: Mapping[str, str]
    log: Path
    code: Path
    _running: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def is_running(self) -> bool:
        return self._running is not None and self._running.returncode is None

    @property
    def pid(self) -> int:
        assert self._running is not None, "it was started"
        return self._running.pid

    def said(self) -> str:
        """Everything it has written so far."""
        return self.log.read_text("utf-8") if self.log.exists() else ""

    async def start(self) -> "Member":
        """Start it; `ready` waits until it is. It ends with whoever started it, however that ends."""
        leash = leashed(words("serve", self.service, "--port", str(self.port)), parting=signal.SIGKILL)
        with self.log.open("ab") as log:
            self._running = await asyncio.create_subprocess_exec(
                *leash, env=dict(self.environ), cwd=self.code,
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        return self

    async def ready(self) -> "Member":
        """Wait until it says that it is ready; what it said where it ends instead."""

        async def is_ready() -> bool:
            assert self.is_running, f"{self.service} ended: {self.said()[-2000:]}"
            async with httpx.AsyncClient(trust_env=False) as asking:
                with contextlib.suppress(httpx.TransportError):
                    return (await asking.get(f"{self.url}/readyz")).status_code == 200
            return False

        await eventually(is_ready, within_seconds=READY_SECONDS, every_seconds=0.1)
        return self

    async def kill(self) -> None:
        """As a power cut: no goodbye."""
        assert self._running is not None, "it was started"
        self._running.kill()
        await self._running.wait()

    async def end(self) -> int:
        """SIGTERM, as an orchestrator says it; gives the exit code."""
        assert self._running is not None, "it was started"
        with contextlib.suppress(ProcessLookupError):
            self._running.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self._running.wait(), STOP_SECONDS)


@dataclass
class Fleet:
    """The processes by service, and everything that a further process or a command needs. `code` is the version that runs."""

    environ: dict[str, str]
    folder: Path
    owner: dict[str, str]
    code: Path = ROOT
    members: dict[str, Member] = field(default_factory=dict)
    others: list[Member] = field(default_factory=list)

    def member(self, service: str, *, port: int | None = None, code: Path | None = None) -> Member:
        """A process of a service, not started yet, one more beside the first; `code`: of another version."""
        number = len(self.others)
        settings = {**self.environ, **_own(self.owner, service)}
        made = Member(service, port or free_ports(1)[0], settings, self.folder / f"{service}-{number}.log", code or self.code)
        self.others.append(made)
        return made

    async def start(self) -> None:
        """All six, ready."""
        await asyncio.gather(*(member.start() for member in self.members.values()))
        await asyncio.gather(*(member.ready() for member in self.members.values()))

    async def end(self) -> None:
        """Whatever still runs is told to end, and killed where it does not."""
        running = [member for member in (*self.members.values(), *self.others) if member.is_running]
        for outcome, member in zip(await asyncio.gather(*(m.end() for m in running), return_exceptions=True), running, strict=True):
            if isinstance(outcome, BaseException):
                await member.kill()

    async def command(self, *said: str, code: Path | None = None) -> tuple[int, str, str]:
        """A command beside it, with the owner's power: exit code, what it prints, what it complains of."""
        return await command(*said, environ={**self.environ, **self.owner}, code=code or self.code)

    async def must(self, *said: str) -> str:
        """A command that succeeds; gives what it prints."""
        code, out, complaint = await self.command(*said)
        assert code == 0, complaint
        return out

    def all(self) -> list[Member]:
        """Every process that was made, the first of each service first."""
        return [*self.members.values(), *self.others]


async def command(*said: str, environ: Mapping[str, str], code: Path = ROOT) -> tuple[int, str, str]:
    """One command to its end."""
    ran = await asyncio.create_subprocess_exec(
        *words(*said), env=dict(environ), cwd=code, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(ran.communicate(), READY_SECONDS)
    assert ran.returncode is not None, "it has ended"
    return ran.returncode, out.decode().strip(), err.decode().strip()


@contextlib.asynccontextmanager
async def fleet(database: Database, bootstrap_servers: str, folder: Path, code: Path = ROOT, /, **more: str | None) -> AsyncIterator[Fleet]:
    """A migrated database and six processes of the version `code`, not started yet; none is left at the end.

    `more`: further settings; None leaves one out.
    """
    ports = dict(zip(ALL_SERVICES, free_ports(len(ALL_SERVICES)), strict=True))
    settings = {name: value for name, value in (settings_of(bootstrap_servers, ports) | more).items() if value is not None}
    made = Fleet(settings, folder, owner_of(database), code)
    await made.must("migrate")
    for service, port in ports.items():
        made.members[service] = made.member(service, port=port)
    made.others.clear()
    try:
        yield made
    finally:
        await made.end()


def settings_of(bootstrap_servers: str, ports: Mapping[str, int]) -> dict[str, str]:
    """What every process of a fleet is told: the broker, the addresses, fresh keys, and an SMS provider that nobody answers for."""
    signing = Ed25519PrivateKey.generate()
    private = signing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = signing.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return {
        **environment(),
        "AMENDS_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers,
        "AMENDS_VAULT__MASTER_KEY": _key(),
        "AMENDS_VAULT__INDEX_KEY": _key(),
        "AMENDS_SIGN_IN__ASSERTION_PRIVATE_KEY": private,
        "AMENDS_SIGN_IN__ASSERTION_PUBLIC_KEY": public,
        **{f"AMENDS_URLS__{service.upper()}": f"http://localhost:{port}" for service, port in ports.items()},
        "AMENDS_SMS__ACCOUNT_SID": "AC" + secrets.token_hex(16),
        "AMENDS_SMS__AUTH_TOKEN": secrets.token_hex(16),
        "AMENDS_SMS__FROM_NUMBER": "+12025550100",
        "AMENDS_SMS__BASE_URL": "http://localhost:1",
    }


def owner_of(database: Database) -> dict[str, str]:
    """The DSNs that `amends migrate` is told: the owner's, and each role's with a password of its own."""
    roles = {f"AMENDS_POSTGRES__{service.upper()}": database.dsn_of(f"amends_{service}", secrets.token_hex(16)) for service in ALL_SERVICES}
    return {"AMENDS_POSTGRES__DSN": database.dsn, **roles}


def words(*said: str) -> list[str]:
    """The command line of `amends`."""
    return [sys.executable, "-m", "services", *said]


def environment() -> dict[str, str]:
    """Nothing of whoever runs the tests reaches the settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AMENDS_")}


def _own(owner: Mapping[str, str], service: str) -> dict[str, str]:
    """A process knows the DSN of its own role alone."""
    name = f"AMENDS_POSTGRES__{service.upper()}"
    return {name: owner[name]}


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()
