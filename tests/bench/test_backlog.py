"""A backlog is drained: a hundred thousand incidents of as many patients lie on their topic, and escalation opens a case for each, with its
targets and timers, and says so.

Directory and escalation run embedded; the incidents are sent by this process, which is part of the time.
"""

import asyncio
from datetime import timedelta
from statistics import median

import pytest

from shared.contracts.envelope import Envelope
from shared.contracts.incidents import INCIDENTS, Incident, IncidentReported, Trip
from shared.kernel.ids import new_id
from shared.messaging import Engine
from shared.messaging.records import headers_of
from tests.bench.figures import calibrate, note
from tests.bench.hop import Message, producer_on, send
from tests.bench.rig import STORES, rig
from tests.support.builders import MORNING
from tests.support.eventually import eventually
from tests.support.servers import throwaway_folder

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]
BACKLOG, WARMING, WITHIN = 100_000, 2_000, 60.0
GIVEN_UP_AFTER = 600.0


async def test_a_hundred_thousand_incidents(capsys: pytest.CaptureFixture[str]) -> None:
    rates: list[float] = []
    with throwaway_folder() as folder:
        async with rig(folder, ("directory", "escalation")) as running:
            stack = running.stack
            assert stack.process is not None and stack.kafka is not None
            engine, relay = (one := stack.process.running["escalation"]).engine, one.relay
            async with producer_on(stack.kafka.bootstrap_servers) as producer:
                await send(producer, INCIDENTS, incidents(0, WARMING))
                await eventually(lambda: taken(engine) == WARMING, within_seconds=60)
                calibrate()
                what, before = incidents(WARMING, BACKLOG), running.meter.now()
                sending = asyncio.create_task(send(producer, INCIDENTS, what))
                while taken(engine) < WARMING + BACKLOG and running.meter.since(before).wall < GIVEN_UP_AFTER:
                    was, at = taken(engine), running.meter.now()
                    await asyncio.sleep(1)
                    rates.append((taken(engine) - was) / running.meter.since(at).wall)
                await sending
            await eventually(lambda: relay.is_idle and not engine.busy, within_seconds=60)
            spent, drained = running.meter.since(before), taken(engine) - WARMING
            calibrate()
    with capsys.disabled():
        note(f"backlog of {BACKLOG:,} incidents, a case opened of each: drained after", spent.wall, " s", at_most=WITHIN)
        print(f"  {median(rates):,.0f} cases/s in the median second; CPU a case in µs: {spent.per(drained)}")
    assert drained == BACKLOG


def taken(engine: Engine) -> int:
    """How many records of the topic are done."""
    return sum(offset for (topic, _), offset in engine.done.items() if topic == INCIDENTS)


def incidents(first: int, many: int) -> list[Message]:
    """Third trips of so many patients, as intake says them."""
    made = []
    for n in range(first, first + many):
        key = f"P-{n}"
        trips = tuple(Trip(visit_id=new_id(), on=(MORNING - timedelta(days=days)).date()) for days in (14, 7, 0))
        event = IncidentReported(
            incident=Incident(
                incident_id=new_id(), incident_type="repeat_visit", catalyst="fit_adjustment", location_id=STORES[n % len(STORES)],
                patient_ref=key, root_order_id=f"o-{n}", order_id=f"o-{n}", occurred_at=MORNING, reported_at=MORNING, repeat_count=3,
                trips=trips, payer_class="commercial", source="pos/elm-street", source_id=f"e-{n}",
            )
        )  # fmt: skip
        headers = headers_of(Envelope(new_id(), event.type_name, "amends/intake", MORNING, key))
        made.append((key.encode(), event.model_dump_json(exclude_none=True).encode(), headers))
    return made
