"""What Amends takes before it does anything: seconds until it is ready, and CPU and memory while nothing happens, in one process on
one's own machine (`amends up`) and as six (`amends serve`).
"""

import asyncio
import contextlib
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
import pytest

from tests.bench.figures import calibrate, note, spread
from tests.bench.meter import used
from tests.support.command import Up
from tests.support.fleet import fleet
from tests.support.servers import Servers, forget_topics, fresh_database, throwaway_folder

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]
ROUNDS = 3
SETTLED_AFTER, LOOKED_AT, SIX_SETTLED_AFTER = 60.0, 30.0, 15.0
MB = 1e6


@dataclass(frozen=True)
class Size:
    """Memory in megabytes: resident, and with what is shared counted by its share."""

    rss: float
    pss: float

    def __str__(self) -> str:
        return f"{self.pss:,.0f} MB (RSS {self.rss:,.0f})"


def test_until_it_is_ready(capsys: pytest.CaptureFixture[str]) -> None:
    seconds: dict[str, list[float]] = {"amends up --empty, new folder": [], "amends up, new folder": [], "amends up, existing folder": []}
    new_empty, new, existing = seconds.values()
    for _ in range(ROUNDS):
        calibrate()
        with throwaway_folder() as folder, Up(folder / "data") as up:
            new_empty.append(up.seconds)
        with throwaway_folder() as folder:
            for found in (new, existing):
                with Up(folder / "data", empty=False) as up:
                    found.append(up.seconds)
    with capsys.disabled():
        for what, some in seconds.items():
            note(f"{what}: ready after", median(some), " s", spread=spread(some))
    assert all(len(some) == ROUNDS for some in seconds.values())


async def test_at_rest(capsys: pytest.CaptureFixture[str]) -> None:
    with throwaway_folder() as folder, Up(folder / "data", empty=False) as up:
        await asyncio.sleep(SETTLED_AFTER)
        parts = parts_of(up)
        before = {name: _cpu(some) for name, some in parts.items()}
        await asyncio.sleep(LOOKED_AT)
        shares = {name: 100 * (_cpu(some) - before[name]) / LOOKED_AT for name, some in parts.items()}
        sizes = {name: size(some) for name, some in parts.items()}
        disk = sum(taken_by(file) for file in (folder / "data").rglob("*")) / MB
    calibrate()
    with capsys.disabled():
        note("amends up at rest: CPU, percent of a core", sum(shares.values()), " %", spread=_each(shares))
        note(
            "amends up at rest: memory (PSS)",
            sum(s.pss for s in sizes.values()),
            " MB",
            spread=_each(sizes),
        )
        note("amends up at rest: its folder", disk, " MB")
    assert set(parts) == {"python", "postgres", "broker"}


async def test_six_processes_at_rest(servers: Servers, capsys: pytest.CaptureFixture[str]) -> None:
    # What other measurements left on the topics would be read first.
    await forget_topics(servers.bootstrap_servers)
    with throwaway_folder() as folder:
        async with fresh_database(servers.postgres_dsn, "six") as database, fleet(database, servers.bootstrap_servers, folder) as six:
            began = asyncio.get_running_loop().time()
            await six.start()
            ready = asyncio.get_running_loop().time() - began
            await asyncio.sleep(SIX_SETTLED_AFTER)
            before = {name: used(member.pid) for name, member in six.members.items()}
            await asyncio.sleep(LOOKED_AT)
            shares = {name: 100 * (used(member.pid) - before[name]) / LOOKED_AT for name, member in six.members.items()}
            sizes = {name: size([psutil.Process(member.pid)]) for name, member in six.members.items()}
    calibrate()
    with capsys.disabled():
        note("six processes: all ready after", ready, " s")
        note("six processes at rest: CPU, percent of a core", sum(shares.values()), " %", spread=_each(shares))
        whole = f"RSS {sum(s.rss for s in sizes.values()):,.0f}; PSS {_each({name: s.pss for name, s in sizes.items()})}"
        note("six processes at rest: memory (PSS)", sum(s.pss for s in sizes.values()), " MB", spread=whole)
    assert len(sizes) == 6


def parts_of(up: Up) -> dict[str, list[psutil.Process]]:
    """The processes of a running `amends up`, by what they are."""
    parts: dict[str, list[psutil.Process]] = {"python": [psutil.Process(up.pid)], "postgres": [], "broker": []}
    for child in up.children():
        parts["broker" if child.name() == "java" else "postgres"].append(child)
    return parts


def size(processes: Iterable[psutil.Process]) -> Size:
    """Of all these together."""
    rss = pss = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            memory = process.memory_full_info()
            rss, pss = rss + memory.rss / MB, pss + getattr(memory, "pss", memory.rss) / MB
    return Size(rss, pss)


def _cpu(processes: Iterable[psutil.Process]) -> float:
    """CPU seconds of these, and of those of their children that have ended; who has ended meanwhile is its parent's."""
    total = 0.0
    for n, process in enumerate(processes):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += sum(times[:4]) if n == 0 else sum(times[:2])
    return float(total)


def _each(values: Mapping[str, float | Size]) -> str:
    return ", ".join(f"{name} {value if isinstance(value, Size) else f'{value:.1f}'}" for name, value in values.items())


def taken_by(file: Path) -> int:
    """Bytes on the disk, holes left out; Kafka's indexes are mostly holes."""
    with contextlib.suppress(OSError):
        found = file.lstat()
        return found.st_blocks * 512 if stat.S_ISREG(found.st_mode) else 0
    return 0
