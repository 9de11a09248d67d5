"""Paid exactly once, whatever dies on the way; and the books that the database itself guards."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from services.restitution import store, usecases
from services.restitution import timers as doors
from services.restitution.gateway import Answer, CodeGateway, Order, Paid, PayoutGateway, Refused, Unclear
from shared import timers
from shared.kernel.errors import Transient
from shared.kernel.ids import new_id
from tests.integration.restitution.conftest import World, trips
from tests.support.eventually import eventually


@dataclass
class Scripted:
    """A gateway that pays at most once per id, and whose answers are lost as told."""

    answers: list[Answer] = field(default_factory=list)
    looks: list[Answer] = field(default_factory=list)
    paid: set[UUID] = field(default_factory=set)
    asked: int = 0

    async def pay(self, order: Order) -> Answer:
        self.asked += 1
        answer = self.answers.pop(0) if self.answers else Paid()
        if not isinstance(answer, Refused):
            self.paid.add(order.payout_id)
        return answer

    async def look_up(self, order: Order) -> Answer:
        if self.looks:
            return self.looks.pop(0)
        return Paid() if order.payout_id in self.paid else Refused("not paid")


def with_gateway(world: World, gateway: PayoutGateway) -> World:
    desk = replace(world.desk, gateway=gateway)
    return replace(world, desk=desk, loop=timers.Loop(world.engine, doors.kinds(desk)))


async def offered(world: World) -> UUID:
    opened = world.case(trips=trips(3))
    await world.hears(opened, world.confirmed(opened.case_id))
    case_id: UUID = opened.case_id
    return case_id


async def lease_runs_out(world: World) -> None:
    await world.engine.pool.execute("update restitutions set payout_lease_until = clock_timestamp() where payout_state = 'paying'")


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def at_rest(world: World) -> AsyncIterator[None]:
    """No payout of an earlier test is left over."""
    await world.runs()
    yield


async def test_a_lost_answer_is_looked_up_and_settles_without_asking_again(world: World) -> None:
    gateway = Scripted(answers=[Unclear("the line broke")])
    world = with_gateway(world, gateway)
    case_id = await offered(world)
    await world.runs()
    assert (await world.the_one(case_id))["status"] == "offered"
    await lease_runs_out(world)
    await world.passes(timedelta(seconds=31))
    assert (await world.the_one(case_id))["status"] == "settled"
    assert gateway.asked == 1
    assert [kind for kind, _ in await world.said(case_id)].count("settled") == 1


async def test_a_crash_between_payout_and_write_settles_and_pays_nothing_again(world: World) -> None:
    """Goal: killed after the provider paid and before the result was written. Method: its call is cut off; the lease ends."""

    class Killed(Scripted):
        async def pay(self, order: Order) -> Answer:
            await super().pay(order)
            raise asyncio.CancelledError

    gateway = Killed()
    dying = with_gateway(world, gateway)
    case_id = await offered(dying)
    await dying.loop.once()
    await dying.engine.settle(5)
    survivor = with_gateway(world, gateway)
    await lease_runs_out(survivor)
    await survivor.passes(timedelta(seconds=31))
    found = await survivor.the_one(case_id)
    assert (found["status"], gateway.asked, len(gateway.paid)) == ("settled", 1, 1)
    assert await survivor.ledger(case_id) == [("goodwill", -2610, "posted"), ("patient", 2610, "posted")]


async def test_a_worker_paused_beyond_its_lease_writes_nothing(world: World) -> None:
    """Goal: the fencing token. Method: the first worker's answer is held back until a second one has looked and settled."""
    gate = asyncio.Event()

    class Slow(Scripted):
        async def pay(self, order: Order) -> Answer:
            answer = await super().pay(order)
            await gate.wait()
            return answer

    gateway = Slow()
    slow = with_gateway(world, gateway)
    case_id = await offered(slow)
    await slow.loop.once()
    await asyncio.sleep(0.05)
    await lease_runs_out(slow)
    slow.clock.jump_to(slow.clock.now() + timedelta(seconds=31))
    await slow.loop.once()

    async def settled() -> bool:
        return bool((await slow.the_one(case_id))["status"] == "settled")

    await eventually(settled)
    gate.set()
    await slow.runs()
    assert gateway.asked == 1
    assert [kind for kind, _ in await slow.said(case_id)].count("settled") == 1


async def test_where_neither_can_tell_a_person_decides_and_nothing_is_paid_by_itself(world: World) -> None:
    gateway = Scripted(answers=[Unclear("?")], looks=[Unclear("?")] * 3)
    world = with_gateway(world, gateway)
    case_id = await offered(world)
    await world.runs()
    for _ in range(4):
        await lease_runs_out(world)
        await world.passes(timedelta(seconds=31))
    found = await world.the_one(case_id)
    assert (found["status"], gateway.asked) == ("payout_uncertain", 1)
    left = await world.engine.pool.fetchval("select count(*) from timers where subject = $1", found["id"])
    assert left == 0


async def test_a_clear_refusal_is_tried_again_later_and_paid(world: World) -> None:
    gateway = Scripted(answers=[Refused("not now"), Paid()])
    world = with_gateway(world, gateway)
    case_id = await offered(world)
    await world.runs()
    assert (await world.the_one(case_id))["status"] == "offered"
    await world.passes(timedelta(seconds=31))
    assert ((await world.the_one(case_id))["status"], gateway.asked) == ("settled", 2)


