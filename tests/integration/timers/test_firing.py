"""Timers on a real PostgreSQL: each fires once, never early, or is cancelled for a reason; what cannot be handled is parked alone."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared import timers
from shared.kernel.decision import Cancel, Decision, Schedule, Timer
from shared.kernel.errors import Poison, Rejected, Transient, Unready
from shared.messaging import Transaction
from shared.timers import Due, Loop, due
from tests.integration.engine.bed import NOON, Bed, incident
from tests.support.eventually import eventually

MINUTE = timedelta(minutes=1)


class World:
    """A loop whose handler writes down what it fired; `troubles` by the timer's name, `later` what a timer's firing asks for."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.fired: list[tuple[str, str, datetime]] = []
        self.troubles: dict[str, Exception] = {}
        self.raw: dict[str, Exception] = {}
        self.later: dict[str, tuple[Timer, ...]] = {}
        self.loop = Loop(bed.engine, {"deadline": self.when_due, "other": self.when_due, "lazy": self.when_lazy})

    async def when_due(self, tx: Transaction, asked: Sequence[Due]) -> None:
        fired = await timers.fire(tx, asked)
        found: list[Due] = []

        def decide(one: Due) -> None:
            if one.name in self.troubles:
                raise self.troubles[one.name]
            tx.apply(Decision(None, (incident(one.subject, one.name),), self.later.get(one.name, ())))
            found.append(one)

        tx.decide_each(fired, decide)
        for one in found:
            if one.name in self.raw:
                raise self.raw[one.name]
        tx.after_commit(lambda: self.remember(found))

    async def when_lazy(self, tx: Transaction, asked: Sequence[Due]) -> None:
        """Forgets to fire."""

    async def remember(self, found: list[Due]) -> None:
        self.fired += [(one.subject, one.name, one.due_at) for one in found]

    async def set(self, *asked: Timer) -> None:
        async with self.bed.engine.transaction() as tx:
            tx.apply(Decision(None, (), asked))

    async def round(self) -> int:
        read = await self.loop.once()
        await self.bed.engine.settle(5)
        return read

    async def at(self, moment: datetime, *, rounds: int = 30) -> list[str]:
        """Names fired by `moment`, in order."""
        self.bed.clock.jump_to(moment)
        for _ in range(rounds):
            if not await self.round():
                break
        return self.names()

    def names(self) -> list[str]:
        return [name for _, name, _ in self.fired]

    async def rows(self, table: str, columns: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self.bed.pool.fetch(f"select {columns} from {table} order by name")]


@pytest.fixture
def world(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(due, "BETWEEN_TRIES", 0.001)
    bed.clock.business_at = NOON
    return World(bed)


def schedule(name: str, minutes: float | None, *, subject: str = "S", generation: int = 0, kind: str = "deadline") -> Schedule:
    return Schedule(kind, subject, name, generation, None if minutes is None else NOON + minutes * MINUTE, {"n": 1})


async def test_a_timer_fires_once_at_its_time_and_leaves_its_proof(world: World) -> None:
    await world.set(schedule("a", 10))
    assert await world.at(NOON + 10 * MINUTE - timedelta(microseconds=1)) == []
    assert await world.at(NOON + 10 * MINUTE) == ["a"]
    assert await world.at(NOON + 99 * MINUTE) == ["a"]
    assert await world.rows("timers_done", "name, outcome, reason, due_at, fired_at") == [
        ("a", "fired", "due", NOON + 10 * MINUTE, NOON + 10 * MINUTE)
    ]


async def test_two_loops_fire_each_once(world: World) -> None:
    await world.set(*[schedule(f"t{n:02}", 1, subject=f"S{n}") for n in range(60)])
    world.bed.clock.jump_to(NOON + 5 * MINUTE)
    twin = Loop(world.bed.engine, {"deadline": world.when_due})
    await asyncio.gather(*(loop.once() for loop in (world.loop, twin, world.loop, twin)))
    await world.bed.engine.settle(5)
    assert sorted(world.names()) == [f"t{n:02}" for n in range(60)]
    assert await world.bed.pool.fetchval("select count(*) from outbox") == 60


async def test_a_moved_timer_fires_at_its_new_time_and_a_paused_one_not(world: World) -> None:
    await world.set(schedule("moved", 5), schedule("paused", 5, subject="T"), schedule("earlier", 50, subject="U"))
    await world.set(schedule("moved", 20), schedule("paused", None, subject="T"), schedule("earlier", 2, subject="U"))
    assert await world.at(NOON + 10 * MINUTE) == ["earlier"]
    assert await world.at(NOON + 30 * MINUTE) == ["earlier", "moved"]
    assert await world.rows("timers", "name, due_at") == [("paused", None)]
    await world.set(schedule("paused", 40, subject="T"))
    assert (await world.at(NOON + 40 * MINUTE))[-1] == "paused"


async def test_a_timer_moved_while_its_firing_waits_counts_from_its_new_time(world: World) -> None:
    """Goal: what follows counts from the due time it has, not from the one that was read before the lock."""
    await world.set(schedule("a", 5))
    read = [Due("deadline", "S", "a", 0, NOON + 5 * MINUTE, {})]
    await world.set(schedule("a", 7))
    world.bed.clock.jump_to(NOON + 9 * MINUTE)
    async with world.bed.engine.transaction() as tx:
        assert [(one.due_at, one.data) for one in await timers.fire(tx, read)] == [(NOON + 7 * MINUTE, {"n": 1})]


async def test_cancelled_timers_leave_their_reason_and_never_fire(world: World) -> None:
    await world.set(schedule("a", 5), schedule("b", 5), schedule("b", 6, generation=1), schedule("c", 5, kind="other"))
    await world.set(Cancel("deadline", "S", "resolved", name="a"), Cancel("deadline", "S", "replaced", name="b", generation=0))
    assert await world.at(NOON + 9 * MINUTE) == ["c", "b"]
    done = await world.rows("timers_done", "name, generation, outcome, reason")
    assert sorted(done) == [
        ("a", 0, "cancelled", "resolved"), ("b", 0, "cancelled", "replaced"), ("b", 1, "fired", "due"), ("c", 0, "fired", "due"),
    ]  # fmt: skip


async def test_after_downtime_a_subjects_timers_fire_in_their_order_and_what_follows_counts_from_them(world: World) -> None:
    await world.set(*[schedule(f"t{n}", 10 * n, kind="other" if n % 2 else "deadline") for n in (3, 1, 4, 2)])
    world.later["t1"] = (schedule("t1-later", 15),)
    world.later["t2"] = (Cancel("deadline", "S", "resolved", name="t4"),)
    assert await world.at(NOON + 600 * MINUTE) == ["t1", "t1-later", "t2", "t3"]
    assert [at for _, _, at in world.fired] == [NOON + n * MINUTE for n in (10, 15, 20, 30)]


async def test_more_than_a_batch_of_one_subject_comes_to_its_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due, "BATCH", 3)
    await world.set(*[schedule(f"t{n}", n) for n in range(9)], schedule("x", 5, subject="T"))
    names = await world.at(NOON + 60 * MINUTE)
    assert [name for name in names if name != "x"] == [f"t{n}" for n in range(9)]
    assert "x" in names


