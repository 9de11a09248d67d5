"""Owns what the embedded servers share: a folder's claim, the leash of a child, stopping within a bound, free ports.

Called by `postgres` and `kafka`. What must stay true: a child ends when we end, also when we are killed (Linux tells it
so by itself; elsewhere the next start finds it), and every wait has an end.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import psutil

if sys.platform != "win32":
    import fcntl

POLL_SECONDS = 0.02


class EmbeddedError(Exception):
    """An embedded server cannot run; the message is one sentence that names the way out."""


class Claim:
    """The right to keep one folder, held by locking a file in it; the system gives it back when the holder dies.

    `take` raises EmbeddedError at once when another process, or another object of this one, holds the folder.
    """

    def __init__(self, folder: Path, what: str) -> None:
        self._file = folder / "keeper.lock"
        self._what = what
        self._held: IO[str] | None = None

    @property
    def is_held(self) -> bool:
        return self._held is not None

    def take(self) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            handle = self._file.open("a+", encoding="utf-8")
        except OSError as fault:
            raise EmbeddedError(
                f"The folder {self._file.parent} cannot be written ({fault.strerror}); name another with --data DIR."
            ) from fault
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            handle.seek(0)
            keeper = handle.read().strip() or "unknown"
            handle.close()
            raise EmbeddedError(
                f"Another Amends (process {keeper}) already runs {self._what} in {self._file.parent};"
                " stop it or name another folder with --data DIR."
            ) from fault
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        self._held = handle

    def give_back(self) -> None:
        if self._held:
            self._held.close()
            self._held = None


@dataclass(frozen=True)
class Patience:
    """How a process is asked to end: each signal in turn with the seconds it gets, SIGKILL after the last."""

    signals: tuple[tuple[signal.Signals, float], ...]


def leashed(argv: Sequence[str], *, parting: signal.Signals, user: "User | None" = None) -> list[str]:
    """The command line of `argv` as a child that gets the signal `parting` when we die, run as `user` where one is given.

    The leash is Linux's parent-death signal, set by util-linux's setpriv; it is bound to the thread that starts the child,
    so children are started on the main thread. Without setpriv the child runs unleashed and the next start stops it.
    """
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    if setpriv is None:
        return list(argv)
    options = [setpriv, "--pdeathsig", parting.name.removeprefix("SIG")]
    if user:
        options += ["--reuid", str(user.uid), "--regid", str(user.gid), "--clear-groups"]
        # Folders above the data folder and the packages may be closed to others (/root is): the one right kept is to pass them.
        options += ["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"]
    return [*options, "--", *argv]


@dataclass(frozen=True)
class User:
    uid: int
    gid: int


def start(argv: Sequence[str], *, out: Path, folder: Path, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Starts a child in a session of its own (the terminal's Ctrl-C is ours alone to hand on) that writes to the file `out`."""
    with out.open("ab") as log:
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, env=dict(environ), start_new_session=True, close_fds=True
        )


async def run(argv: Sequence[str], *, timeout_seconds: float, environ: Mapping[str, str], folder: Path | None = None) -> str:
    """Runs a command to its end and gives what it said; EmbeddedError with its last lines when it fails or takes too long."""

    def call() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            env=dict(environ),
            cwd=folder,
            check=False,
        )

    try:
        done = await asyncio.to_thread(call)
    except subprocess.TimeoutExpired as late:
        raise EmbeddedError(f"{Path(argv[0]).name} did not finish within {timeout_seconds:.0f} s; is this machine overloaded?") from late
    if done.returncode != 0:
        raise EmbeddedError(f"{Path(argv[0]).name} failed with code {done.returncode}: {tail_of(done.stdout)}")
    return done.stdout


def tail_of(text: str, lines: int = 5) -> str:
    """The last lines of a log, on one line, for a message."""
    return " / ".join(line.strip() for line in text.strip().splitlines()[-lines:]) or "it said nothing"


async def until(ready: Callable[[], bool], *, timeout_seconds: float, child: subprocess.Popen[bytes] | None = None) -> bool:
    """Waits until `ready`; False when the time is up or the child has ended first."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout_seconds
    while loop.time() < end:
        if ready():
            return True
        if child is not None and child.poll() is not None:
            return False
        await asyncio.sleep(POLL_SECONDS)
    return False


async def stop_child(child: subprocess.Popen[bytes], patience: Patience) -> None:
    """Ends our child; when this returns it is gone and waited for."""
    for number, seconds in patience.signals:
        if child.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(number)
        if await until(lambda: child.poll() is not None, timeout_seconds=seconds):
            return
    child.kill()
    await asyncio.to_thread(child.wait)


async def stop_leftovers(found: Sequence[psutil.Process], patience: Patience) -> None:
    """Ends processes of a killed keeper, which are no children of ours; EmbeddedError when one cannot be ended."""
    for process in found:
        for number, seconds in (*patience.signals, (signal.SIGKILL, 5.0)):
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                break
            except psutil.AccessDenied as fault:
                raise EmbeddedError(
                    f"Process {process.pid} of an earlier run belongs to another user and still uses this folder; end it first."
                ) from fault
            if await until(partial(_is_gone, process), timeout_seconds=seconds):
                break
        else:
            raise EmbeddedError(f"Process {process.pid} of an earlier run does not end; end it first.")


def _is_gone(process: psutil.Process) -> bool:
    return not _is_alive(process)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def find(name: str, matches: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    """The processes whose name is `name` and that `matches`, other users' unreadable ones left out."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            if process.name() == name and _is_alive(process) and matches(process):
                found.append(process)
    return found


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """True when nothing listens on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Like the servers themselves: a port in TIME_WAIT after a restart is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Ports that were free a moment ago, all different."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) for _ in range(count)]
        for probe in probes:
            probe.bind((host, 0))
        return [probe.getsockname()[1] for probe in probes]


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Holds an exclusive lock on `file`, waiting for whoever holds it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.asynccontextmanager
async def locked_async(file: Path) -> AsyncIterator[None]:
    """`locked` without holding up the event loop while it waits."""
    lock = locked(file)
    await asyncio.to_thread(lock.__enter__)
    try:
        yield
    finally:
        lock.__exit__(None, None, None)
