"""One running Amends for all stories; each story has patients of its own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.servers import Servers, choice, forget_topics, fresh_database, throwaway_folder
from tests.support.stack import Amends, running


@pytest.fixture(scope="session")
def given(request: pytest.FixtureRequest) -> Servers | None:
    """Servers for the stack where containers were chosen; embedded ones it starts by itself.

    Not an async fixture: only from outside the loop may one ask for another by name.
    """
    servers: Servers | None = request.getfixturevalue("servers") if choice().kind == "containers" else None
    return servers


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def amends(given: Servers | None) -> AsyncIterator[Amends]:
    """The stack of this run, with the small group of `tests.support.builders`, at ten on a Tuesday."""
    with throwaway_folder() as folder:
        if given is None:
            async with running(folder) as found:
                yield found
            return
        await forget_topics(given.bootstrap_servers)
        async with (
            fresh_database(given.postgres_dsn, "e2e") as database,
            running(folder, Servers(given.kind, database.dsn, given.bootstrap_servers)) as found,
        ):
            yield found
