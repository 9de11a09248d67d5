"""PostgreSQL and Kafka in containers, by testcontainers, where a Docker engine on this machine's network can run them.

Called by `servers`. What must stay true: nothing is ever pulled for a test run; whatever is started is removed at the end of
the run, or by the next run when this one was killed; both servers behave as the embedded ones where the tests can tell.
`POSTGRES_IMAGE` and `KAFKA_IMAGE` in the environment name other images, so that every supported version can be tried.
"""

import contextlib
import gc
import os
import secrets
import socket
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import psutil
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from shared.embedded.jars import DEPLOY
from shared.embedded.kafka import STARTED
from shared.embedded.postgres import SETTINGS
from shared.embedded.processes import free_ports
from tests.support.eventually import eventually

POSTGRES_IMAGE = os.environ.get("POSTGRES_IMAGE", "postgres:17-alpine")
KAFKA_IMAGE = os.environ.get("KAFKA_IMAGE", "apache/kafka:4.3.1")
ANSWER_SECONDS = 3
TRIAL_SECONDS = 20
START_SECONDS = 90.0
LOOPBACK = "127.0.0.1"
OWNER_LABEL = "amends.tests.owner"

# Its own reaper container is one more image that may be missing; the fixtures remove what they start, `_sweep` what was left.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
os.environ.setdefault("TESTCONTAINERS_CONNECTION_MODE", "docker_host")
os.environ.setdefault("TC_POOLING_INTERVAL", "0.1")

# The services' roles have no password, as in the embedded server; the superuser has one, since a port is open to more than us.
HBA_FILE = "/etc/amends_pg_hba.conf"
HBA = b"local all all trust\nhost all postgres all scram-sha-256\nhost all all all trust\n"


def lacks() -> str | None:
    """Why containers cannot be used, or None when they can. An engine that answers must also run a container to the end."""
    from docker.errors import DockerException
    from testcontainers.core.docker_client import DockerClient
    from testcontainers.core.utils import inside_container

    with _sockets_closed_late():
        try:
            wrapped = DockerClient(timeout=ANSWER_SECONDS)
        except (DockerException, OSError):
            return "no Docker engine answers"
        engine = wrapped.client
        try:
            missing = [image for image in (POSTGRES_IMAGE, KAFKA_IMAGE) if not _has(engine, image)]
            if missing:
                return f"the Docker engine lacks {' and '.join(missing)}"
            if wrapped.host() == "localhost" and inside_container() and engine.info()["Name"] != socket.gethostname():
                return "the Docker engine runs outside the container that the tests run in"
            _sweep(engine)
            return _fails_to_run(engine)
        except (DockerException, OSError) as fault:
            return f"the Docker engine answers but does not work: {_brief(fault)}"
        finally:
            engine.close()


@contextlib.asynccontextmanager
async def postgres() -> AsyncIterator[str]:
    """A PostgreSQL container; gives the superuser's DSN of the database postgres."""
    settings = {name: value for name, value in SETTINGS.items() if name != "listen_addresses"} | {"hba_file": HBA_FILE}
    password = secrets.token_hex(16)
    with _container(POSTGRES_IMAGE) as container:
        host, port = _publish(container, 5432)
        container.with_env("POSTGRES_PASSWORD", password)
        # Text sorts by code point, as in the embedded server.
        container.with_env("POSTGRES_INITDB_ARGS", "--data-checksums --encoding=UTF8 --locale=C.UTF-8")
        container.with_copy_into_container(HBA, HBA_FILE)
        container.with_command(["postgres", *(f"--{name}={value}" for name, value in settings.items())])
        dsn = f"postgresql://postgres:{password}@{host}:{port}/postgres"

        async def answers() -> bool:
            try:
                connection = await asyncpg.connect(dsn, timeout=ANSWER_SECONDS)
            except (OSError, asyncpg.PostgresError, TimeoutError):
                return False
            await connection.close()
            return True

        await _start(container, answers)
        yield dsn


@contextlib.asynccontextmanager
async def kafka() -> AsyncIterator[str]:
    """A Kafka container; gives its bootstrap servers. testcontainers' own class refuses Apache's images, hence a plain container."""
    with _container(KAFKA_IMAGE) as container:
        host, port = _publish(container, 9092)
        bootstrap = f"{host}:{port}"
        container.with_env("KAFKA_HEAP_OPTS", "-Xms256m -Xmx256m")
        for name, value in broker_settings(bootstrap).items():
            container.with_env(f"KAFKA_{name.upper().replace('.', '_')}", value)

        async def answers() -> bool:
            # Asked earlier, each of Kafka's clients fills the log with its complaint.
            if STARTED.encode() not in container.get_wrapped_container().logs():
                return False
            admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=ANSWER_SECONDS * 1000)
            try:
                await admin.start()
                await admin.list_topics()
            except (KafkaError, OSError):
                return False
            finally:
                await admin.close()
            return True

        await _start(container, answers)
        yield bootstrap