async def test_a_lease_that_still_runs_keeps_its_worker_though_business_time_jumped(world: World) -> None:
    gateway = Scripted(answers=[Unclear("?")])
    world = with_gateway(world, gateway)
    case_id = await offered(world)
    await world.runs()
    await world.passes(timedelta(hours=2))
    assert ((await world.the_one(case_id))["status"], gateway.asked) == ("offered", 1)
    await lease_runs_out(world)
    await world.passes(timedelta(hours=2))
    assert (await world.the_one(case_id))["status"] == "settled"


async def test_batches_over_the_same_stores_in_any_order_do_not_block_each_other(world: World) -> None:
    """Goal: no deadlock between settlements and proposals of several stores. Method: many batches at once, their stores shuffled."""
    places = ["store-12", "store-13", "store-15"]

    async def batch(n: int) -> list[UUID]:
        turned = places[n % 3 :] + places[: n % 3]
        opened = [world.case(trips=trips(3, miles="0.1"), location_id=place) for place in turned]
        await world.hears(*opened)
        await world.hears(*(world.confirmed(event.case_id, location_id=event.location_id) for event in opened))
        await world.loop.once()
        return [event.case_id for event in opened]

    cases = [case_id for made in await asyncio.gather(*(batch(n) for n in range(12))) for case_id in made]
    await world.runs()
    assert {(await world.the_one(case_id))["status"] for case_id in cases} == {"settled"}


async def test_one_code_however_often_it_is_asked_for_and_side_by_side(world: World) -> None:
    order = Order(new_id(), 2610, "USD")
    gateway = world.desk.gateway
    assert isinstance(gateway, CodeGateway)
    answers = await asyncio.gather(*(gateway.pay(order) for _ in range(20)))
    assert {type(answer) for answer in answers} == {Paid}
    assert await world.engine.pool.fetchval("select count(*) from payout_codes where payout_id = $1", order.payout_id) == 1
    assert isinstance(await gateway.look_up(Order(new_id(), 1, "USD")), Refused)


async def test_a_database_that_is_away_leaves_the_answer_open() -> None:
    async def down(*_: Any) -> Any:
        raise Transient("away")

    gateway = CodeGateway(down, down)
    order = Order(new_id(), 1, "USD")
    assert isinstance(await gateway.pay(order), Unclear)
    assert isinstance(await gateway.look_up(order), Unclear)


async def test_each_timer_fired_once_with_its_proof(world: World) -> None:
    case_id = await offered(world)
    await world.runs()
    found = await world.the_one(case_id)
    rows = await world.engine.pool.fetch("select name, outcome from timers_done where subject = $1 order by name", found["id"])
    assert [tuple(row) for row in rows] == [("look-1", "cancelled"), ("send", "fired")]


@pytest.mark.parametrize(
    "crime",
    [
        "update ledger set amount_minor = amount_minor * 2",
        "update ledger set state = 'pending' where state = 'posted'",
        "update ledger set state = 'voided' where state = 'posted'",
        "update ledger set account = 'goodwill:mine'",
        "delete from ledger",
        "truncate ledger",
    ],
)
async def test_the_ledger_refuses_to_be_changed(world: World, owner: "asyncpg.Connection[asyncpg.Record]", crime: str) -> None:
    await offered(world)
    await world.runs()
    with pytest.raises(asyncpg.RaiseError):
        await owner.execute(crime)


@pytest.mark.parametrize("legs", [[(1, 100), (2, -99)], [(1, 100)], [(1, 50), (2, -25), (3, -25)]])
async def test_an_entry_that_is_no_pair_summing_to_zero_does_not_commit(world: World, legs: list[tuple[int, int]]) -> None:
    case_id = await offered(world)
    restitution_id = UUID((await world.the_one(case_id))["id"])
    entry_id = new_id()
    with pytest.raises(asyncpg.RaiseError):
        async with world.engine.pool.acquire() as conn, conn.transaction():
            for leg, amount in legs:
                await conn.execute(
                    "insert into ledger values ($1, $2, $3, 'reversal', 'x', $4, 'USD', 'posted', now(), now())",
                    entry_id, leg, restitution_id, amount,
                )  # fmt: skip


async def test_one_leg_alone_is_not_posted(world: World) -> None:
    opened = world.case(trips=trips(3))
    await world.hears(opened)
    restitution_id = UUID((await world.the_one(opened.case_id))["id"])
    with pytest.raises(asyncpg.RaiseError):
        await world.engine.pool.execute("update ledger set state = 'posted' where restitution_id = $1 and leg = 1", restitution_id)


async def test_a_visit_two_transactions_decide_about_is_paid_by_one(world: World) -> None:
    """Goal: two cases that share trips (a patient told apart later) pay each once. Method: both transactions at once, then a retry."""
    made = trips(3)
    first, second = world.case(trips=made), world.case(trips=made)

    async def take(event: Any) -> None:
        for _ in range(5):
            try:
                async with world.engine.transaction() as tx:
                    await usecases.take_cases(world.desk, tx, [world.fact(event)])
                    await asyncio.sleep(0.05)
                return
            except asyncpg.UniqueViolationError:
                continue
        raise AssertionError("never through")

    await asyncio.gather(take(first), take(second))
    both = [*await world.of_case(first.case_id), *await world.of_case(second.case_id)]
    assert [item["amount_minor"] for item in both] == [2610]
    async with world.engine.pool.acquire() as conn:
        assert len(await store.decided_trips(conn, [trip.visit_id for trip in made])) == 2
