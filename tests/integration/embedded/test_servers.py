"""The fixtures every other test stands on: one run's servers, a database per module, a Kafka without topics."""

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.support.eventually import eventually
from tests.support.servers import Database, Servers, fresh_database

pytestmark = pytest.mark.integration


async def topics(bootstrap_servers: str, create: str | None = None) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:

        async def listed() -> list[str]:
            return [topic for topic in await admin.list_topics() if not topic.startswith("__")]

        if create:
            await admin.create_topics([NewTopic(create, 2, 1)])

            # The controller knows a topic a moment before the broker lists it.
            async def is_listed() -> bool:
                return create in await listed()

            await eventually(is_listed)
        return await listed()
    finally:
        await admin.close()


async def test_a_module_has_a_database_of_its_own(servers: Servers, database: Database) -> None:
    connection = await asyncpg.connect(database.dsn)
    try:
        assert await connection.fetchval("select current_database()") == database.name
        assert int(await connection.fetchval("show server_version_num")) >= 150000
        async with fresh_database(servers.postgres_dsn) as other:
            assert other.name != database.name
            there = await asyncpg.connect(other.dsn)
            await there.execute("create table mine (id int)")
            await there.close()
            assert await connection.fetchval("select to_regclass('mine')") is None
        assert not await connection.fetchval("select exists (select from pg_database where datname = $1)", other.name)
    finally:
        await connection.close()


async def test_another_role_reaches_the_database(database: Database) -> None:
    admin = await asyncpg.connect(database.dsn)
    try:
        await admin.execute("create role probe login password 'probe'")
        own = await asyncpg.connect(database.dsn_of("probe", "probe"))
        assert await own.fetchval("select current_user") == "probe"
        await own.close()
    finally:
        await admin.execute("drop role probe")
        await admin.close()


async def test_first_a_topic_is_made(servers: Servers) -> None:
    assert "left-over" in await topics(servers.bootstrap_servers, create="left-over")


async def test_then_an_empty_kafka_has_none(empty_kafka: str) -> None:
    assert await topics(empty_kafka) == []
    assert await topics(empty_kafka, create="left-over") == ["left-over"]
