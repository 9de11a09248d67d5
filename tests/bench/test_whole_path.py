"""The whole path: an event is posted, a case opened, gas money proposed, the patient's receipt and the owner's page composed and handed to
the adapter. Everything runs embedded in one process on this machine, with the generator beside it.

A case is the third trip for one order; the order and the trips before it are told beforehand and not measured.
"""

from datetime import timedelta
from itertools import count
from statistics import median

import pytest

from tests.bench.figures import calibrate, note, spread
from tests.bench.rig import STORES, Rig, patient, percentile, rig
from tests.support.builders import MORNING, Event, event
from tests.support.servers import throwaway_folder

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]
ROUNDS, EACH = 5, 500
PER_SECOND, PACED = 25, 500
CASES_A_SECOND, P50_MS, P99_MS = 1_500.0, 60.0, 250.0
_patients = count()


async def test_a_burst_and_a_steady_pace(capsys: pytest.CaptureFixture[str]) -> None:
    with throwaway_folder() as folder:
        async with rig(folder) as running:
            await burst(running, await two_trips_each(running, EACH))
            rounds = []
            for _ in range(ROUNDS):
                rounds.append(await burst(running, await two_trips_each(running, EACH)))
                calibrate()
            waits = await steady(running)
    rates = [round_.rate for round_ in rounds]
    with capsys.disabled():
        what = f"whole path, a burst of {EACH:,} cases: cases a second to the last text"
        note(what, median(rates), "/s", at_least=CASES_A_SECOND, spread=spread(rates))
        for round_ in rounds:
            print(f"  {round_}")
        what = f"whole path at {PER_SECOND}/s, {PACED} cases: to the patient's text"
        note(f"{what}, p50", 1e3 * median(waits), " ms", at_most=P50_MS)
        note(f"{what}, p99", 1e3 * percentile(waits, 0.99), " ms", at_most=P99_MS)


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
