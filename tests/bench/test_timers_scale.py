"""Whether timers stay as fast with five million pending as with fifty thousand: interleaved rounds on two databases of one server.

A fiftieth of the timers is due at one instant, as after a night in which cases were opened while the stores were closed.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from statistics import median
from time import perf_counter

import asyncpg
import pytest

from shared import timers
from shared.messaging import Transaction
from shared.timers import Due
from shared.timers.due import BATCH, NEXT_DUE, READ_DUE
from tests.bench.figures import note
from tests.integration.engine.bed import NAME, Bed, bed_in
from tests.support.servers import fresh_database

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]
ROUNDS = 25
CASES = {"ten thousand": 10_000, "a million": 1_000_000}
OPENING = datetime(2026, 11, 23, 14, tzinfo=UTC)

FILL = f"""
insert into {NAME}.timers (kind, subject, name, generation, due_at, data)
select k.kind, 'case-' || c, k.name, 1,
       $2::timestamptz + case when c % 10 = 0 and k.n = 1 then 0 else c::bigint * 7919 % 2592000 + k.n end * interval '1 second', '{{}}'
from generate_series(1, $1::int) as c,
     (values (1, 'target', 'acknowledge'), (2, 'target', 'contact'), (3, 'target', 'action'), (4, 'target', 'resolve'),
             (5, 'warning', 'acknowledge:50')) as k(n, kind, name)
"""


async def test_claiming_and_looking_ahead_do_not_depend_on_how_many_are_pending(
    postgres_dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with AsyncExitStack() as stack:
        beds = {name: await _filled(stack, postgres_dsn, cases) for name, cases in CASES.items()}
        for what, run in {"next due": _look_ahead, "claim of 500": _claim}.items():
            seconds = {name: [await run(bed)] for name, bed in beds.items()}
            for _ in range(ROUNDS):
                for name, bed in beds.items():
                    seconds[name].append(await run(bed))
            found = {name: median(some[1:]) for name, some in seconds.items()}
            small, large = found.values()
            with capsys.disabled():
                told = ", ".join(f"{name} cases {one * 1000:.2f} ms" for name, one in found.items())
                note(f"timers, {what}: five million pending x fifty thousand", large / small, " x", spread=f"{told}; {ROUNDS} rounds")
            assert small > 0


async def _filled(stack: AsyncExitStack, dsn: str, cases: int) -> Bed:
    database = await stack.enter_async_context(fresh_database(dsn, "timers_scale"))
    bed = await stack.enter_async_context(bed_in(database))
    owner = await asyncpg.connect(database.dsn)
    await owner.execute(FILL, cases, OPENING, timeout=600)
    await owner.execute(f"vacuum analyze {NAME}.timers", timeout=600)
    await owner.close()
    return bed


async def _look_ahead(bed: Bed) -> float:
    return await _timed(lambda: bed.pool.fetchval(NEXT_DUE))


async def _claim(bed: Bed) -> float:
    """Read a batch of what is due and fire it, in a transaction that is taken back, so that each round finds the same."""
    now = OPENING + timedelta(days=1)
    conn = await bed.pool.acquire()
    try:
        taken = conn.transaction()
        await taken.start()

        async def claim() -> None:
            due = [Due(**row) for row in await conn.fetch(READ_DUE, now, BATCH)]
            assert len(await timers.fire(Transaction(conn, now, NAME), due)) == BATCH

        spent = await _timed(claim)
        await taken.rollback()
        return spent
    finally:
        await bed.pool.release(conn)


async def _timed(run: Callable[[], Awaitable[object]]) -> float:
    began = perf_counter()
    await run()
    return perf_counter() - began
