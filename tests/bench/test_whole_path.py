"""The whole path: an event is posted, a case opened, gas money proposed, the patient's receipt and the owner's page composed and handed to
the adapter. Everything runs embedded in one process on this machine, with the generator beside it.

A case is the third trip for one order; the order and the trips before it are told beforehand and not measured.
"""

from datetime import timedelta
from itertools import count
from statistics import median

import pytest

from tests.bench.rig import STORES, Rig, patient, percentile, rig
from tests.support.builders import MORNING, Event, event
from tests.support.servers import throwaway_folder

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]
ROUNDS, EACH = 5, 500
PER_SECOND, PACED = 25, 500
_patients = count()


async def test_a_burst_and_a_steady_pace(capsys: pytest.CaptureFixture[str]) -> None:
    with throwaway_folder() as folder:
        async with rig(folder) as running:
            await burst(running, await two_trips_each(running, EACH))
            rounds = [await burst(running, await two_trips_each(running, EACH)) for _ in range(ROUNDS)]
            waits = await steady(running)
    best = median(round_.rate for round_ in rounds)
    with capsys.disabled():
        print(f"\nwhole path, a burst of {EACH:,} cases, {ROUNDS} rounds: median {best:,.0f} cases/s to the last text", end=" ")
        print(f"({min(r.rate for r in rounds):,.0f} to {max(r.rate for r in rounds):,.0f})")
        for round_ in rounds:
            print(f"  {round_}")
        print(f"whole path at {PER_SECOND}/s, {PACED} cases: p50 {1e3 * median(waits):.0f} ms, p99 {1e3 * percentile(waits, 0.99):.0f} ms")


class Round:
    def __init__(self, rate: float, quiet: float, text: str) -> None:
        self.rate, self._text = rate, f"{rate:,.0f}/s; all quiet after {quiet:.2f} s; CPU an event in µs: {text}"

    def __str__(self) -> str:
        return self._text


async def burst(running: Rig, third: list[Event]) -> Round:
    cases = len(third)
    running.sms.taken.clear()
    meter = running.meter
    before = meter.now()
    posted = await running.post(third)
    await running.quiet()
    cpu = meter.since(before)
    last = running.sms.taken[-1][0]
    receipts = sum(1 for _, number, _ in running.sms.taken if number[2:5] not in ("616", "734"))
    assert receipts == cases, f"{receipts} receipts of {cases}"
    split = f"{cpu.per(cases)}, generator {1e6 * posted.cpu / cases:,.0f}; {len(running.sms.taken):,} texts"
    return Round(cases / (last - posted.began), cpu.wall, split)


async def steady(running: Rig) -> list[float]:
    """Seconds from the moment each event left to its patient's receipt."""
    third = await two_trips_each(running, PACED)
    running.sms.taken.clear()
    posted = await running.post(third, lanes=16, per_second=PER_SECOND)
    await running.quiet()
    left = {e["data"]["patient"]["phone"]: at for e, at in zip(third, posted.left, strict=True)}
    waits = [at - left[number] for at, number, _ in running.sms.taken if number in left]
    assert len(waits) == PACED
    return waits


async def two_trips_each(running: Rig, cases: int) -> list[Event]:
    """The order and two trips of so many new patients are told and digested; gives the third trips."""
    told: list[Event] = []
    third: list[Event] = []
    for number in (next(_patients) for _ in range(cases)):
        someone, order, store = patient(number), f"o-{number}", STORES[number % len(STORES)]
        told.append(event("pos.order.placed", MORNING - timedelta(days=30), location_id=store, patient=someone, order_id=order))
        trips = [
            event(
                "pos.visit.checked_in", MORNING - timedelta(days=days), location_id=store, patient=someone, order_id=order,
                reason="problem", distance_miles=9,
            )
            for days in (14, 7, 0)
        ]  # fmt: skip
        told += trips[:2]
        third.append(trips[2])
    await running.post(told)
    await running.quiet()
    return third