async def test_r16_of_a_backlog_the_freshest_deadlines_come_first_and_nothing_waits_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: what becomes due while a backlog is worked off is not late by all of it; the oldest go on all the same, and a subject's timers
    keep their order. Method: batches of four of a backlog of twenty; one that is due by now each round, the first of a subject with a
    deadline in the backlog."""
    monkeypatch.setattr(due, "BATCH", 4)
    await world.set(*[schedule(f"old{n:02}", n, subject=f"S{n}") for n in range(20)])
    await world.set(schedule("fresh0", 60, subject="S10"))
    rounds = []
    for n in range(1, 4):
        world.bed.clock.jump_to(NOON + (59 + n) * MINUTE)
        before = len(world.fired)
        await world.round()
        rounds.append(set(world.names()[before:]))
        await world.set(schedule(f"fresh{n}", 60 + n, subject=f"T{n}"))
    assert rounds == [
        {"old10", "old19", "old00", "old01"},
        {"fresh1", "fresh0", "old02", "old03"},
        {"fresh2", "old18", "old04", "old05"},
    ]
    assert sorted(await world.at(NOON + 90 * MINUTE)) == [*(f"fresh{n}" for n in range(4)), *(f"old{n:02}" for n in range(20))]


@pytest.mark.parametrize("how", ["troubles", "raw"])
async def test_a_broken_timer_is_parked_alone_and_nothing_of_it_is_done(world: World, how: str) -> None:
    """Goal: neither its effect nor its proof is written, whether its own rule breaks or the batch around it."""
    await world.set(*[schedule(f"t{n}", 1, subject=f"S{n}") for n in range(6)])
    getattr(world, how)["t3"] = ValueError("a bug")
    assert await world.at(NOON + 5 * MINUTE) and await world.round() == 0
    assert sorted(world.names()) == ["t0", "t1", "t2", "t4", "t5"]
    assert await world.rows("timers", "name, parked_reason") == [("t3", "ValueError: a bug")]
    assert len(await world.rows("timers_done", "name")) == await world.bed.pool.fetchval("select count(*) from outbox") == 5
    getattr(world, how).clear()
    await world.set(schedule("t3", 1, subject="S3"))
    assert "t3" in await world.at(NOON + 6 * MINUTE)


@pytest.mark.parametrize("how", ["troubles", "raw"])
async def test_what_each_error_family_does_to_a_timer(world: World, how: str) -> None:
    names = ("fine", "poison", "refused", "unready")
    await world.set(*[schedule(name, 1, subject=name) for name in names])
    getattr(world, how).update(
        poison=Poison("impossible", "no such year"), refused=Rejected("already-closed"), unready=Unready("location store-12")
    )
    await world.at(NOON + 5 * MINUTE, rounds=6)
    assert world.names() == ["fine"]
    assert sorted(name for (name,) in await world.rows("timers_done", "name")) == ["fine", "refused"]
    assert [tuple(r) for r in await world.bed.pool.fetch("select door, code from rejections")] == [("timer", "already-closed")]
    rows = await world.rows("timers", "name, parked_reason")
    assert [row[0] for row in rows] == ["poison", "unready"] and "no such year" in rows[0][1] and rows[1][1] is None
    getattr(world, how).clear()
    assert await world.at(NOON + 6 * MINUTE) == ["fine", "unready"]


async def test_what_never_gets_ready_is_parked_after_a_bound(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due, "TRIES_WAITING", 5)
    await world.set(schedule("a", 1))
    world.troubles["a"] = Unready("location store-12")
    await world.at(NOON + 5 * MINUTE)
    assert await world.rows("timers", "name, parked_reason") == [("a", "waiting: waiting for location store-12")]


async def test_a_handler_that_does_not_fire_is_no_endless_loop(world: World) -> None:
    await world.set(schedule("lazy", 1, kind="lazy"), schedule("a", 1, subject="T"))
    await world.at(NOON + 5 * MINUTE)
    assert await world.rows("timers", "name, parked_reason") == [("lazy", "its handler does not fire it")]
    assert world.names() == ["a"]


async def test_a_kind_without_handler_is_parked(world: World) -> None:
    await world.set(schedule("a", 1, kind="unheard"), schedule("b", 1, subject="T"))
    assert await world.at(NOON + 5 * MINUTE) == ["b"]
    assert await world.rows("timers", "name, parked_reason") == [("a", "no handler for unheard")]


async def test_a_world_that_is_down_parks_nothing_and_holds_up_no_other_kind(world: World) -> None:
    await world.set(schedule("down", 1), schedule("fine", 2, kind="other", subject="T"))
    world.raw["down"] = Transient("away")
    world.bed.clock.jump_to(NOON + 5 * MINUTE)
    for _ in range(5):
        with pytest.raises(Transient):
            await world.round()
    assert world.names() == ["fine"]
    world.raw.clear()
    assert await world.at(NOON + 6 * MINUTE) == ["fine", "down"]
    assert await world.rows("timers", "name") == []


async def test_a_running_loop_wakes_for_an_earlier_timer(world: World) -> None:
    world.bed.clock.set_rate(1)
    task = asyncio.create_task(world.loop.run())
    try:
        now = world.bed.clock.now()
        await world.set(Schedule("deadline", "S", "late", 0, now + timedelta(hours=1)))
        await world.set(Schedule("deadline", "S", "soon", 0, now + timedelta(milliseconds=50)))
        await eventually(lambda: world.names() == ["soon"])
    finally:
        task.cancel()
        world.bed.clock.set_rate(0)
    assert world.fired[0][2] == now + timedelta(milliseconds=50)


async def test_timers_fire_while_everybody_else_waits_for_a_connection(world: World) -> None:
    """Goal: what is due does not wait behind requests and texts. Method: every connection that can be had is taken."""
    pool = world.bed.pool
    running = asyncio.create_task(world.loop.run())
    try:
        await world.set(schedule("before", 0))
        await eventually(lambda: world.names() == ["before"], within_seconds=10)
        await world.set(schedule("due", 0, subject="T"), schedule("later", 1, subject="U"))
        taken = []
        with contextlib.suppress(TimeoutError):
            while True:
                taken.append(await pool.acquire(timeout=0.5))
        world.bed.clock.jump_to(NOON + MINUTE)
        try:
            await eventually(lambda: world.names() == ["before", "due", "later"], within_seconds=10)
        finally:
            for conn in taken:
                await pool.release(conn)
    finally:
        running.cancel()


async def test_the_loop_goes_on_with_another_connection_when_its_own_is_lost(world: World) -> None:
    running = asyncio.create_task(world.loop.run())
    try:
        await world.set(schedule("before", 0))
        await eventually(lambda: world.names() == ["before"], within_seconds=10)
        await world.bed.pool.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        )
        await world.set(schedule("after", 0, subject="T"))
        await eventually(lambda: world.names() == ["before", "after"], within_seconds=10)
    finally:
        running.cancel()


async def test_only_what_is_due_before_its_next_look_wakes_the_loop(world: World) -> None:
    """Goal: a case's deadlines of tomorrow cost no look; what is due by now does, also where the clock was moved while the loop slept."""
    engine = world.bed.engine
    running = asyncio.create_task(world.loop.run())
    try:
        await eventually(lambda: engine.timers_until is not None)
        await world.set(Schedule("deadline", "S", "tomorrow", 0, NOON + timedelta(days=1)), Cancel("other", "S", "nothing there"))
        assert not engine.timers_wake.is_set()
        world.bed.clock.jump_to(NOON + MINUTE)
        await world.set(Schedule("deadline", "S", "now", 0, NOON + MINUTE))
        assert engine.timers_wake.is_set() or world.names() == ["now"]
        await eventually(lambda: world.names() == ["now"])
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
