"""Owns Kafka's program files: the jars that `deploy/kafka/jgo.lock.toml` locks, in the per-user cache.

Called by `kafka`. What must stay true: a folder of jars appears in the cache only when every file in it has the SHA-256
of the lock; it is keyed by the lock, so that two versions of Amends never share one.
"""

import asyncio
import hashlib
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from shared.embedded.processes import EmbeddedError, locked_async

WAY_OUT = "name brokers of your own with AMENDS_KAFKA__BOOTSTRAP_SERVERS"
DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "kafka"
FETCHES_AT_ONCE = 8
TRIES_MAX = 3
TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Jar:
    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


@dataclass(frozen=True)
class Lock:
    """The jars in the order of the class path, and a key that changes with any of them."""

    jars: tuple[Jar, ...]
    key: str

    @property
    def kafka_version(self) -> str:
        return next(jar.version for jar in self.jars if jar.artifact == "kafka-clients")


def read_lock() -> Lock:
    """The committed lock; EmbeddedError when this copy of Amends came without it."""
    file = DEPLOY / "jgo.lock.toml"
    try:
        listed = tomllib.loads(file.read_text(encoding="utf-8"))["dependencies"]
    except OSError as fault:
        raise EmbeddedError(f"{file} is missing, so the embedded Kafka cannot be fetched; {WAY_OUT}.") from fault
    jars = tuple(Jar(one["groupId"], one["artifactId"], one["version"], one["sha256"]) for one in listed)
    return Lock(jars, hashlib.sha256(" ".join(jar.sha256 for jar in jars).encode()).hexdigest()[:12])


async def fetched(cache: Path) -> tuple[Lock, list[Path]]:
    """The lock and the files of the class path, fetched the first time (about 45 MB, with progress on stderr).

    Raises EmbeddedError with the way out when the package repository cannot be reached or hands out other bytes.
    """
    lock = read_lock()
    home = cache / f"kafka-{lock.kafka_version}-{lock.key}"
    files = [home / jar.file for jar in lock.jars]
    if not home.is_dir():
        try:
            async with locked_async(cache / "fetch.lock"):
                if not home.is_dir():
                    await asyncio.to_thread(_fetch, lock, cache, home)
        except OSError as fault:
            raise EmbeddedError(
                f"The cache {cache} cannot be written ({fault}); set XDG_CACHE_HOME to another folder or {WAY_OUT}."
            ) from fault
    wrong = await asyncio.to_thread(_damaged, lock, home)
    if wrong:
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)
        raise EmbeddedError(f"{wrong} in the cache {home} is damaged and has been removed; start again to fetch it anew.")
    return lock, files


def _damaged(lock: Lock, home: Path) -> str | None:
    for jar in lock.jars:
        file = home / jar.file
        if not file.is_file() or _sha256(file) != jar.sha256:
            return jar.file
    return None


def _fetch(lock: Lock, cache: Path, home: Path) -> None:
    remove_old(cache, "fetching-*")
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetching-") as folder:
        ready = Path(folder) / "jars"
        ready.mkdir()
        with Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=Console(stderr=True)
        ) as progress:
            task = progress.add_task(f"Fetching Apache Kafka {lock.kafka_version} (45 MB, once)", total=len(lock.jars))
            with ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
                get = _getter(Path(folder))
                waiting = [pool.submit(_one, get, jar, ready) for jar in lock.jars]
                try:
                    for done in as_completed(waiting):
                        done.result()
                        progress.advance(task)
                finally:
                    for one in waiting:
                        one.cancel()
        ready.replace(home)


Getter = Callable[[Jar], Path]


def _getter(folder: Path) -> Getter:
    """Fetches one jar as jgo is set up on this machine (its own settings may name other repositories), a local Maven cache first."""
    from jgo.config import GlobalSettings  # only a first fetch needs these, and they cost 0.25 s
    from jgo.constants import MAVEN_CENTRAL_URL, default_maven_repo
    from jgo.maven import MavenContext

    context = MavenContext(
        repo_cache=folder / "repository",
        local_repos=[default_maven_repo()],
        remote_repos={**GlobalSettings.load().repositories, "central": MAVEN_CENTRAL_URL},
        timeout=TIMEOUT_SECONDS,
    )

    def get(jar: Jar) -> Path:
        return Path(context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve())

    return get


def _one(get: Getter, jar: Jar, ready: Path) -> None:
    last: Exception | None = None
    for _ in range(TRIES_MAX):
        try:
            file = get(jar)
        except (OSError, RuntimeError) as fault:  # requests' errors are OSErrors; jgo says "not found" with RuntimeError
            last = fault
            continue
        if _sha256(file) != jar.sha256:
            raise EmbeddedError(f"The {jar.file} that was fetched is not the one Amends was made with (another SHA-256); {WAY_OUT}.")
        shutil.copyfile(file, ready / jar.file)
        return
    raise EmbeddedError(
        f"Apache Kafka cannot be fetched ({jar.file}: {_brief(last)}); run `make setup` where there is a network, or {WAY_OUT}."
    )


def _brief(fault: Exception | None) -> str:
    return f"{type(fault).__name__}: {str(fault).splitlines()[0][:120]}" if fault and str(fault) else type(fault).__name__


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def remove_old(cache: Path, pattern: str) -> None:
    """Removes what a killed fetch or training left; the caller holds its lock, so none of it is in use."""
    for folder in cache.glob(pattern):
        shutil.rmtree(folder, ignore_errors=True)


def class_path(files: Sequence[Path]) -> str:
    return (";" if sys.platform == "win32" else ":").join(str(file) for file in files)
