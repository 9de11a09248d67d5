"""Fixtures that every test may ask for, and the rule that a test's marker is its folder's name."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.servers import Database, Servers, choice, forget_topics, fresh_database, kafka_server, postgres_server

KINDS = ("unit", "contract", "integration", "e2e", "simulation", "chaos", "bench")
# Left out unless a path or a marker asks for them.
ON_DEMAND = ("bench", "chaos")
SERVER_FIXTURES = {"postgres_dsn", "kafka_bootstrap"}
ROOT = Path(__file__).parent


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_dsn() -> AsyncIterator[str]:
    """The superuser's DSN of this run's PostgreSQL (database postgres); started when first asked for."""
    async with postgres_server() as dsn:
        yield dsn


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kafka_bootstrap() -> AsyncIterator[str]:
    """The bootstrap servers of this run's Kafka; started when first asked for."""
    async with kafka_server() as bootstrap:
        yield bootstrap


@pytest.fixture(scope="session")
def servers(postgres_dsn: str, kafka_bootstrap: str) -> Servers:
    """Both servers of this run."""
    return Servers(choice().kind, postgres_dsn, kafka_bootstrap)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def database(request: pytest.FixtureRequest, postgres_dsn: str) -> AsyncIterator[Database]:
    """A database of this test module's own, empty at first."""
    async with fresh_database(postgres_dsn, request.module.__name__.rpartition(".")[2]) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def empty_kafka(kafka_bootstrap: str) -> str:
    """This run's Kafka, emptied of all topics before the test; gives its bootstrap servers."""
    await forget_topics(kafka_bootstrap)
    return kafka_bootstrap


def pytest_addoption(parser: pytest.Parser) -> None:
    """What a storm is given (`tests/chaos`)."""
    storms = parser.getgroup("storms")
    storms.addoption("--seed", type=int, default=7, help="the storm to be had: one seed, one plan")
    storms.addoption("--slack", type=float, default=2.0, help="seconds a timer may be late beyond its service's outage; more beside others")
    storms.addoption("--report", type=Path, default=None, help="a file for the storm's report, which is printed as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks each test with its folder's name, refuses another kind's marker, and leaves out what is not asked for: benchmarks, storms."""
    for item in items:
        folder = item.path.relative_to(ROOT).parts[0]
        if folder not in KINDS:
            raise pytest.UsageError(f"{item.path} lies in no folder of a kind of test: {', '.join(KINDS)}")
        wrong = {mark.name for mark in item.iter_markers() if mark.name in KINDS} - {folder}
        if wrong:
            raise pytest.UsageError(f"{item.nodeid} is marked {', '.join(sorted(wrong))} but lies in tests/{folder}")
        item.add_marker(folder)
    if config.option.markexpr:
        return
    unasked = [kind for kind in ON_DEMAND if not any(kind in argument for argument in config.args)]
    left_out = [item for item in items if any(item.get_closest_marker(kind) for kind in unasked)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Says once where the servers come from, when any test of this run will ask for them."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and any(SERVER_FIXTURES & set(getattr(item, "fixturenames", ())) for item in session.items):
        reporter.write_line(str(choice()))
