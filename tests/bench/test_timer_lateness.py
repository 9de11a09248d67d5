"""How late timers fire, through the loop that every service runs: a million pending and two thousand a second coming due for ten seconds;
and two hundred a second for five seconds while fifty thousand that were due an hour ago are worked off.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from itertools import count
from statistics import median

import asyncpg
import pytest

from shared import timers
from shared.db import Connection
from shared.embedded import EmbeddedPostgres
from shared.kernel.clock import MachineClock, machine_now
from shared.messaging import Engine, Transaction
from shared.runtime.memory import collect_rarely
from shared.timers import Due, Loop
from tests.bench.figures import calibrate, note, spread
from tests.bench.meter import Meter
from tests.bench.rig import percentile
from tests.integration.engine.bed import NAME, Bed, bed_in
from tests.support.eventually import eventually
from tests.support.servers import fresh_database, throwaway_folder

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]
ROUNDS, PENDING, PER_SECOND, SECONDS = 3, 1_000_000, 2_000, 10
LATE_MS = 50.0
OVERDUE, SINCE = 50_000, timedelta(hours=1)
FRESH_PER_SECOND, FRESH = 200, 1_000
HEAD_START = timedelta(seconds=2)

FILL = f"""
insert into {NAME}.timers (kind, subject, name, generation, due_at, data)
select 'target', 'case-' || n, 'resolve', 1, $2::timestamptz + n::bigint * 7919 % 2592000 * interval '1 second', '{{}}'
from generate_series(1, $1::int) as n
"""
COMING = f"""
insert into {NAME}.timers (kind, subject, name, generation, due_at, data)
select 'target', $1::text || n, 'acknowledge', 1, $2::timestamptz + n * $3::interval, '{{}}' from generate_series(1, $4::int) as n
"""


class Watched(Loop):
    """The loop, with its stopwatch: how late each timer's transaction was committed, in seconds."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, {"target": self.when_due})
        self.late: list[float] = []

    async def when_due(self, tx: Transaction, due: Sequence[Due]) -> None:
        """Fires them, and nothing else."""
        await timers.fire(tx, due)

    def _count(self, kind: str, due: list[Due]) -> None:
        super()._count(kind, due)
        now = machine_now()
        self.late += [(now - d.due_at).total_seconds() for d in due]


@asynccontextmanager
async def ground(hint: str) -> AsyncIterator[tuple[EmbeddedPostgres, Bed, Connection]]:
    """A PostgreSQL of its own, the tables of one service in it, and its owner."""
    with throwaway_folder() as folder:
        async with EmbeddedPostgres(folder) as server, fresh_database(server.dsn(), hint) as database, bed_in(database) as bed:
            owner = await asyncpg.connect(database.dsn)
            try:
                yield server, bed, owner
            finally:
                await owner.close()


async def test_two_thousand_a_second_with_a_million_pending(capsys: pytest.CaptureFixture[str]) -> None:
    rounds: list[list[float]] = []
    spent = []
    async with ground("lateness") as (server, bed, owner):
        await owner.execute(FILL, PENDING, machine_now() + timedelta(days=30), timeout=300)
        await owner.execute(f"vacuum analyze {NAME}.timers", timeout=300)
        meter, names = Meter(server.pid, None), count()
        collect_rarely()
        for _ in range(ROUNDS):
            loop = Watched(Engine(NAME, bed.pool, MachineClock(), writers=(timers.write,)))
            begin, many = machine_now() + HEAD_START, PER_SECOND * SECONDS
            await owner.execute(COMING, f"due-{next(names)}-", begin, timedelta(seconds=1 / PER_SECOND), many)
            before = meter.now()
            running = asyncio.create_task(loop.run())
            await eventually(partial(_all, loop, many), within_seconds=120, every_seconds=0.1)
            spent.append(meter.since(before))
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            rounds.append([1e3 * late for late in loop.late])
            calibrate()
    with capsys.disabled():
        what = f"timers, {PER_SECOND:,}/s due with {PENDING:,} pending"
        worst = [percentile(late, 0.99) for late in rounds]
        note(f"{what}: late at p99", median(worst), " ms", at_most=LATE_MS, spread=spread(worst))
        for late, cpu in zip(rounds, spent, strict=True):
            told = ", ".join(f"p{100 * share:g} {percentile(late, share):.1f}" for share in (0.5, 0.99, 0.999))
            print(f"  late in ms: {told}, most {max(late):.1f}, least {min(late):.1f}; CPU a timer in µs: {cpu.per(len(late))}")
    assert all(len(late) == PER_SECOND * SECONDS and min(late) >= 0 for late in rounds)


async def test_what_comes_due_while_a_backlog_is_worked_off(capsys: pytest.CaptureFixture[str]) -> None:
    worst: list[float] = []
    async with ground("overdue") as (_, bed, owner):
        collect_rarely()
        for n in range(ROUNDS):
            loop = Watched(Engine(NAME, bed.pool, MachineClock(), writers=(timers.write,)))
            await owner.execute(COMING, f"overdue-{n}-", machine_now() - SINCE, timedelta(milliseconds=1), OVERDUE, timeout=300)
            await owner.execute(f"vacuum analyze {NAME}.timers", timeout=300)
            await owner.execute(COMING, f"fresh-{n}-", machine_now(), timedelta(seconds=1 / FRESH_PER_SECOND), FRESH)
            running = asyncio.create_task(loop.run())
            await eventually(partial(_all, loop, OVERDUE + FRESH), within_seconds=120, every_seconds=0.1)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            fresh = [1e3 * late for late in loop.late if late < SINCE.total_seconds() / 2]
            assert len(fresh) == FRESH
            worst.append(percentile(fresh, 0.99))
            calibrate()
    with capsys.disabled():
        note(f"timers that come due beside {OVERDUE:,} overdue: late at p99", median(worst), " ms", spread=spread(worst))


async def _all(loop: Watched, many: int) -> bool:
    return len(loop.late) >= many
