"""Everything in one process under one data folder: the real PostgreSQL and Kafka, all services, pages, the phone and the clock.

Called by `amends up`, `amends demo` and the tests. Invariants: one folder has one stack at a time; a stop goes in order and is bounded; a
start after kill -9 stops what it finds and goes on with everything that was stored.
"""

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import SecretStr

from shared.db import Pool, open_pool, open_service_pool, password_of, role_of
from shared.embedded.devclock import DevClock, clock_routes
from shared.embedded.inbox import HOST as INBOX_HOST
from shared.embedded.inbox import Inbox
from shared.embedded.kafka import EmbeddedKafka
from shared.embedded.keys import Keys, keys_of
from shared.embedded.phone import Phone
from shared.embedded.postgres import EmbeddedPostgres
from shared.embedded.processes import Claim, EmbeddedError
from shared.kernel.clock import MovableClock
from shared.runtime import Host, Process, Service
from shared.runtime.host import migrate_service
from shared.runtime.refill import Refilled
from shared.runtime.serving import close
from shared.runtime.trouble import sentence_of
from shared.settings import Settings
from shared.telemetry import logs
from shared.vault import Vault
from shared.web.app import HttpServer, make_app

Build = Callable[[Host], Service]
T = TypeVar("T")
RUN_FILE: Final = "run.json"
PHONE_NUMBER: Final = "+12025550100"
INBOX_SENDER = "pages@amends.example"


