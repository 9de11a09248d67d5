"""A throw-away folder, and a keeper of a server in a process of its own that can be killed."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from tests.support.servers import throwaway_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with throwaway_folder() as made:
        yield made


@dataclass(frozen=True)
class Keeper:
    process: subprocess.Popen[str]
    server: psutil.Process

    def kill(self) -> None:
        """kill -9 of the keeper alone."""
        self.process.kill()
        self.process.wait()

    def server_is_alive(self) -> bool:
        return self.server.is_running() and self.server.status() != psutil.STATUS_ZOMBIE


Keep = Callable[..., Awaitable[Keeper]]


@pytest_asyncio.fixture(loop_scope="session")
async def keep(folder: Path) -> AsyncIterator[Keep]:
    """`await keep("postgres", "--unleashed")` starts a keeper on the test's folder and waits until its server is up."""
    kept: list[Keeper] = []

    async def call(what: str, *options: str) -> Keeper:
        command = [sys.executable, "-m", "tests.integration.embedded.keeper", what, str(folder), *options]
        process = await asyncio.to_thread(partial(subprocess.Popen, command, stdout=subprocess.PIPE, text=True))
        assert process.stdout
        said = await asyncio.to_thread(process.stdout.readline)
        keeper = Keeper(process, psutil.Process(json.loads(said)["pid"]))
        kept.append(keeper)
        return keeper

    yield call
    for keeper in kept:
        if keeper.process.poll() is None:
            keeper.kill()
        if keeper.process.stdout:
            keeper.process.stdout.close()
        if keeper.server_is_alive():
            keeper.server.kill()
