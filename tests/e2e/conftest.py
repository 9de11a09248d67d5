"""One running Amends for all stories; each story has patients of its own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.servers import Servers, choice, forget_topics, fresh_database, throwaway_folder
from tests.support.stack import Amends, running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def amends(request: pytest.FixtureRequest) -> AsyncIterator[Amends]:
    """The stack of this run, with the small group of `tests.support.builders`, at ten on a Tuesday."""
    with throwaway_folder() as folder:
        if choice().kind == "embedded":
            async with running(folder) as found:
                yield found
            return
        servers: Servers = request.getfixturevalue("servers")
        await forget_topics(servers.bootstrap_servers)
        async with (
            fresh_database(servers.postgres_dsn, "e2e") as database,
            running(folder, Servers(servers.kind, database.dsn, servers.bootstrap_servers)) as found,
        ):
            yield found
