"""One migrated schema per module, emptied before each test."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from shared.telemetry import logs
from tests.integration.engine.bed import Bed, bed_in, emptied
from tests.support.servers import Database


@pytest.fixture(scope="session", autouse=True)
def quiet_logs() -> None:
    """The trouble made here is meant; structlog's own pretty tracebacks cost a second each."""
    logs.configure(level="CRITICAL", json=True)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def made(database: Database) -> AsyncIterator[Bed]:
    async with bed_in(database) as bed:
        yield bed


@pytest_asyncio.fixture(loop_scope="session")
async def bed(made: Bed) -> Bed:
    return await emptied(made)
