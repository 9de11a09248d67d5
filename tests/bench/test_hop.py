"""What a hop costs beside the least it could: interleaved rounds of the product and of its raw parts, each part measured by itself.

CPU efficiency is the raw parts' CPU over the hop's, Python's and PostgreSQL's together. The parts are aiokafka's getmany, pydantic's
reading and writing, the same statements by bare asyncpg, aiokafka's send; what is left is what makes it right: batches that can be taken
apart, headers, order, metrics, positions.
"""

from statistics import median

import pytest

from shared.contracts.incidents import INCIDENTS
from shared.runtime.memory import collect_rarely
from tests.bench.figures import calibrate, note, spread
from tests.bench.hop import bed_on, messages, producer_on, send
from tests.bench.meter import Cpu, servers

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]
ROUNDS, EACH = 5, 20_000
EFFICIENCY = 0.6


async def test_a_hop_beside_its_raw_parts(capsys: pytest.CaptureFixture[str]) -> None:
    rounds: list[tuple[Cpu, dict[str, Cpu]]] = []
    async with servers() as on, bed_on(on) as bed, producer_on(on.bootstrap_servers) as producer:
        for n in range(ROUNDS + 1):
            since, what = await bed.ends(INCIDENTS), messages(EACH)
            await send(producer, INCIDENTS, what)
            if n == 0:
                collect_rarely()
            whole = await bed.hop(EACH)
            parts = {
                "getmany": await bed.raw_fetch(since, EACH),
                "validate": bed.raw_validate(what),
                "statements": await bed.raw_sql(what),
                "dump": bed.raw_dump(what),
                "send": await bed.raw_send(what),
            }
            await bed.skip_what_was_said()
            calibrate()
            # The first warms broker, database and caches.
            rounds += [(whole, parts)] if n else []
    shares = [sum(part.ours for part in parts.values()) / whole.ours for whole, parts in rounds]
    with capsys.disabled():
        rate = [EACH / whole.wall for whole, _ in rounds]
        note("hop: CPU efficiency against the sum of its raw parts", median(shares), at_least=EFFICIENCY, spread=spread(shares))
        note("hop: events a second, batches of 500", median(rate), "/s", spread=spread(rate))
        print(f"  CPU an event in µs, median round: hop {_middle([whole for whole, _ in rounds]).per(EACH)}")
        for name in rounds[0][1]:
            print(f"    {name:<11} {_middle([parts[name] for _, parts in rounds]).per(EACH)}")
    assert len(shares) == ROUNDS


def _middle(some: list[Cpu]) -> Cpu:
    return Cpu(*(median(getattr(cpu, name) for cpu in some) for name in ("wall", "python", "postgres", "broker")))
