"""The `amends` command as people type it: a process of its own, its words, its exit code, its children.

Goal: tests drive the real command and look at what is left behind. Nothing here reaches into the process.
"""

import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from types import TracebackType

import psutil

from services.__main__ import main

COMMAND = Path(sys.executable).parent / "amends"
START_SECONDS, STOP_SECONDS, RUN_SECONDS = 90.0, 20.0, 60.0
UP, ENDED = "Amends is up at ", "Ctrl-C stops it."


def amends(*words: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """One command to its end."""
    return subprocess.run(
        [COMMAND, *words], env=_environ(environ), capture_output=True, text=True, timeout=RUN_SECONDS, check=False, stdin=subprocess.DEVNULL
    )


def typed(*words: str) -> subprocess.CompletedProcess[str]:
    """`amends` for commands that end soon, in a thread of this process: the same door without a second of imports each."""
    out, err = io.StringIO(), io.StringIO()

    def run() -> int:
        try:
            main(words)
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else 0
        return 0

    with redirect_stdout(out), redirect_stderr(err), ThreadPoolExecutor(1) as thread:
        code = thread.submit(run).result(RUN_SECONDS)
    return subprocess.CompletedProcess(["amends", *words], code, out.getvalue(), err.getvalue())


class Up:
    """A running `amends up` of a folder. As a context it is up inside, and at the end nothing of it is left."""

    def __init__(self, data: Path, *words: str, environ: Mapping[str, str] | None = None, empty: bool = True) -> None:
        self.data, self.url, self.seconds = data, "", 0.0
        self._out = Path(tempfile.mkstemp(prefix="amends-up-")[1])
        self._began = time.monotonic()
        with self._out.open("wb") as out:
            self._process = subprocess.Popen(
                [COMMAND, "up", "--data", str(data), "--port", "0", *(["--empty"] if empty else []), *words],
                env=_environ(environ), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self._seen: set[psutil.Process] = set()

    @property
    def pid(self) -> int:
        return self._process.pid

    def said(self) -> str:
        """Everything it has written so far."""
        return self._out.read_text("utf-8")

    def ready(self) -> "Up":
        """Wait until it says where it is."""
        until = time.monotonic() + START_SECONDS
        while ENDED not in self.said():
            assert self._process.poll() is None, f"it ended with {self._process.returncode}: {self.said()}"
            assert time.monotonic() < until, f"not up within {START_SECONDS:g} s: {self.said()}"
            time.sleep(0.02)
        self.seconds = time.monotonic() - self._began
        self.url = self.said().split(UP, 1)[1].split()[0]
        self.children()
        return self

    def children(self) -> list[psutil.Process]:
        """The broker, the database and all they have started, and whatever was seen of them before."""
        with suppress(psutil.NoSuchProcess):
            self._seen.update(psutil.Process(self.pid).children(recursive=True))
        return [process for process in self._seen if _is_alive(process)]

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, float]:
        """Ctrl-C, or another signal; answers the exit code and the seconds it took."""
        self.children()
        began = time.monotonic()
        self._process.send_signal(number)
        code = self._process.wait(STOP_SECONDS)
        return code, time.monotonic() - began

    def is_alone(self, *, within_seconds: float = STOP_SECONDS) -> bool:
        """After its end: nothing it had started is alive, at the latest after so long."""
        _, alive = psutil.wait_procs(list(self._seen), timeout=within_seconds)
        return not [process for process in alive if _is_alive(process)]

    def __enter__(self) -> "Up":
        try:
            return self.ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process.poll() is None:
            try:
                self.end()
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if not self.is_alone(within_seconds=10):
            for process in self.children():
                process.kill()
        if error is not None:
            print(self.said())
        self._out.unlink(missing_ok=True)


@contextmanager
def down(up: Up) -> Iterator[None]:
    """Whatever happens inside, `up` is cleaned away at the end; for tests that end it themselves."""
    try:
        yield
    except BaseException as error:
        up.__exit__(type(error), error, None)
        raise
    up.__exit__(None, None, None)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _environ(more: Mapping[str, str] | None) -> dict[str, str]:
    """Ours without settings of Amends, which would be the developer's."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("AMENDS_")}, "COLUMNS": "120", **(more or {})}
