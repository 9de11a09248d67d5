"""The loop that wakes a service when its time has come.

Called by the runtime. Sleeps until the next due time (at most a second), wakes on an earlier insert; reads the due in batches, at most one
timer of a subject at a time so that a subject's timers fire in their order; of more than a batch, half from either end. Invariants: a timer
fires never early; a handler that breaks on one timer parks that one alone; a database that is down parks nothing. The loop keeps a
connection of its own: with the pool's next one its timers would wait behind every request and text of a busy service, for seconds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from shared.db import DATABASE_DOWN, Lent, Pool, is_gone
from shared.kernel.errors import Poison, Rejected, Transient, Unready
from shared.messaging.consumer import Engine
from shared.messaging.tracing import Legs
from shared.messaging.transaction import FactFailed, SetAside, Transaction
from shared.telemetry import logs, traces
from shared.telemetry.metrics import (
    TIMERS_FIRED,
    TIMERS_LATE_SECONDS,
    TIMERS_OVERDUE,
    TIMERS_OVERDUE_SECONDS,
    TIMERS_PARKED_NOW,
)
from shared.timers.done import fire
from shared.timers.schedule import Due
from shared.timers.standing import standing

BATCH: Final = 500
SLEEP_MAX: Final = 1.0
TRIES: Final = 3
# For one that waits for a row another topic will bring: as often, this far apart (seconds of machine time), before it is left to a person.
TRIES_WAITING: Final = 100
BETWEEN_TRIES: Final = 0.2
# While the database is away it is asked at least this often: a timer may be late by the outage and two seconds, this among them.
BACKOFF: Final = 0.1
BACKOFF_MAX: Final = 0.8
DOWN: Final[tuple[type[BaseException], ...]] = (Transient, *DATABASE_DOWN)

READ_DUE: Final = """
-- What is due, earliest first.
select kind, subject, name, generation, due_at, data, traceparent from timers
where due_at <= $1 and parked_reason is null order by due_at, created_at, kind, name, generation limit $2
"""
READ_FRESHEST: Final = """
-- Of the subjects that became due last, the earliest that is due of each: a subject's timers keep their order. Each is looked up by its
-- subject (offset 0 leaves no other way): to read all that is due once would cost what there is.
select distinct on (t.subject) t.kind, t.subject, t.name, t.generation, t.due_at, t.data, t.traceparent
from (
    select distinct subject from (
        select subject from timers where due_at <= $1 and parked_reason is null order by due_at desc, created_at desc limit $2
    ) l
) f cross join lateral (
    select * from timers where timers.subject = f.subject and due_at <= $1 and parked_reason is null offset 0
) t
order by t.subject, t.due_at, t.created_at, t.kind, t.name, t.generation
"""
NEXT_DUE: Final = "select min(due_at) from timers where due_at is not null and parked_reason is null"
PARK: Final = """
-- A timer that cannot be handled waits for a person, with the reason.
update timers set parked_reason = $5 where kind = $1 and subject = $2 and name = $3 and generation = $4
"""


TimerHandler = Callable[[Transaction, Sequence[Due]], Awaitable[None]]
Key = tuple[str, str, str, int]


class SomeSetAside(Exception):
    """The handler set timers aside that it may have fired before: what it did is taken back, and done again without them."""

    def __init__(self, aside: Sequence[SetAside]) -> None:
        super().__init__(f"{len(aside)} timers")
        self.aside = aside


class Loop:
    """One per service; `kinds` maps a timer's kind to its handler."""

    def __init__(self, engine: Engine, kinds: Mapping[str, TimerHandler]) -> None:
        self._engine, self._kinds = engine, kinds
        self._tries: dict[Key, int] = {}
        # When each of the last round was due, to find those that their handler leaves lying.
        self._handled: dict[Key, datetime] = {}
        self._left: dict[Key, int] = {}
        self._is_to_try_again = False
        # The connection that the running loop keeps; whoever calls `once` by hand gets the pool's.
        self._lane: Lent | None = None
        self._log = logs.get("timers", service=engine.name)

    async def run(self) -> None:
        """Until cancelled."""
        backoff = BACKOFF
        try:
            while True:
                try:
                    self._engine.timers_wake.clear()
                    self._engine.timers_until = None
                    await self._keep_lane()
                    read = await self.once()
                    backoff = BACKOFF
                    if read < BATCH:
                        await self._sleep()
                except DOWN as error:
                    self._log.warning("timers wait", error=type(error).__name__, retry_in=backoff)
                    await asyncio.sleep(backoff)
                    backoff = min(backoff * 2, BACKOFF_MAX)
        finally:
            await self._leave_lane()

    async def _keep_lane(self) -> None:
        if self._lane is None or is_gone(self._lane):
            await self._leave_lane()
            self._lane = await self._engine.pool.acquire(timeout=10)

    async def _leave_lane(self) -> None:
        left, self._lane = self._lane, None
        if left is not None:
            with suppress(*DATABASE_DOWN):
                await self._engine.pool.release(left)

    @property
    def _database(self) -> Lent | Pool:
        return self._lane or self._engine.pool

    async def _sleep(self) -> None:
        """Until the next is due; not at all where one is by now."""
        soonest: datetime | None = await self._database.fetchval(NEXT_DUE)
        seconds, now = SLEEP_MAX, self._engine.clock.now()
        rate = getattr(self._engine.clock, "rate", 1.0)
        if soonest is not None:
            if soonest <= now:
                return
            seconds = min(max((soonest - now).total_seconds() / rate, 0.001), SLEEP_MAX) if rate > 0 else SLEEP_MAX
        # What is set for later than this is found by the next look.
        self._engine.timers_until = now + timedelta(seconds=seconds * rate)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._engine.timers_wake.wait(), seconds)

    async def next_due(self) -> datetime | None:
        """When the next timer of this service is due."""
        soonest: datetime | None = await self._engine.pool.fetchval(NEXT_DUE)
        return soonest

    async def measure(self) -> None:
        """Set the gauges of what is overdue and what is parked."""
        now = self._engine.clock.now()
        found = await standing(self._engine.pool, now)
        TIMERS_OVERDUE.labels(self._engine.name).set(found.overdue)
        TIMERS_OVERDUE_SECONDS.labels(self._engine.name).set((now - found.since).total_seconds() if found.since else 0)
        TIMERS_PARKED_NOW.labels(self._engine.name).set(found.parked)

    async def once(self) -> int:
        """Handle one batch of what is due now; returns how many were read."""
        now = self._engine.clock.now()
        rows = await self._read(now)
        by_kind: dict[str, list[Due]] = {}
        seen: set[str] = set()
        for row in rows:
            # One of a subject at a time: what the first decides may move or cancel the second.
            if row["subject"] not in seen:
                seen.add(row["subject"])
                by_kind.setdefault(row["kind"], []).append(Due(**row))
        down: BaseException | None = None
        handled: dict[Key, datetime] = {}
        for kind, due in by_kind.items():
            legs = Legs(self._engine.name)
            try:
                under_way = [legs.of_timer(d) for d in await self._unless_left(due)]
                handled.update({_key(d): d.due_at for d in await self._handle(kind, under_way)})
            except DOWN as error:
                # One kind's trouble is not the others'.
                down = error
            finally:
                legs.end()
        self._handled = handled
        if down is not None:
            raise down
        if self._is_to_try_again:
            # Once for all of them: those that can be handled do not wait for each of those that cannot.
            self._is_to_try_again = False
            await asyncio.sleep(BETWEEN_TRIES)
        return len(rows)

    async def _read(self, now: datetime) -> list[Any]:
        """A batch of what is due. Of a backlog the half that became due last comes first: what can be in time does not wait for what is
        late in any case, which has the other half, so that nothing waits for ever."""
        rows: list[Any] = await self._database.fetch(READ_DUE, now, BATCH)
        if len(rows) < BATCH:
            return rows
        freshest = await self._database.fetch(READ_FRESHEST, now, BATCH // 2)
        return [*freshest, *rows[: BATCH - len(freshest)]]

    async def _unless_left(self, due: list[Due]) -> list[Due]:
        """Without those that their handler was given again and again and never fired: they would be due for ever."""
        kept = []
        for d in due:
            key = _key(d)
            if self._handled.get(key) != d.due_at:
                self._left.pop(key, None)
            else:
                self._left[key] = self._left.get(key, 0) + 1
            if self._left.get(key, 0) >= TRIES:
                await self._park(d, "its handler does not fire it")
                del self._left[key]
            else:
                kept.append(d)
        return kept

    async def _handle(self, kind: str, due: list[Due]) -> list[Due]:
        """Returns those whose handler went through."""
        handler = self._kinds.get(kind)
        if handler is None:
            for d in due:
                await self._park(d, f"no handler for {kind}")
            return []
        if not due:
            return []
        culprit: Any = None
        try:
            async with self._engine.transaction(door="timer", on=self._lane) as tx:
                await handler(tx, due)
                if tx.set_aside:
                    raise SomeSetAside(tx.set_aside)
            self._count(kind, due)
            return due
        except SomeSetAside as some:
            return await self._without(kind, due, some.aside)
        except Unready as unready:
            cause: BaseException | None = unready
        except Transient:
            raise
        except FactFailed as failed:
            culprit, cause = failed.fact, failed.__cause__
        except Exception as error:  # noqa: BLE001 - a door
            cause = error
        if len(due) > 1:
            at = next((i for i, d in enumerate(due) if culprit is not None and _key(d) == _key(culprit)), None)
            cuts = [due[:at], due[at : at + 1], due[at + 1 :]] if at is not None else [due[: len(due) // 2], due[len(due) // 2 :]]
            return [d for part in cuts if part for d in await self._handle(kind, part)]
        if isinstance(cause, Rejected):
            await self._refuse(due[0], cause)
            return []
        with traces.attached(due[0].traceparent):
            self._log.error("a timer failed", exc_info=cause, kind=kind)
        await self._retry_or_park(due[0], _reason(cause), is_waiting=isinstance(cause, Unready))
        return []

    async def _without(self, kind: str, due: list[Due], aside: Sequence[SetAside]) -> list[Due]:
        """The others once more without those set aside, which are tried again or parked."""
        apart = {_key(a.fact) for a in aside}
        for a in aside:
            if not a.is_behind:
                await self._retry_or_park(a.fact, f"{a.reason}: {a.detail}", is_waiting=a.retry_in is not None)
        return await self._handle(kind, [d for d in due if _key(d) not in apart])

    async def _refuse(self, d: Due, rejected: Rejected) -> None:
        """The business says no outside decide_each: done, and kept visible."""
        async with self._engine.transaction(door="timer", on=self._lane) as tx:
            for fired in await fire(tx, [d]):
                tx.reject(fired.subject, rejected)

    async def _retry_or_park(self, d: Due, reason: str, *, is_waiting: bool) -> None:
        key = _key(d)
        self._tries[key] = self._tries.get(key, 0) + 1
        if self._tries[key] >= (TRIES_WAITING if is_waiting else TRIES):
            await self._park(d, reason[:500])
            del self._tries[key]
        self._is_to_try_again = True

    async def _park(self, d: Due, reason: str) -> None:
        with traces.attached(d.traceparent):
            # The reason is for the row: it may quote what somebody wrote.
            self._log.error("a timer is parked", kind=d.kind)
        await self._database.execute(PARK, d.kind, d.subject, d.name, d.generation, reason)

    def _count(self, kind: str, due: list[Due]) -> None:
        TIMERS_FIRED.labels(self._engine.name, kind).inc(len(due))
        rate = getattr(self._engine.clock, "rate", 1.0) or 1.0
        now = self._engine.clock.now()
        for d in due:
            self._tries.pop(_key(d), None)
            TIMERS_LATE_SECONDS.labels(self._engine.name, kind).observe(max((now - d.due_at).total_seconds() / rate, 0))


def _key(d: Due) -> Key:
    return d.kind, d.subject, d.name, d.generation


def _reason(cause: BaseException | None) -> str:
    if isinstance(cause, Poison | Unready):
        return cause.detail
    return f"{type(cause).__name__}: {cause}"
