"""PostgreSQL and Kafka in containers, by testcontainers, where a Docker engine answers and has the images."""

import contextlib
import gc
import os
import warnings
from collections.abc import AsyncIterator

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from shared.embedded.processes import free_ports
from tests.support.eventually import eventually

POSTGRES_IMAGE = "postgres:17-alpine"
KAFKA_IMAGE = "apache/kafka:4.3.1"
ANSWER_SECONDS = 3
START_SECONDS = 90.0

# Its own reaper container is one more image that may be missing; the fixtures stop what they start.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
os.environ.setdefault("TESTCONTAINERS_CONNECTION_MODE", "docker_host")


def lacks() -> str | None:
    """Why containers cannot be used, or None when they can: no image is ever pulled for a test run."""
    with warnings.catch_warnings():
        # Docker's client forgets to close the socket of an engine that does not answer; collected here, it disturbs no test.
        warnings.simplefilter("ignore", ResourceWarning)
        tags = _images()
        gc.collect()
    if tags is None:
        return "no Docker engine answers"
    missing = [image for image in (POSTGRES_IMAGE, KAFKA_IMAGE) if image not in tags]
    return f"the Docker engine lacks {' and '.join(missing)}" if missing else None


def _images() -> set[str] | None:
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=ANSWER_SECONDS)
        try:
            return {tag for image in client.images.list() for tag in image.tags}
        finally:
            client.close()
    except (DockerException, OSError):
        return None


@contextlib.asynccontextmanager
async def postgres() -> AsyncIterator[str]:
    """A PostgreSQL container; gives the superuser's DSN of the database postgres."""
    from testcontainers.core.container import DockerContainer

    (port,) = free_ports(1)
    container = DockerContainer(POSTGRES_IMAGE).with_bind_ports(5432, port).with_env("POSTGRES_PASSWORD", "postgres")
    container.with_env("POSTGRES_INITDB_ARGS", "--data-checksums --encoding=UTF8")
    container.with_command("postgres -c max_connections=200 -c jit=off")
    dsn = f"postgresql://postgres:postgres@{container.get_docker_client().host()}:{port}/postgres"

    async def answers() -> bool:
        try:
            connection = await asyncpg.connect(dsn, timeout=ANSWER_SECONDS)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False
        await connection.close()
        return True

    try:
        container.start()
        await eventually(answers, within_seconds=START_SECONDS)
        yield dsn
    finally:
        container.stop()


@contextlib.asynccontextmanager
async def kafka() -> AsyncIterator[str]:
    """A Kafka container; gives its bootstrap servers. testcontainers' own class refuses Apache's images, hence a plain container."""
    from testcontainers.core.container import DockerContainer

    (port,) = free_ports(1)
    container = DockerContainer(KAFKA_IMAGE).with_bind_ports(9092, port)
    bootstrap = f"{container.get_docker_client().host()}:{port}"
    for name, value in _broker_settings(bootstrap).items():
        container.with_env(f"KAFKA_{name.upper().replace('.', '_')}", value)

    async def answers() -> bool:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=ANSWER_SECONDS * 1000)
        try:
            await admin.start()
            await admin.list_topics()
        except (KafkaError, OSError):
            return False
        finally:
            await admin.close()
        return True

    try:
        container.start()
        await eventually(answers, within_seconds=START_SECONDS, every_seconds=0.25)
        yield bootstrap
    finally:
        container.stop()


def _broker_settings(bootstrap: str) -> dict[str, str]:
    """The embedded broker's settings where they decide behaviour, so that both kinds of server are one to the tests."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": "1@localhost:9093",
        "listeners": "PLAINTEXT://0.0.0.0:9092,CONTROLLER://localhost:9093",
        "advertised.listeners": f"PLAINTEXT://{bootstrap}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
    }
