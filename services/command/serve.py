"""`amends serve`: one service as a process of its own, on a database and a broker of one's own.

What must stay true: the process works under its service's role; nothing here makes a key or a secret; a schema that is not the one this
Amends was written for is refused (`amends migrate` brings it up to date). Any number of processes of a service may run side by side.
"""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from services.command.door import Failed, Port, app, run, say, tell
from services.command.place import service_named
from services.command.up import builder, done_before, stop_signal
from shared.contracts.asyncapi import asyncapi
from shared.db import DATABASE_DOWN, Pool, check, open_pool, open_service_pool, password_of
from shared.embedded.processes import free_ports
from shared.kernel.clock import MachineClock
from shared.runtime import Host, Serving
from shared.runtime.host import all_migrations
from shared.runtime.memory import collect_rarely
from shared.runtime.trouble import sentence_of
from shared.settings import PREFIX, Settings, SignIn, read
from shared.telemetry import logs, traces
from shared.vault import Vault


@app.command
def serve(service: str, /, *, port: Port = None) -> None:
    """Run one service as a process of its own, on the database and the broker that the settings name. Ctrl-C or SIGTERM stops it in order.

    Parameters
    ----------
    service
        directory, intake, escalation, restitution, notification or console.
    port
        Where its API is; 0 picks a free one. Without it the service's own: console 8080, intake 8081 and so on.
    """
    run(lambda: _serve(read(), service_named(service), port))


async def _serve(settings: Settings, service: str, port: int | None) -> None:
    logs.configure(level="WARNING")
    traces.configure(f"amends-{service}", os.environ)
    stopping = stop_signal()
    async with said():
        serving = await prepared(settings, service, port)
        try:
            if await done_before(stopping, serving.start()):
                for note in serving.process.notes():
                    tell(note)
                say(f"{service} is up at http://{name_of(settings.http.host)}:{serving.server.port}")
                collect_rarely()
                await stopping.wait()
        finally:
            tell(f"{service} stops …")
            await serving.stop()


async def prepared(settings: Settings, service: str, port: int | None) -> Serving:
    """One service, not started yet. What is wrong with settings, database or schema is found here: raises Failed, or what `said` tells."""
    build, schema = builder(service)
    servers = servers_of(settings)
    wanted = settings.http.port_of(service) if port is None else port
    address = (settings.http.host, wanted or free_ports(1)[0])
    pools: dict[str, Pool] = {}
    try:
        host = _host(settings, service, pools, f"http://{name_of(address[0])}:{address[1]}")
        pools[service] = await _pool(settings, service)
        await check(pools[service], service, all_migrations(service, schema))
        title = f"Amends {service}"
        return Serving(
            host, [build], bootstrap_servers=servers, topics=settings.kafka.topics, address=address, title=title, asyncapi=asyncapi
        )
    except BaseException as fault:
        for pool in pools.values():
            pool.terminate()
        # A faulty DSN is one of both kinds; the database's own sentence says more.
        if isinstance(fault, ValueError) and not isinstance(fault, DATABASE_DOWN):
            raise Failed(f"{service} cannot start: {fault}.") from fault
        raise


async def _pool(settings: Settings, service: str) -> Pool:
    """Connections as the service's own role: by its own DSN, or by the common one with the password that `migrate` gave the role."""
    chosen, size = settings.postgres, settings.postgres.pool_size
    if (own := getattr(chosen, service)) is not None:
        return await open_pool(own.get_secret_value(), schema=service, size=size)
    if chosen.dsn is None:
        raise Failed(f"{PREFIX}POSTGRES__{service.upper()} is missing: name the database of {service}; `amends up` brings one along.")
    password = password_of(service, settings.vault.texts()[2])
    return await open_service_pool(chosen.dsn.get_secret_value(), service, password=password, size=size)


def servers_of(settings: Settings) -> str:
    """The brokers that the settings name."""
    if settings.kafka.bootstrap_servers is None:
        raise Failed(f"{PREFIX}KAFKA__BOOTSTRAP_SERVERS is missing: name your brokers; `amends up` brings one along.")
    return settings.kafka.bootstrap_servers


def _host(settings: Settings, service: str, pools: Mapping[str, Pool], url: str) -> Host:
    signing, verifying = _signing_keys(settings.sign_in, service)
    public_url = settings.http.public_url or url
    return Host(
        pools=pools,
        clock=MachineClock(),
        vault=Vault.from_text(*settings.vault.texts()),
        settings=settings,
        public_url=public_url,
        pages_url=settings.http.pages_url or settings.http.public_url or settings.urls.console,
        service_urls=settings.urls.by_service(),
        signing_key=signing,
        verifying_key=verifying,
        has_demo_people=settings.sign_in.demo_people,
        member=settings.kafka.member,
    )


def _signing_keys(chosen: SignIn, service: str) -> tuple[Ed25519PrivateKey | None, Ed25519PublicKey]:
    """The console signs, everybody checks; nobody but the console holds the private key."""
    if service == "console":
        private = chosen.assertion_private_key
        if private is None:
            raise Failed(f"{PREFIX}SIGN_IN__ASSERTION_PRIVATE_KEY (or …_FILE) is missing: the console signs for the people who use it.")
        signing = _pem(partial(load_pem_private_key, password=None), private.get_secret_value(), "ASSERTION_PRIVATE_KEY")
        if isinstance(signing, Ed25519PrivateKey):
            return signing, signing.public_key()
        raise _no_key("ASSERTION_PRIVATE_KEY")
    if chosen.assertion_public_key is None:
        raise Failed(f"{PREFIX}SIGN_IN__ASSERTION_PUBLIC_KEY (or …_FILE) is missing: by it {service} checks for whom the console asks.")
    verifying = _pem(load_pem_public_key, chosen.assertion_public_key, "ASSERTION_PUBLIC_KEY")
    if isinstance(verifying, Ed25519PublicKey):
        return None, verifying
    raise _no_key("ASSERTION_PUBLIC_KEY")


def _pem(load: Callable[[bytes], object], text: str, setting: str) -> object:
    try:
        return load(text.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as fault:
        raise _no_key(setting) from fault


def _no_key(setting: str) -> Failed:
    return Failed(f"{PREFIX}SIGN_IN__{setting} is no Ed25519 key in PEM; make one with `openssl genpkey -algorithm ed25519`.")


@asynccontextmanager
async def said() -> AsyncIterator[None]:
    """What stands in the way is told in one sentence."""
    try:
        yield
    except Exception as error:
        sentence = sentence_of(error)
        if sentence is None:
            raise
        raise Failed(sentence) from error


def name_of(host: str) -> str:
    """How people call an address that is listened on."""
    return "localhost" if host in ("127.0.0.1", "0.0.0.0", "::", "::1") else host
