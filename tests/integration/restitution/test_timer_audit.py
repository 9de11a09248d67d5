"""Behaviour 17 in restitution: a payout that is under way has its timer, and the auditor sees where it has not."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from services.restitution import usecases
from services.restitution.gateway import Refused, Unclear
from shared.timers import Auditor, findings
from tests.integration.restitution.conftest import World
from tests.integration.restitution.test_payouts import Scripted, lease_runs_out, offered, with_gateway

PENDING = "select kind, name from timers order by name"


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def at_rest(world: World) -> AsyncIterator[None]:
    """Nothing of another test is under way, and nothing was found of it."""
    await world.runs()
    await world.engine.pool.execute("delete from timer_findings")
    yield


async def found(world: World) -> list[tuple[str, str]]:
    return sorted((row["fault"], row["name"]) for row in await findings(world.engine.pool))


async def test_17_no_way_that_a_payout_goes_leaves_a_finding(world: World) -> None:
    """Method: paid at once, refused and tried again, unclear and looked up, unclear to the end, taken back; a look after each step."""
    auditor = Auditor(world.engine, usecases.check_timers)
    for answers, looks in (
        ([], []),
        ([Refused("busy"), Refused("busy")], []),
        ([Unclear("?")], []),
        ([Unclear("?")], [Unclear("?")] * 4),
    ):
        one = with_gateway(world, Scripted(answers=list(answers), looks=list(looks)))
        case_id = await offered(one)
        await auditor.look()
        assert await found(world) == []
        for _ in range(7):
            await one.runs()
            await auditor.look()
            assert await found(world) == []
            await lease_runs_out(one)
            await one.passes(timedelta(minutes=3))
        assert (await one.the_one(case_id))["status"] in ("settled", "payout_uncertain")


@pytest.mark.parametrize("answer", [None, Unclear("?")], ids=["before it is asked for", "while nobody knows"])
async def test_17_the_timer_of_a_payout_deleted_by_hand_is_missing_within_one_look(world: World, answer: Unclear | None) -> None:
    one = with_gateway(world, Scripted(answers=[answer] if answer else []))
    case_id = await offered(one)
    if answer is not None:
        await one.runs()
    ((_, name),) = await world.engine.pool.fetch(PENDING)
    await world.engine.pool.execute("delete from timers")
    auditor = Auditor(world.engine, usecases.check_timers)
    await auditor.look()
    assert await found(world) == [("missing", name)]
    restitution = (await one.the_one(case_id))["id"]
    (row,) = await findings(world.engine.pool)
    async with world.engine.pool.acquire() as conn:
        cases = await usecases.timer_cases(conn, [(await conn.fetchval("select $1::text::uuid", row["subject"]))])
    assert row["subject"] == restitution and list(cases.values()) == [case_id]
    await world.engine.pool.execute("update restitutions set payout_state = 'none' where restitution_id::text = $1", restitution)


async def test_17_a_timer_of_a_payout_that_is_over_is_left_over(world: World) -> None:
    case_id = await offered(world)
    await world.runs()
    await world.engine.pool.execute(
        "insert into timers (kind, subject, name, generation, due_at, data)"
        " values ('payout', $1, 'send', 9, now() + interval '9 years', '{}')",
        (await world.the_one(case_id))["id"],
    )
    await Auditor(world.engine, usecases.check_timers).look()
    assert await found(world) == [("left_over", "send")]
    await world.engine.pool.execute("delete from timers")
