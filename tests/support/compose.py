"""`docker-compose.yml` as it stands, run by this machine's engine: a project of its own, free ports, its volumes removed at the end."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.embedded.processes import free_ports
from shared.settings import PORTS
from tests.support import docker

ROOT = Path(__file__).parents[2]
PYTHON_IMAGE = os.environ.get("PYTHON_IMAGE", "python:3.11-slim")
PROJECT = f"amends-test-{os.getpid()}"
UP_SECONDS, RUN_SECONDS = 300, 600


def lacks() -> str | None:
    """Why compose cannot be run here, or None when it can."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    if (reason := docker.lacks()) is not None:
        return reason
    if _docker("compose", "version").returncode != 0:
        return "docker has no compose"
    return None if _docker("image", "inspect", PYTHON_IMAGE).returncode == 0 else f"the Docker engine lacks {PYTHON_IMAGE}"


@dataclass(frozen=True)
class Compose:
    """The project: where each service is published, and compose's own words."""

    urls: Mapping[str, str]
    environ: Mapping[str, str]

    async def run(self, *words: str, seconds: float = RUN_SECONDS) -> str:
        """`docker compose …` to its end; gives what it prints. Fails where it does."""
        ran = await asyncio.create_subprocess_exec(
            "docker", "compose", "--project-name", PROJECT, "--project-directory", str(ROOT), *words,
            env=dict(self.environ), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(ran.communicate(), seconds)
        assert ran.returncode == 0, f"docker compose {' '.join(words)}: {err.decode()[-4000:]}"
        return out.decode().strip()

    async def up(self) -> float:
        """Everything healthy; gives the seconds it took."""
        began = time.monotonic()
        try:
            await self.run("up", "--detach", "--no-build", "--wait", "--wait-timeout", str(UP_SECONDS))
        except AssertionError:
            print(await self.run("logs", "--tail", "30"))
            raise
        return time.monotonic() - began

    async def command(self, *words: str, file: Path | None = None) -> str:
        """A word of `amends` beside it; `file` is found as /file inside."""
        mount = ("--volume", f"{file}:/file:ro") if file else ()
        return await self.run("run", "--rm", "--no-deps", *mount, "command", *words)


@contextlib.asynccontextmanager
async def project() -> AsyncIterator[Compose]:
    """The project with its image built, not started yet."""
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    urls = {service: f"http://localhost:{port}" for service, port in ports.items()}
    settings = {
        "AMENDS_IMAGE": "amends:test",
        "PYTHON_IMAGE": PYTHON_IMAGE,
        "POSTGRES_IMAGE": docker.POSTGRES_IMAGE,
        "KAFKA_IMAGE": docker.KAFKA_IMAGE,
        "CONSOLE_URL": urls["console"],
        "NOTIFICATION_URL": urls["notification"],
        "AMENDS_SIGN_IN__DEMO_PEOPLE": "true",
        **{f"{service.upper()}_PORT": str(port) for service, port in ports.items()},
    }
    made = Compose(urls, {**_environment(), **settings})
    await made.run("build", "secrets")
    try:
        yield made
    finally:
        await made.run("--profile", "command", "down", "--volumes", "--remove-orphans")


def _docker(*words: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["docker", *words], capture_output=True, check=False, stdin=subprocess.DEVNULL)


def _environment() -> dict[str, str]:
    """Nothing of whoever runs the tests reaches the settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AMENDS_")}
