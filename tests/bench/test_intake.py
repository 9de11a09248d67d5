"""What being durable costs at the door: `POST /v1/events` on many connections, single events and batches of a hundred, in interleaved
rounds with the same stack without I/O: the request is authenticated, read and judged the same, and answered without being stored.

Directory and intake run embedded; the generator is a process of its own.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from itertools import count
from statistics import median

import pytest

from services.intake import domain, usecases
from services.intake.domain import Arrival
from services.intake.usecases import Desk, Outcome
from shared import reference
from tests.bench.figures import calibrate, note, spread
from tests.bench.meter import Cpu
from tests.bench.rig import STORES, Rig, patient, rig
from tests.support.builders import MORNING, Event, event
from tests.support.servers import throwaway_folder

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]
ROUNDS, SHARE = 5, 0.75
PATIENTS = 500
# What is sent: events a request, connections, events a round.
SHAPES = {"single events": (1, 64, 2_000), "batches of 100": (100, 16, 10_000)}
Submit = Callable[[Desk, Sequence[Arrival]], Awaitable[list[Outcome]]]
_orders = count()


async def test_durable_beside_the_same_stack_without_io(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with throwaway_folder() as folder:
        async with rig(folder, ("directory", "intake")) as running:
            assert running.stack.process is not None
            places = await reference.locations(running.stack.process.running["intake"].engine.pool, set(STORES))
            ways: dict[str, Submit] = {"durable": usecases.submit, "without I/O": partial(unstored, places)}
            found: dict[str, dict[str, list[tuple[float, Cpu]]]] = {shape: {way: [] for way in ways} for shape in SHAPES}
            await running.post(placed(PATIENTS))
            for n in range(ROUNDS + 1):
                for shape in SHAPES:
                    for way, submit in ways.items():
                        monkeypatch.setattr(usecases, "submit", submit)
                        one = await measured(running, *SHAPES[shape])
                        # The first warms connections and statements.
                        found[shape][way] += [one] if n else []
                calibrate()
    with capsys.disabled():
        for shape, by_way in found.items():
            ratios = [durable / bare for (durable, _), (bare, _) in zip(*by_way.values(), strict=True)]
            note(f"durable intake, {shape}: rate beside the same stack without I/O", median(ratios), at_least=SHARE, spread=spread(ratios))
            for way, rounds in by_way.items():
                middle = sorted(rounds, key=lambda one: one[0])[len(rounds) // 2]
                print(f"  {way}: {middle[0]:,.0f} events/s; CPU an event in µs: {middle[1].per(SHAPES[shape][2])}")
    assert all(len(rounds) == ROUNDS for by_way in found.values() for rounds in by_way.values())


async def measured(running: Rig, batch: int, lanes: int, many: int) -> tuple[float, Cpu]:
    """Events a second from the first request to the last answer, and who used the machine."""
    events, meter = placed(many), running.meter
    before = meter.now()
    posted = await running.post(events, batch=batch, lanes=lanes)
    spent = meter.since(before)
    return many / (max(posted.answered) - posted.began), spent


async def unstored(places: Mapping[str, reference.Location], desk: Desk, arrivals: Sequence[Arrival]) -> list[Outcome]:
    """In the place of `submit`: each arrival is judged as it would be, and nothing is kept."""
    now = desk.engine.clock.now()
    judged = [domain.judge(arrival, now, places) for arrival in arrivals]
    return [Outcome(arrival, "rejected" if arrival.problem else "accepted", arrival.problem) for arrival in judged]


def placed(many: int) -> list[Event]:
    """So many new orders of patients who are known after the first `PATIENTS`."""
    numbers = [next(_orders) for _ in range(many)]
    return [
        event(
            "pos.order.placed", MORNING - timedelta(hours=1), location_id=STORES[n % len(STORES)], patient=patient(n % PATIENTS),
            order_id=f"order-{n}", product="progressive lenses", lab="lab-2",
        )
        for n in numbers
    ]  # fmt: skip
