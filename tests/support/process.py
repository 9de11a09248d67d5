"""Amends as its own process, as a person types it: `amends up`, killed and started again at will."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.builders import group
from tests.support.eventually import eventually
from tests.support.stack import Amends, client

START_SECONDS, STOP_SECONDS = 90.0, 20.0
SCOPES = ("events:write", "cases:read", "cases:write", "restitutions:read", "notices:read")


@dataclass
class Process:
    """`amends up --empty` on the folder `data`; only ever one at a time."""

    data: Path
    key: str | None = None
    _running: asyncio.subprocess.Process | None = None

    async def start(self) -> str:
        """Start it and wait until it answers; gives its address."""
        with self._log.open("ab") as log:
            self._running = await asyncio.create_subprocess_exec(
                *_amends("up", "--empty", "--port", "0", "--data", str(self.data)),
                env=_environment(),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        pid = self._running.pid
        row = await eventually(lambda: self._row(pid), within_seconds=START_SECONDS)
        assert row is not None
        return str(row["url"])

    def _row(self, pid: int) -> dict[str, Any] | None:
        assert self._running is not None
        if self._running.returncode is not None:
            raise RuntimeError(f"amends up ended: {self._log.read_text('utf-8')[-2000:]}")
        with contextlib.suppress(OSError, ValueError):
            row: dict[str, Any] = json.loads((self.data / "run.json").read_text("utf-8"))
            return row if row["pid"] == pid else None
        return None

    async def kill(self) -> None:
        """As a power cut: no goodbye."""
        assert self._running is not None
        self._running.kill()
        await self._running.wait()

    async def stop(self) -> int:
        """As Ctrl-C; gives the exit code."""
        assert self._running is not None
        self._running.send_signal(signal.SIGINT)
        return await asyncio.wait_for(self._running.wait(), STOP_SECONDS)

    async def command(self, *words: str) -> str:
        """Another command beside it; gives what it prints. Fails where the command does."""
        ran = await asyncio.create_subprocess_exec(
            *_amends(*words, "--data", str(self.data)),
            env=_environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(ran.communicate(), START_SECONDS)
        assert ran.returncode == 0, err.decode()
        return out.decode().strip()

    @property
    def _log(self) -> Path:
        return self.data.parent / "up.log"

    @property
    def is_running(self) -> bool:
        return self._running is not None and self._running.returncode is None


@contextlib.asynccontextmanager
async def process(data: Path) -> AsyncIterator[tuple[Process, str]]:
    """A started process with the small group and a key; stopped at the end whatever happened. Gives it and its first address."""
    made = Process(data)
    try:
        url = await made.start()
        file = data.parent / "group.yaml"
        file.write_text(yaml.safe_dump(group()), "utf-8")
        await made.command("directory", "load", str(file))
        scopes = [word for scope in SCOPES for word in ("--scope", scope)]
        made.key = await made.command("keys", "create", "stories", *scopes)
        yield made, url
    finally:
        if made.is_running:
            await made.stop()


@contextlib.asynccontextmanager
async def outside(url: str, key: str | None) -> AsyncIterator[Amends]:
    """The process as the world sees it."""
    async with client(url, key) as http:
        yield Amends(url, http)


def _amends(*words: str) -> list[str]:
    return [sys.executable, "-m", "services", *words]


def _environment() -> dict[str, str]:
    """Nothing of whoever runs the tests reaches the settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AMENDS_")}
