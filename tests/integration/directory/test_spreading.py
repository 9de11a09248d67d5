"""The directory over a real Kafka: load, say, hear, and the wait that ends when everybody knows."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any, cast

import httpx
import pytest
import pytest_asyncio

from services.directory import usecases
from services.directory.__main__ import SCHEMA, build
from services.directory.gateway import NotHeard, wait_until_heard
from shared import reference
from shared.db import open_pool
from shared.kernel.clock import MachineClock
from shared.runtime import Host, Process
from shared.runtime.host import migrate_service
from shared.vault import Vault, fresh_key
from shared.web.app import make_app
from tests.support.servers import Database

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def process(database: Database, kafka_bootstrap: str) -> AsyncIterator[Process]:
    await migrate_service(database.dsn, "directory", SCHEMA)
    pool = await open_pool(database.dsn_of("amends_directory"), schema="directory", size=8)
    vault = Vault.from_keys("k1", {"k1": fresh_key()}, fresh_key())
    host = Host({"directory": pool}, MachineClock(), vault, settings=None, public_url="http://directory")
    process = Process(host, [build], bootstrap_servers=kafka_bootstrap)
    await process.start()
    yield process
    await process.stop()
    await pool.close()


async def test_the_wait_ends_when_the_local_copy_has_what_was_loaded(process: Process) -> None:
    service = process.running["directory"].service
    app = make_app(process.routers(), title="Directory", health=process.health)
    transport = httpx.ASGITransport(cast("Any", app))
    async with httpx.AsyncClient(transport=transport) as asking:
        async with service.engine.transaction() as tx:
            loaded = await usecases.load(service.desk, tx, usecases.demo_group(date(2026, 11, 23)), actor="test")
            _, shown = await usecases.create_key(service.desk, tx, "First", ["directory:write"], actor="test")
        reached = {**loaded.reached, "amends.access.v1": loaded.version + 1}
        await wait_until_heard({"directory": "http://directory"}, reached, client=asking)
        assert await reference.heard(service.engine.pool) == reached
        answer = await asking.get("http://directory/v1/locations", headers={"authorization": f"Bearer {shown}"})
        assert len(answer.json()["items"]) == 12
        with pytest.raises(NotHeard, match="intake"):
            await wait_until_heard(
                {"directory": "http://directory", "intake": "http://directory"}, reached, within_seconds=0.3, client=asking
            )
