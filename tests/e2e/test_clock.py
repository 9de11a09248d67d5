"""The clock of a demo stops at each due time until everything that follows is done, what waits for another topic's row included."""

import asyncio

import pytest

from tests.support.builders import ELM, LEE, Patient, three_trips
from tests.support.eventually import eventually
from tests.support.stack import Amends

pytestmark = pytest.mark.e2e


async def test_time_does_not_pass_while_an_event_waits_for_its_patient(amends: Amends) -> None:
    """Goal: no text comes late because a case overtook its patient on another topic. Method: a lock holds up the patient's row."""
    assert amends.stack is not None and amends.stack.process is not None
    engine = amends.stack.process.running["notification"].engine
    opened = await amends.open_hours(hours=1)
    clio = Patient("Clio Example")
    async with engine.pool.acquire() as conn, conn.transaction():
        await conn.execute("lock table patients in share row exclusive mode")
        await amends.post_events(*three_trips(clio, "order-clio", now=opened, store=ELM))

        async def waiting() -> bool:
            found: bool = await engine.pool.fetchval(
                "select exists(select 1 from parked where redriven_at is null and detail like $1)", f"%{clio.ref}%"
            )
            return found

        await eventually(waiting)
        settled = asyncio.create_task(amends.settle())
        await asyncio.sleep(0)
    await settled
    case = await amends.case_of(clio.ref)
    assert [text for text in await amends.texts(clio.phone) if case["reference"] in text]
    await amends.do(f"/v1/cases/{case['id']}/acknowledge", by=LEE)
