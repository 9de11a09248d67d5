"""Killed between every two steps of the ladder, and once inside a step: each step has fired exactly once (behaviours 15 and 17)."""

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from tests.support.builders import BAY, BEN, EVE, PHONES, SAM, Patient, three_trips
from tests.support.eventually import eventually
from tests.support.process import Process, outside, process
from tests.support.servers import throwaway_folder
from tests.support.stack import Amends

pytestmark = pytest.mark.e2e

# Minutes after the case was opened: the acknowledgement is late, the region, the region again, and again.
STEPS = (15, 30, 60, 90)
TOLD = ((1, 1, 0), (1, 1, 1), (1, 1, 2), (1, 1, 3))
# The step that is killed inside its transaction: its timer is deleted, the case is written, the event is not.
INSIDE = 30
WAITING = "select exists(select 1 from pg_locks where relation = 'escalation.case_events'::regclass and not granted)"
FIRED_TWICE = """
select count(*) from (
    select 1 from escalation.timers_done where outcome = 'fired' group by kind, subject, name, generation having count(*) > 1
) t
"""
FIRED = "select count(*) from escalation.timers_done where outcome = 'fired' and kind = 'step' and subject = $1"


@pytest.mark.timeout(290)
async def test_15_17_kill_9_between_every_two_steps_and_inside_one_fires_each_once() -> None:
    """Goal: no page is missed and none is doubled. Method: the process dies as in a power cut after each step, and once while a step's
    transaction waits for a lock that the test holds; business time stands still in between."""
    with throwaway_folder() as folder:
        data = folder / "data"
        async with process(data) as (running, url):
            async with outside(url, running.key) as amends:
                await amends.http.post("/dev/clock", json={"rate": 0})
                opened = await amends.open_hours(hours=3)
                kira = Patient("Kira Example")
                await amends.send(*three_trips(kira, "order-kira", now=opened, store=BAY))
                case = await amends.case_of(kira.ref)
            for minutes, told in zip(STEPS, TOLD, strict=True):
                await running.kill()
                url = await running.start()
                if minutes == INSIDE:
                    await _kill_inside(running, url, data, opened + timedelta(minutes=minutes))
                    url = await running.start()
                async with outside(url, running.key) as amends:
                    await _advance_to(amends, opened + timedelta(minutes=minutes))
                    assert await _pages(amends, case["reference"]) == told, f"after {minutes} minutes"
            conn = await asyncpg.connect(_dsn(data))
            try:
                assert await conn.fetchval(FIRED_TWICE) == 0
                assert await conn.fetchval(FIRED, case["id"]) == len(STEPS) - 1
            finally:
                await conn.close()
            assert await running.command("parked", "list") == "Nothing is parked."
            assert await running.stop() == 0


async def _kill_inside(running: Process, url: str, data: Path, due: datetime) -> None:
    """Let the step fire up to the point where it writes its event, and kill it there."""
    conn = await asyncpg.connect(_dsn(data))
    async with outside(url, running.key) as amends:
        lock = conn.transaction()
        await lock.start()
        await conn.execute("lock table escalation.case_events in share mode")
        moving = asyncio.create_task(_advance_to(amends, due))
        await eventually(lambda: conn.fetchval(WAITING), within_seconds=30)
        await running.kill()
        moving.cancel()
        await asyncio.gather(moving, return_exceptions=True)
    conn.terminate()


async def _advance_to(amends: Amends, at: datetime) -> None:
    await amends.advance(seconds=max((at - await amends.now()).total_seconds(), 0))


async def _pages(amends: Amends, reference: str) -> tuple[int, ...]:
    """How many pages about the case its owner, the manager and the region got."""
    texts = [await amends.texts(PHONES[who]) for who in (SAM, BEN, EVE)]
    return tuple(sum(reference in text and "Reply ACK" in text for text in found) for found in texts)


def _dsn(data: Path) -> str:
    return str(json.loads((data / "run.json").read_text("utf-8"))["dsn"])
