"""A backlog that several processes of escalation share by the partitions of its topic, beside one process alone: in turns, on the same
servers.

The incidents lie on the topic before the processes start. A rate is that of the cases between the first tenth and the last of a round.
"""

import asyncio
import json
from collections.abc import Sequence
from statistics import median
from time import perf_counter

import asyncpg
import pytest

from shared.contracts.incidents import INCIDENTS
from shared.db import Connection
from tests.bench.figures import calibrate, note, spread
from tests.bench.hop import producer_on, send
from tests.bench.rig import group
from tests.bench.test_backlog import incidents
from tests.support.eventually import eventually
from tests.support.fleet import Member, fleet
from tests.support.servers import Servers, fresh_database, throwaway_folder

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]
BACKLOG, ROUNDS, PROCESSES = 20_000, 3, 2
DRAINED_WITHIN = 300.0
# Every case here has an owner.
CASES = "select coalesce(sum(cases), 0)::int from escalation.case_loads"


async def test_two_processes_share_a_backlog(servers: Servers, capsys: pytest.CaptureFixture[str]) -> None:
    alone: list[float] = []
    shared: list[float] = []
    with throwaway_folder() as folder:
        async with fresh_database(servers.postgres_dsn, "shared") as database, fleet(database, servers.bootstrap_servers, folder) as here:
            await here.start()
            (folder / "group.json").write_text(json.dumps(group()))
            await here.must("directory", "load", str(folder / "group.json"))
            await here.end()
            owner = await asyncpg.connect(database.dsn)
            async with producer_on(servers.bootstrap_servers) as producer:
                for n in range(2 * (ROUNDS + 1)):
                    await send(producer, INCIDENTS, incidents(n * BACKLOG, BACKLOG))
                    members = [here.member("escalation") for _ in range(1 + n % 2 * (PROCESSES - 1))]
                    (shared if n % 2 else alone).append(await drained(members, owner, n * BACKLOG))
                    calibrate()
            await owner.close()
    ratios = [two / one for one, two in zip(alone[1:], shared[1:], strict=True)]
    with capsys.disabled():
        note(f"backlog: {PROCESSES} processes on four partitions beside one", median(ratios), " x", spread=spread(ratios))
        print(f"  cases/s: one {spread(alone[1:])}; {PROCESSES} {spread(shared[1:])}")
    assert len(ratios) == ROUNDS


async def drained(members: Sequence[Member], owner: Connection, before: int) -> float:
    """Cases a second while these processes take what lies there."""
    await asyncio.gather(*(member.start() for member in members))
    try:
        begun = await eventually(lambda: beyond(owner, before + BACKLOG // 10), within_seconds=DRAINED_WITHIN, every_seconds=0.01)
        since = perf_counter()
        await eventually(lambda: beyond(owner, before + BACKLOG), within_seconds=DRAINED_WITHIN, every_seconds=0.02)
        return (before + BACKLOG - begun) / (perf_counter() - since)
    finally:
        await asyncio.gather(*(member.end() for member in members))


async def beyond(owner: Connection, many: int) -> int:
    """How many cases there are, once there are so many."""
    found: int = await owner.fetchval(CASES)
    return found if found >= many else 0
