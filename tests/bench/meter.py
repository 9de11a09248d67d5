"""Who used the machine: CPU seconds of this process, of PostgreSQL and of the broker, each on servers of the measurement's own."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from time import perf_counter, process_time

import psutil

from shared.embedded import EmbeddedKafka, EmbeddedPostgres
from tests.support.servers import throwaway_folder


@dataclass(frozen=True)
class Cpu:
    """CPU seconds of a stretch by who used them, and how long it took."""

    wall: float
    python: float
    postgres: float
    broker: float

    def per(self, count: int) -> str:
        """Microseconds for each of `count`."""
        return ", ".join(f"{name} {1e6 * getattr(self, name) / count:,.0f}" for name in ("python", "postgres", "broker"))

    @property
    def ours(self) -> float:
        """What our code and our SQL used; the broker's part swings with its compiler's warmth."""
        return self.python + self.postgres

    def __add__(self, other: "Cpu") -> "Cpu":
        return Cpu(
            self.wall + other.wall, self.python + other.python, self.postgres + other.postgres, self.broker + other.broker
        )  # fmt: skip


class Meter:
    """`now` before a stretch, `since` after it. A server that the measurement does without has no pid."""

    def __init__(self, postgres: int | None, broker: int | None) -> None:
        self._postgres, self._broker = postgres, broker

    def now(self) -> Cpu:
        return Cpu(perf_counter(), process_time(), used(self._postgres), used(self._broker))

    def since(self, before: Cpu) -> Cpu:
        now = self.now()
        return Cpu(
            now.wall - before.wall, now.python - before.python, now.postgres - before.postgres, now.broker - before.broker
        )  # fmt: skip


@dataclass(frozen=True)
class Servers:
    """Both servers, measured: the superuser's DSN, Kafka's address, the meter."""

    dsn: str
    bootstrap_servers: str
    meter: Meter


@contextlib.asynccontextmanager
async def servers() -> AsyncIterator[Servers]:
    """Both embedded servers, fresh, as children of this process."""
    with throwaway_folder() as folder:
        async with EmbeddedPostgres(folder) as postgres, EmbeddedKafka(folder) as kafka:
            yield Servers(postgres.dsn(), kafka.bootstrap_servers, Meter(postgres.pid, kafka.pid))


def used(pid: int | None) -> float:
    """CPU seconds of a process and everything below it; 0 for none."""
    if pid is None:
        return 0.0
    root = psutil.Process(pid)
    total = sum(root.cpu_times()[:4])
    for child in root.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(child.cpu_times()[:2])
    return float(total)