class Stack:
    """`builders`: each service's `build` with its schema folder, by name; `routes`: further handlers of the application."""

    def __init__(
        self,
        settings: Settings,
        builders: Mapping[str, tuple[Build, Path]],
        data: Path,
        *,
        clock: MovableClock | None = None,
        say: Callable[[str], None] = lambda _: None,
        asyncapi: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        self.settings, self.data = settings, data.absolute()
        self._builders, self._say, self._asyncapi = builders, say, asyncapi
        self.clock = clock or MovableClock()
        self.postgres: EmbeddedPostgres | None = None
        self.kafka: EmbeddedKafka | None = None
        self.process: Process | None = None
        self.dev: DevClock | None = None
        self.phone: Phone | None = None
        self.inbox = Inbox(self.clock)
        self._claim = Claim(self.data, "everything")
        self._server: HttpServer | None = None
        self._pools: dict[str, Pool] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._log = logs.get("stack")

    @property
    def url(self) -> str:
        """Where the pages and the API are."""
        assert self._server is not None, "the address is known once started"
        return f"http://{_name(self.settings.http.host)}:{self._server.port}"

    async def start(self) -> None:
        """Everything up. Raises EmbeddedError with a sentence that names the way out; what was started by then is stopped again."""
        try:
            await self._start()
        except BaseException as error:
            await self.stop()
            raise _sentence(error, self.data) from error

    async def refill(self, since: datetime) -> dict[str, Refilled]:
        """Instead of `start`: a broker that lost its log is set to be filled again."""
        return await self.instead(lambda process, _, __: process.refill(since))

    async def instead(self, work: Callable[[Process, str, str], Awaitable[T]]) -> T:
        """Instead of `start`: the servers come up, the work is done on services that do not run, and the servers are stopped.

        The work gets the services, the owner's DSN (empty where every service brings its own) and Kafka's address. Raises EmbeddedError
        for a folder that no Amends has run in: it would be a new one, and the work done on nothing.
        """
        if self.settings.postgres.is_embedded and not (self.data / "postgres").is_dir():
            raise EmbeddedError(f"No Amends has run in {self.data} yet; name the folder of yours with --data DIR.")
        try:
            owner_dsn, servers = await self._prepare()
            assert self.process is not None, "a prepared stack has its services"
            return await work(self.process, owner_dsn, servers)
        except BaseException as error:
            raise _sentence(error, self.data) from error
        finally:
            await self.stop()

    async def _start(self) -> None:
        owner_dsn, servers = await self._prepare()
        assert self.process is not None and self.dev is not None and self._server is not None, "all three were prepared"
        await self.process.start()
        await self._server.start()
        self._tasks = [asyncio.create_task(self.dev.run(), name="devclock")]
        self._write_run_file(owner_dsn, servers)

    async def _prepare(self) -> tuple[str, str]:
        """Servers, schemas, services: everything that is needed to start them. The owner's DSN and Kafka's address."""
        self._claim.take()
        _writable(self.data)
        port = self.settings.http.port_of("console") or _free_port(self.settings.http.host)
        _check_port(self.settings.http.host, port)
        keys = keys_of(self.data)
        self._say("Starting …")
        owner_dsn, servers = await self._servers()
        for name, (_, schema) in self._builders.items():
            owner = owner_dsn or self._own_dsn(name)
            await migrate_service(owner, name, schema, password=None if self.postgres else self._role_password(name, keys))
            self._pools[name] = await self._pool(name, owner, keys)
        public_url = (self.settings.http.public_url or f"http://{_name(self.settings.http.host)}:{port}").rstrip("/")
        self.phone = phone = Phone(public_url, keys.sms_account, keys.sms_token, PHONE_NUMBER, self.clock, self.data)
        self.dev = DevClock(self.clock, self.data / "clock.json", extra_busy=lambda: phone.busy > 0)
        self.dev.load()
        await self.inbox.start()
        host = self._host(keys, public_url, port)
        builders = [build for build, _ in self._builders.values()]
        self.process = Process(host, builders, bootstrap_servers=servers, **self.settings.kafka.topics)
        self.dev.process = self.process
        app = make_app(
            [*self.process.routers(), self.phone.router(), self.inbox.router(), *clock_routes(self.dev)],
            title="Amends",
            health=self.process.health,
            asyncapi=self._asyncapi,
        )
        self._server = HttpServer(app, self.settings.http.host, port)
        return owner_dsn, servers

    async def _servers(self) -> tuple[str, str]:
        """The owner's DSN and Kafka's address: one's own where named, else the embedded ones, started side by side."""
        starting = []
        if self.settings.postgres.is_embedded:
            self.postgres = EmbeddedPostgres(self.data)
            starting.append(self.postgres.start())
        if self.settings.kafka.bootstrap_servers is None:
            self.kafka = EmbeddedKafka(self.data, port=self.settings.kafka.embedded_port)
            starting.append(self.kafka.start())
        for outcome in await asyncio.gather(*starting, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        own = self.settings.postgres.dsn
        owner_dsn = self.postgres.dsn() if self.postgres else own.get_secret_value() if own else ""
        servers = self.settings.kafka.bootstrap_servers or (self.kafka.bootstrap_servers if self.kafka else "")
        return owner_dsn, servers

    async def _pool(self, name: str, owner_dsn: str, keys: Keys) -> Pool:
        """A service's connections, as its own role wherever the server lets that role in, else as the owner."""
        size = self.settings.postgres.pool_size
        if self.postgres is not None:
            return await open_pool(self.postgres.dsn(user=role_of(name)), schema=name, size=size)
        if getattr(self.settings.postgres, name) is not None:
            return await open_pool(self._own_dsn(name), schema=name, size=size)
        return await open_service_pool(owner_dsn, name, password=self._role_password(name, keys), size=size)

    def _own_dsn(self, name: str) -> str:
        dsn = self.settings.postgres.dsn_of(name)
        if dsn is None:
            raise EmbeddedError(
                f"AMENDS_POSTGRES__{name.upper()} is missing; name every service's DSN, or one for all with AMENDS_POSTGRES__DSN."
            )
        return dsn

    def _role_password(self, name: str, keys: Keys) -> str | None:
        """What a service's role signs in with on a server of one's own: derived, not kept. None where the DSN brings its own."""
        if getattr(self.settings.postgres, name) is not None:
            return None
        return password_of(name, self.settings.vault.texts(keys.master_key, keys.index_key)[2])

    def _host(self, keys: Keys, public_url: str, port: int) -> Host:
        sms = self.settings.sms.model_copy(
            update={
                "account_sid": keys.sms_account,
                "auth_token": _secret(keys.sms_token),
                "from_number": PHONE_NUMBER,
                "base_url": f"http://{_name(self.settings.http.host)}:{port}",
            }
        )
        email = self.settings.email.model_copy(
            update={"host": INBOX_HOST, "port": self.inbox.port, "security": "none", "sender": INBOX_SENDER}
        )  # fmt: skip
        # With an account of one's own texts and e-mails leave for good; without one they go to the phone and the inbox on the page.
        update = ({} if self.settings.sms.account_sid else {"sms": sms}) | ({} if self.settings.email.host else {"email": email})
        settings = self.settings.model_copy(update=update)
        try:
            vault = Vault.from_text(*self.settings.vault.texts(keys.master_key, keys.index_key))
        except ValueError as fault:
            raise EmbeddedError(f"{str(fault)[:1].upper()}{str(fault)[1:]}.") from fault
        signing = keys.signing
        return Host(
            pools=self._pools,
            clock=self.clock,
            vault=vault,
            settings=settings,
            public_url=public_url,
            service_urls=dict.fromkeys(self._builders, f"http://{_name(self.settings.http.host)}:{port}"),
            signing_key=signing,
            verifying_key=signing.public_key(),
            has_demo_people=True,
            is_demo=True,
            member="embedded" if self.kafka else None,
        )

    def _write_run_file(self, owner_dsn: str, servers: str) -> None:
        """How a command beside this process finds it. Readable by its owner alone: a DSN of one's own may hold a password."""
        row = {"pid": os.getpid(), "url": self.url, "dsn": owner_dsn, "kafka": servers}
        fresh = self.data / (RUN_FILE + ".new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(row, out)
        fresh.replace(self.data / RUN_FILE)

    async def stop(self) -> None:
        """In order, within ten seconds: pages, services, then the servers."""
        if not self._claim.is_held:
            return
        with suppress(OSError):
            (self.data / RUN_FILE).unlink(missing_ok=True)
        if self._server is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._server.stop(), 3)
        if self.process is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.process.stop(), 5)
        if self.phone is not None:
            await self.phone.close()
        await self.inbox.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.dev is not None:
            with suppress(OSError):
                self.dev.keep()
        await asyncio.gather(*(close(pool) for pool in self._pools.values()))
        self._pools.clear()
        stopping = [server.stop() for server in (self.kafka, self.postgres) if server is not None]
        await asyncio.gather(*stopping, return_exceptions=True)
        self.process = self._server = self.kafka = self.postgres = None
        self._claim.give_back()


def _sentence(error: BaseException, data: Path) -> BaseException:
    """What people read where something is in the way; a bug of ours stays what it is."""
    if isinstance(error, OSError) and error.filename:
        return EmbeddedError(f"The folder {data} cannot be used ({error}); name another with --data DIR.")
    said = sentence_of(error)
    return error if said is None else EmbeddedError(said)


def _writable(data: Path) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True)
        probe = data / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as fault:
        raise EmbeddedError(f"The folder {data} cannot be written ({fault.strerror}); name another with --data DIR.") from fault


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _check_port(host: str, port: int) -> None:
    """Say so before anything is started, not after."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as fault:
            raise EmbeddedError(f"Port {port} cannot be used ({fault.strerror}); name another with --port (0 picks a free one).") from fault


def _name(host: str) -> str:
    return "localhost" if host in ("127.0.0.1", "0.0.0.0", "::", "::1") else host


def _secret(text: str) -> SecretStr:
    return SecretStr(text)
