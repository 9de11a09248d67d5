"""One running Amends for all stories; each story has patients of its own."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.servers import Servers, choice, kafka_server, postgres_server, throwaway_folder
from tests.support.stack import Amends, running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def amends() -> AsyncIterator[Amends]:
    """The stack of this run, with the small group of `tests.support.builders`, at ten on a Tuesday.

    On servers of its own, since it runs until the end: tests on the run's servers delete topics and join groups of the same names.
    """
    with throwaway_folder() as folder:
        if choice().kind == "embedded":
            async with running(folder) as found:
                yield found
            return
        async with (
            postgres_server() as dsn,
            kafka_server() as bootstrap,
            running(folder, Servers(choice().kind, dsn, bootstrap)) as found,
        ):
            yield found
