"""The rules the tests live by: markers equal folders, waiting ends, a database's name is put into any DSN."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import conftest
from tests.support import docker, servers
from tests.support.eventually import eventually, never
from tests.support.servers import with_database, with_user

pytestmark = pytest.mark.unit


class Item:
    """As much of a collected test as the rule looks at."""

    def __init__(self, folder: str, *marks: str) -> None:
        self.path = Path(conftest.__file__).parent / folder / "test_it.py"
        self.nodeid = str(self.path)
        self.marks = [SimpleNamespace(name=name) for name in marks]

    def iter_markers(self) -> list[SimpleNamespace]:
        return self.marks

    def add_marker(self, name: str) -> None:
        self.marks.append(SimpleNamespace(name=name))

    def get_closest_marker(self, name: str) -> SimpleNamespace | None:
        return next((mark for mark in self.marks if mark.name == name), None)


def collect(*items: Item, asked: str = "", paths: tuple[str, ...] = ("tests",)) -> list[Item]:
    kept: list[Any] = list(items)
    hook = SimpleNamespace(pytest_deselected=lambda items: None)
    config: Any = SimpleNamespace(option=SimpleNamespace(markexpr=asked), args=list(paths), hook=hook)
    conftest.pytest_collection_modifyitems(config, kept)
    return kept


def test_a_test_is_marked_by_its_folder() -> None:
    item = Item("unit")
    collect(item)
    assert [mark.name for mark in item.marks] == ["unit"]


def test_another_kinds_marker_is_refused() -> None:
    with pytest.raises(pytest.UsageError, match="marked e2e but lies in tests/unit"):
        collect(Item("unit", "e2e"))


def test_a_folder_of_no_kind_is_refused() -> None:
    with pytest.raises(pytest.UsageError, match="no folder of a kind"):
        collect(Item("misc"))


def test_benchmarks_run_only_when_asked_for() -> None:
    assert len(collect(Item("unit"), Item("bench"))) == 1
    assert len(collect(Item("bench"), asked="bench")) == 1
    assert len(collect(Item("bench"), paths=("tests/bench",))) == 1


async def test_eventually_gives_what_came_true_and_ends() -> None:
    seen = iter([0, 0, 3])
    assert await eventually(lambda: next(seen), every_seconds=0) == 3

    async def refused() -> bool:
        raise AssertionError("two cases, not one")

    with pytest.raises(AssertionError, match="two cases, not one"):
        await eventually(refused, within_seconds=0.01, every_seconds=0)
    with pytest.raises(AssertionError, match="last seen: 0"):
        await eventually(lambda: 0, within_seconds=0.01, every_seconds=0)


async def test_never_fails_as_soon_as_it_happens() -> None:
    await never(lambda: False, for_seconds=0.01, every_seconds=0)
    with pytest.raises(AssertionError, match="'late'"):
        await never(lambda: "late", for_seconds=0.01, every_seconds=0)


@pytest.mark.parametrize(
    "dsn", ["postgresql://postgres@/postgres?host=%2Ftmp%2Frun&port=5432", "postgresql://postgres:p@localhost:5/postgres"]
)
def test_a_dsn_keeps_its_server(dsn: str) -> None:
    other = with_user(with_database(dsn, "mine"), "intake", "word")
    assert other == dsn.replace("postgres@", "intake:word@").replace("postgres:p@", "intake:word@").replace("/postgres", "/mine")


def test_the_choice_can_be_made_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    choose = servers.choice.__wrapped__
    monkeypatch.setattr(docker, "lacks", lambda: "the Docker engine lacks postgres")
    monkeypatch.delenv("SERVERS_FROM", raising=False)
    assert str(choose()) == "PostgreSQL and Kafka: embedded (the Docker engine lacks postgres)"
    monkeypatch.setenv("SERVERS_FROM", "embedded")
    assert str(choose()) == "PostgreSQL and Kafka: embedded (asked for by SERVERS_FROM)"
    monkeypatch.setenv("SERVERS_FROM", "containers")
    with pytest.raises(pytest.UsageError, match="SERVERS_FROM=containers, but the Docker engine lacks postgres"):
        choose()
    monkeypatch.setenv("SERVERS_FROM", "elsewhere")
    with pytest.raises(pytest.UsageError, match="neither containers nor embedded"):
        choose()
    monkeypatch.setattr(docker, "lacks", lambda: None)
    monkeypatch.delenv("SERVERS_FROM")
    assert str(choose()) == f"PostgreSQL and Kafka: containers ({docker.POSTGRES_IMAGE}, {docker.KAFKA_IMAGE})"


def test_the_broker_in_a_container_has_the_embedded_ones_settings() -> None:
    settings = docker.broker_settings("127.0.0.1:5000")
    assert settings["auto.create.topics.enable"] == "false"
    assert settings["advertised.listeners"] == "PLAINTEXT://127.0.0.1:5000"
    assert not any("$" in value for value in settings.values())
