"""The one place that decides where a test run takes PostgreSQL and Kafka from.

Containers where a Docker engine answers, has the images and runs them, else the embedded servers in a throw-away folder: the same
real software either way. `SERVERS_FROM=embedded` (or `containers`) in the environment decides by hand.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from shared.embedded import EmbeddedKafka, EmbeddedPostgres
from tests.support import docker
from tests.support.eventually import eventually

Kind = Literal["containers", "embedded"]


@dataclass(frozen=True)
class Choice:
    kind: Kind
    reason: str

    def __str__(self) -> str:
        return f"PostgreSQL and Kafka: {self.kind} ({self.reason})"


@dataclass(frozen=True)
class Servers:
    """Both servers of this run: the superuser's DSN (database postgres) and Kafka's bootstrap servers."""

    kind: Kind
    postgres_dsn: str
    bootstrap_servers: str


@dataclass(frozen=True)
class Database:
    """A database of its own; `dsn` is the superuser's."""

    name: str
    dsn: str

    def dsn_of(self, user: str, password: str | None = None) -> str:
        """How another role reaches this database."""
        return with_user(self.dsn, user, password)


@cache
def choice() -> Choice:
    """Where this run's servers come from; pytest.UsageError when SERVERS_FROM asks for what cannot be."""
    asked = os.environ.get("SERVERS_FROM") or None
    if asked not in (None, *get_args(Kind)):
        raise pytest.UsageError(f"SERVERS_FROM={asked} is neither {' nor '.join(get_args(Kind))}")
    if asked == "embedded":
        return Choice("embedded", "asked for by SERVERS_FROM")
    reason = docker.lacks()
    if asked == "containers" and reason:
        raise pytest.UsageError(f"SERVERS_FROM=containers, but {reason}")
    return Choice("embedded", reason) if reason else Choice("containers", f"{docker.POSTGRES_IMAGE}, {docker.KAFKA_IMAGE}")


@contextlib.asynccontextmanager
async def postgres_server() -> AsyncIterator[str]:
    """A PostgreSQL for this run; gives the superuser's DSN."""
    if choice().kind == "containers":
        async with docker.postgres() as dsn:
            yield dsn
        return
    with throwaway_folder() as folder:
        async with EmbeddedPostgres(folder) as server:
            yield server.dsn()


@contextlib.asynccontextmanager
async def kafka_server() -> AsyncIterator[str]:
    """A Kafka for this run; gives its bootstrap servers."""
    if choice().kind == "containers":
        async with docker.kafka() as bootstrap:
            yield bootstrap
        return
    with throwaway_folder() as folder:
        async with EmbeddedKafka(folder) as server:
            yield server.bootstrap_servers


@contextlib.contextmanager
def throwaway_folder() -> Iterator[Path]:
    """A short path in the system's temporary folder, since a socket's path has an upper length; removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="amends-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_numbers = count(1)


@contextlib.asynccontextmanager
async def fresh_database(server_dsn: str, hint: str = "test") -> AsyncIterator[Database]:
    """An empty database on the server, dropped at the end together with whoever is still connected."""
    name = f"{hint[:40].lower()}_{os.getpid()}_{next(_numbers)}"
    admin = await asyncpg.connect(server_dsn)
    try:
        await admin.execute(f'create database "{name}" template template0')
        try:
            yield Database(name, with_database(server_dsn, name))
        finally:
            await admin.execute(f'drop database "{name}" with (force)')
    finally:
        await admin.close()


async def forget_topics(bootstrap_servers: str) -> None:
    """Deletes every topic and every idle consumer group's positions with it, and waits until the broker has forgotten them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:

        async def kept() -> list[str]:
            return [topic for topic in await admin.list_topics() if not topic.startswith("__")]

        topics = await kept()
        if topics:
            await admin.delete_topics(topics)

            async def gone() -> bool:
                return not await kept()

            await eventually(gone, within_seconds=15)
    finally:
        await admin.close()


def with_database(dsn: str, name: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


def with_user(dsn: str, user: str, password: str | None = None) -> str:
    parts = urlsplit(dsn)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}{f':{password}' if password else ''}@{address}"))