def broker_settings(bootstrap: str) -> dict[str, str]:
    """The embedded broker's settings by name, listening where a container must and known to its clients as `bootstrap`."""
    lines = (DEPLOY / "server.properties").read_text(encoding="utf-8").splitlines()
    settings = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    del settings["log.dirs"]  # the image's own
    return settings | {
        "controller.quorum.voters": "1@localhost:9093",
        "listeners": "PLAINTEXT://0.0.0.0:9092,CONTROLLER://localhost:9093",
        "advertised.listeners": f"PLAINTEXT://{bootstrap}",
    }


@contextlib.contextmanager
def _container(image: str) -> Iterator[Any]:
    """A container that is removed with its volumes whatever happens, also half started."""
    from docker.errors import NotFound
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(image, labels={OWNER_LABEL: _owner()})
    try:
        yield container
    finally:
        try:
            with contextlib.suppress(NotFound):
                container.stop()
        finally:
            container.get_docker_client().client.close()


def _publish(container: Any, inside: int) -> tuple[str, int]:
    """Publishes a port of the container; gives where it is reached: on the loopback address alone when the engine is on this machine."""
    host = str(container.get_docker_client().host())
    if host == "localhost":
        host = LOOPBACK
    (port,) = free_ports(1)
    container.ports[str(inside)] = (LOOPBACK, port) if host == LOOPBACK else port
    return host, port


async def _start(container: Any, answers: Callable[[], Awaitable[bool]]) -> None:
    """Starts the container and waits for its server; RuntimeError with its last words when it ends, or does not answer in time."""
    container.start()
    wrapped = container.get_wrapped_container()

    async def look() -> bool:
        if await answers():
            return True
        wrapped.reload()
        if wrapped.status in ("exited", "dead"):
            raise RuntimeError(_last_words(container, "ended"))
        return False

    try:
        await eventually(look, within_seconds=START_SECONDS, every_seconds=0.1)
    except AssertionError as late:
        raise RuntimeError(_last_words(container, f"did not answer within {START_SECONDS:.0f} s")) from late


def _last_words(container: Any, what: str) -> str:
    said = container.get_wrapped_container().logs(tail=10).decode(errors="replace").strip()
    return f"The container of {container.image} {what}; SERVERS_FROM=embedded does without containers. It said:\n{said}"


def _has(engine: Any, image: str) -> bool:
    from docker.errors import NotFound

    try:
        engine.images.get(image)
    except NotFound:
        return False
    return True


def _fails_to_run(engine: Any) -> str | None:
    """Runs a container with a published port to its end: an engine may answer and have the images, and yet lack what a container needs."""
    engine.api.timeout = TRIAL_SECONDS
    trial = engine.containers.create(POSTGRES_IMAGE, ["postgres", "--version"], ports={"5432": (LOOPBACK,)}, labels={OWNER_LABEL: _owner()})
    try:
        trial.start()
        code = trial.wait(timeout=TRIAL_SECONDS)["StatusCode"]
        return f"the Docker engine answers but its container ends with {code}" if code else None
    finally:
        trial.remove(force=True, v=True)


def _sweep(engine: Any) -> None:
    """Removes the containers of runs on this machine that were killed before they could."""
    from docker.errors import APIError

    for container in engine.containers.list(all=True, filters={"label": OWNER_LABEL}, ignore_removed=True):
        if is_left_over(container.labels[OWNER_LABEL]):
            with contextlib.suppress(APIError):  # another run sweeps it at this moment
                container.remove(force=True, v=True)


def _owner() -> str:
    me = psutil.Process()
    return f"{socket.gethostname()} {me.pid} {me.create_time()}"


def is_left_over(owner: str) -> bool:
    """Whether the run that `owner` names, of this machine, is over. Of other machines' runs nothing is known: they stay."""
    host, pid, started = owner.split(" ")
    if host != socket.gethostname():
        return False
    try:
        return abs(psutil.Process(int(pid)).create_time() - float(started)) > 1
    except psutil.NoSuchProcess:
        return True


def _brief(fault: Exception) -> str:
    said = getattr(fault, "explanation", None) or fault
    return str(said).strip().splitlines()[0][:200]


@contextlib.contextmanager
def _sockets_closed_late() -> Iterator[None]:
    """Docker's client forgets to close the socket of an engine that does not answer; collected here, it disturbs no test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()
