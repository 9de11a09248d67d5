"""Which engine is good enough, said in words, on an engine that is played; and on a real one, that a container is gone whatever happens."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from testcontainers.core.docker_client import DockerClient

from shared.embedded.postgres import SETTINGS
from tests.support import docker
from tests.support.docker import OWNER_LABEL

pytestmark = pytest.mark.integration


class Engine(BaseHTTPRequestHandler):
    """As much of an engine's API as the choice asks: `images` it has, `broken` what it answers to a new container, None for all well."""

    images: ClassVar[set[str]] = set()
    broken: ClassVar[str | None] = None
    left_over: ClassVar[dict[str, str]] = {}
    removed: ClassVar[list[str]] = []
    exit_code: ClassVar[int] = 0

    def do_GET(self) -> None:
        path = re.sub(r"^/(v[\d.]+/)?", "", self.path.partition("?")[0])
        if path.startswith("images/"):
            name = path.removeprefix("images/").removesuffix("/json")
            return self.says(200, {"Id": "sha256:1", "RepoTags": [name]}) if name in self.images else self.says(404, {"message": "none"})
        if path.startswith("containers/json"):
            return self.says(200, [{"Id": one} for one in self.left_over])
        if path.startswith("containers/"):
            one = path.split("/")[1]
            return self.says(200, {"Id": one, "Config": {"Labels": {OWNER_LABEL: self.left_over.get(one, "")}}})
        return self.says(200, {"ApiVersion": "1.41", "Name": socket.gethostname()})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        if "/containers/create" in self.path:
            return self.says(500, {"message": self.broken}) if self.broken else self.says(201, {"Id": "trial"})
        if self.path.partition("?")[0].endswith("/wait"):
            return self.says(200, {"StatusCode": self.exit_code})
        return self.says(204, None)

    def do_DELETE(self) -> None:
        self.removed.append(self.path.partition("?")[0].rpartition("/")[2])
        self.says(204, None)

    def says(self, status: int, body: Any) -> None:
        raw = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Engine]]:
    """An engine that is well and has both images, until a test says otherwise."""
    played = type("Played", (Engine,), {"images": {docker.POSTGRES_IMAGE, docker.KAFKA_IMAGE}, "removed": [], "left_over": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), played)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
    yield played
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_engine_that_runs_a_container_is_used(engine: type[Engine]) -> None:
    assert docker.lacks() is None
    assert engine.removed == ["trial"]


def test_nobody_at_the_address_is_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    assert docker.lacks() == "no Docker engine answers"


def test_an_engine_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{silent.getsockname()[1]}")
        assert docker.lacks() == "no Docker engine answers"


def test_a_missing_image_is_named_and_never_fetched(engine: type[Engine]) -> None:
    engine.images = {docker.POSTGRES_IMAGE}
    assert docker.lacks() == f"the Docker engine lacks {docker.KAFKA_IMAGE}"
    engine.images = set()
    assert docker.lacks() == f"the Docker engine lacks {docker.POSTGRES_IMAGE} and {docker.KAFKA_IMAGE}"


def test_an_engine_that_cannot_make_a_container_says_why(engine: type[Engine]) -> None:
    engine.broken = "no bridge network\nand more"
    assert docker.lacks() == "the Docker engine answers but does not work: no bridge network"
    assert engine.removed == []


def test_a_container_that_fails_is_removed_and_not_trusted(engine: type[Engine]) -> None:
    engine.exit_code = 126
    assert docker.lacks() == "the Docker engine answers but its container ends with 126"
    assert engine.removed == ["trial"]


def test_only_what_dead_runs_of_this_machine_left_is_swept(engine: type[Engine]) -> None:
    mine = docker._owner()
    host, pid, started = mine.split(" ")
    engine.left_over = {
        "running": mine,
        "reused": f"{host} {pid} {float(started) - 100}",
        "gone": f"{host} {2**22 + 1} {started}",
        "elsewhere": f"another-{host} {2**22 + 1} {started}",
    }
    assert docker.lacks() is None
    assert sorted(engine.removed) == ["gone", "reused", "trial"]


@pytest.fixture
def real_engine() -> Iterator[Any]:
    if reason := docker.lacks():
        pytest.skip(reason)
    client = DockerClient().client
    yield client
    client.close()


def own(engine: Any) -> list[str]:
    """The ids of this run's containers, whatever their state."""
    found = engine.containers.list(all=True, filters={"label": f"{OWNER_LABEL}={docker._owner()}"})
    return sorted(one.id for one in found)


async def test_a_server_that_ends_at_once_fails_with_its_words_and_is_removed(real_engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETTINGS, "no_such_setting", "on")
    before = own(real_engine)
    with pytest.raises(RuntimeError, match="no_such_setting"):
        async with docker.postgres():
            pass
    assert own(real_engine) == before


async def test_a_server_that_is_late_fails_and_is_removed(real_engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "START_SECONDS", 0.0)
    before = own(real_engine)
    with pytest.raises(RuntimeError, match="did not answer within 0 s"):
        async with docker.kafka():
            pass
    assert own(real_engine) == before
