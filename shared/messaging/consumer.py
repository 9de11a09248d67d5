"""The consumer: one batch, one transaction; and the `Engine`, which every use case of a service runs in.

Called by `handlers.py` (take), `api.py` and the timers (transaction). Invariants: a record is counted as done only when it was applied or
parked by a committed transaction; a database that is down parks nothing; an unexpected exception is brought home to its one event.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

import asyncpg

from shared.contracts.envelope import Fact
from shared.db import DATABASE_DOWN, Connection, Pool, is_down
from shared.kernel.clock import Clock, machine_now
from shared.kernel.errors import Poison, Rejected, Transient, Unready
from shared.kernel.ids import new_id, time_of
from shared.messaging import audit, inbox, outbox, parked
from shared.messaging.parked import ToPark
from shared.messaging.records import Record, read
from shared.messaging.tracing import Legs
from shared.messaging.transaction import FactFailed, Transaction
from shared.telemetry import logs, traces
from shared.telemetry.metrics import (
    BACKGROUND_FAILURES,
    BATCH_RETRIES,
    BATCH_SECONDS,
    BATCH_SIZE,
    EVENT_AGE_SECONDS,
    EVENTS_REJECTED,
    EVENTS_REPEATED,
    EVENTS_TAKEN,
)

F = TypeVar("F")
Usecase = Callable[[Transaction, Sequence[Any]], Awaitable[None]]
Writer = Callable[[Transaction], Awaitable[None]]

# An unexpected exception may be a passing one: this many tries, this far apart, before the event is parked.
TRIES: Final = 3
BETWEEN_TRIES: Final = 0.2
BACKOFF_MAX: Final = 2.0
# Within one minute: more parked than this, and more than this share of what came in, and the consumer stops instead of emptying the topic.
PARK_LIMIT: Final = 200
PARK_SHARE: Final = 0.2

REJECTED: Final = """
-- Keep refusals visible by their code.
insert into rejections (rejection_id, door, code, detail, subject)
select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])
"""


class Halted(Exception):
    """Too much of what comes in cannot be handled: the consumer stops and a person must look."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one topic as FastStream delivered them; `parked_id` where a parked one is tried again, alone."""

    records: Sequence[Record]
    parked_id: UUID | None = None


class Item(NamedTuple):
    """A record and what it says (the record itself where its use case reads it)."""

    record: Record
    fact: Any


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done with a batch; `refused` answers for the use case, `patience` is not empty once a try was waited for."""

    usecase: Usecase
    foreign: bool
    refused: Rejected | None = None
    patience: list[int] = field(default_factory=list)


class Engine:
    """One per service; see the module. `writers` write what a transaction collected besides events and audit rows (the timers)."""

    def __init__(self, name: str, pool: Pool, clock: Clock, writers: Sequence[Writer] = ()) -> None:
        self.name, self.pool, self.clock = name, pool, clock
        self._writers = (outbox.append, audit.append, *writers)
        # A name that survives a restart: the broker gives a killed member's partitions back at once instead of waiting for its session to
        # end. Only where there is one process; two with one name would put each other out.
        self.member: str | None = None
        self.relay_wake, self.timers_wake = asyncio.Event(), asyncio.Event()
        # How long the loop of the timers sleeps (business time), None while it is awake: what is set for later need not wake it.
        self.timers_until: datetime | None = None
        # topic → the handler as registered by `listen`, and the types it passes over; (topic, partition) → the next offset not done.
        self.handlers: dict[str, Callable[[Batch], Awaitable[None]]] = {}
        self.passed_over: dict[str, frozenset[bytes]] = {}
        self.subscribers: dict[str, Any] = {}
        self.done: dict[tuple[str, int], int] = {}
        self.busy = 0
        self._background: set[asyncio.Task[None]] = set()
        self._window: tuple[float, int, int] = (0.0, 0, 0)
        self._log = logs.get("engine", service=name)

    # ---- transactions

    @asynccontextmanager
    async def transaction(self, *, door: str = "kafka", on: Connection | None = None) -> AsyncIterator[Transaction]:
        """One transaction; what it collected is written before it commits, the relay and the timers are woken after.

        `door` is what a refusal is kept under; `on` a connection that the caller keeps, instead of the pool's next. Raises `Transient`
        where the database does not answer; whatever the body raises rolls everything back.
        """
        self.busy += 1
        try:
            async with self._connection(on) as conn:
                tx = Transaction(conn, self.clock.now(), self.name, door)
                async with conn.transaction():
                    yield tx
                    await self._write(tx)
            self._committed(tx)
        finally:
            self.busy -= 1

    @asynccontextmanager
    async def _connection(self, kept: Connection | None) -> AsyncIterator[Connection]:
        """A connection; of what goes wrong on it, what is the database's becomes `Transient`."""
        try:
            lent = None if kept else await self.pool.acquire(timeout=10)
        except DATABASE_DOWN as error:
            raise _away(error) from error
        conn = lent or kept
        assert conn is not None, "one or the other"
        try:
            yield conn
        except Exception as error:
            if isinstance(error, asyncpg.CheckViolationError) and "no partition of relation" in str(error):
                # The machine slept past the days that were prepared.
                await inbox.keep_partitions(conn)
                raise _away(error) from error
            if is_down(error, conn):
                raise _away(error) from error
            raise
        finally:
            if lent:
                with suppress(*DATABASE_DOWN):
                    await self.pool.release(lent)

    async def _write(self, tx: Transaction) -> None:
        for writer in self._writers:
            await writer(tx)
        if tx.rejections:
            rows = [(new_id(), tx.door, r.code, r.detail[:2000], subject) for subject, r in tx.rejections]
            await tx.conn.execute(REJECTED, *(list(column) for column in zip(*rows, strict=True)))

    def _committed(self, tx: Transaction) -> None:
        if tx.said:
            self.relay_wake.set()
        if tx.has_timer_until(self.timers_until):
            self.timers_wake.set()
        outbox.count(tx)
        for _, rejected in tx.rejections:
            EVENTS_REJECTED.labels(self.name, rejected.code).inc()
        for run in tx.afterwards:
            self.in_background(_call(run), name="afterwards")

    def in_background(self, run: Coroutine[Any, Any, None], *, name: str) -> None:
        """Run a tracked task: it counts as being busy, is awaited at a stop, and its failure is logged and counted."""

        self.busy += 1

        async def tracked() -> None:
            try:
                await run
            except Exception:  # noqa: BLE001 - a door: counted, logged, and its lease runs out
                BACKGROUND_FAILURES.labels(self.name, name).inc()
                self._log.exception("a background task failed", task=name)
            finally:
                self.busy -= 1

        task = asyncio.create_task(tracked())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def settle(self, seconds: float) -> None:
        """Wait for the background tasks, at most `seconds` (machine time)."""
        if self._background:
            await asyncio.wait(set(self._background), timeout=seconds)

    # ---- Kafka

    async def take(self, batch: Batch, usecase: Usecase, *, foreign: bool = False) -> None:
        """Apply or park every record of the batch; returns only when that is committed.

        `foreign`: the use case gets the raw `Record`s and finds duplicates in its own table. Raises `Halted` at the park limit.
        """
        items: list[Item] = []
        bad: list[ToPark] = []
        legs, remembered = Legs(self.name), inbox.remembered()
        for record in batch.records:
            if foreign:
                items.append(Item(record, legs.of_record(record)))
                continue
            try:
                fact = legs.of_fact(read(record))
                if batch.parked_id is None and fact.envelope.id.int not in remembered:
                    raise Poison(
                        "too-old", "minted before what the inbox remembers, or in the future; its effect cannot be told from a repeat"
                    )
                items.append(Item(record, fact))
            except Poison as poison:
                bad.append(ToPark(record, poison.reason, poison.detail))
        self.busy += 1
        try:
            if batch.parked_id is not None:
                await self._again(batch.parked_id, items, bad, usecase)
            else:
                self._watch_the_park(len(batch.records), len(bad))
                await self._settle(items, bad, Work(usecase, foreign))
        finally:
            self.busy -= 1
            legs.end()

    async def _settle(self, items: list[Item], bad: list[ToPark], work: Work) -> None:
        """Until committed: the whole, or its halves where something in it breaks."""
        failures, backoff = 0, 0.1
        while True:
            culprit: Any = None
            try:
                await self._apply(items, bad, work)
                return None
            except Unready as unready:
                # Outside decide_each it is the whole batch's; brought home, it waits like any other.
                cause: BaseException | None = unready
            except Transient as error:
                BATCH_RETRIES.labels(self.name, _topic(items, bad), "transient").inc()
                self._log.warning("kept for another try", retry_in=max(error.retry_in, backoff), exc_info=error)
                await asyncio.sleep(max(backoff, min(error.retry_in, BACKOFF_MAX)))
                backoff = min(backoff * 2, BACKOFF_MAX)
                continue
            except Halted:
                raise
            except FactFailed as failed:
                culprit, cause = failed.fact, failed.__cause__
            except Exception as error:  # noqa: BLE001 - a door: brought home to its one event
                cause = error
            BATCH_RETRIES.labels(self.name, _topic(items, bad), "unexpected").inc()
            if len(items) > 1:
                return await self._set_apart(items, bad, culprit, work)
            if items and isinstance(cause, Rejected):
                work = replace(work, refused=cause)
                continue
            failures += 1
            if failures < TRIES and not isinstance(cause, Poison | Unready):
                # Where one event of a batch has had its time to come right, the others need not wait for it too.
                await asyncio.sleep(0 if work.patience else BETWEEN_TRIES)
                continue
            if not items:
                raise Halted("what is parked cannot be written") from cause
            work.patience.append(1)
            with traces.attached(items[0].fact.traceparent):
                bad = [*bad, self._given_up(items[0].record, cause)]
            items, failures = [], 0

    def _given_up(self, record: Record, cause: BaseException | None) -> ToPark:
        if isinstance(cause, Unready):
            return ToPark(record, "waiting", cause.detail, cause.retry_in)
        self._watch_the_park(0, 1)
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        self._log.error("an event is parked", exc_info=cause, event_id=record.header("ce_id"), type=record.header("ce_type"), **place)
        return ToPark(record, _reason(cause), cause.detail if isinstance(cause, Poison) else f"{type(cause).__name__}: {cause}")

    async def _set_apart(self, items: list[Item], bad: list[ToPark], culprit: Any, work: Work) -> None:
        """Around the fact that is known to have failed, else by halves; in order, the unreadable ones each where it came."""
        at = next((i for i, item in enumerate(items) if item.fact is culprit), None)
        cuts = [items[:at], items[at : at + 1], items[at + 1 :]] if at is not None else [items[: len(items) // 2], items[len(items) // 2 :]]
        parts = [part for part in cuts if part]
        where = [max((n for n, part in enumerate(parts) if _follows(p.record, part)), default=0) for p in bad]
        for n, part in enumerate(parts):
            await self._settle(part, [p for p, at_part in zip(bad, where, strict=True) if at_part == n], work)

    async def _apply(self, items: list[Item], bad: list[ToPark], work: Work) -> None:
        started = machine_now()
        topic = _topic(items, bad)
        async with self.transaction() as tx:
            fresh, behind = await self._admit(tx, topic, items, bad, work.foreign)
            if fresh and work.refused is not None:
                tx.reject(fresh[0].record.order_key, work.refused)
            elif fresh:
                await work.usecase(tx, [item.fact for item in fresh])
            records = {id(item.fact): item.record for item in fresh}
            aside = [ToPark(records[id(a.fact)], a.reason, a.detail, a.retry_in, a.is_behind) for a in tx.set_aside]
            await parked.park(tx.conn, self.name, [*bad, *behind, *aside])
        self._watch_the_park(0, sum(1 for p in aside if p.retry_in is None and not p.is_behind))
        self._count(topic, items, fresh, (machine_now() - started).total_seconds())

    async def _admit(
        self, tx: Transaction, topic: str, items: list[Item], bad: list[ToPark], foreign: bool
    ) -> tuple[list[Item], list[ToPark]]:
        """The items that are new and whose keys are free, and those that must wait behind a parked one."""
        if not items:
            return [], []
        if foreign:
            held, fresh = await inbox.held(tx.conn, topic, [item.record.order_key for item in items]), items
        else:
            ids, held = await inbox.admit(tx.conn, topic, [item.fact for item in items])
            fresh = []
            for item in items:
                # Once only, also where a batch holds the same event twice.
                if (found := str(item.fact.envelope.id)) in ids:
                    ids.discard(found)
                    fresh.append(item)
        stuck = {p.record.order_key: p.record.offset for p in reversed(bad)}
        free: list[Item] = []
        behind: list[ToPark] = []
        for item in fresh:
            key = item.record.order_key
            if key in held or stuck.get(key, item.record.offset) < item.record.offset:
                behind.append(ToPark(item.record, "behind", "waits for an earlier event of its key", is_behind=True))
            else:
                free.append(item)
        return free, behind

    async def _again(self, parked_id: UUID, items: list[Item], bad: list[ToPark], usecase: Usecase) -> None:
        """One parked record, past the inbox; its row says what came of it."""
        aside = bad[0] if bad else None
        if aside is None:
            try:
                async with self.transaction() as tx:
                    if not await tx.conn.fetchval(parked.CLAIM, parked_id):
                        return
                    await usecase(tx, [items[0].fact])
                    if not tx.set_aside:
                        await tx.conn.execute(parked.DONE, parked_id)
                        return
                    first = tx.set_aside[0]
                    aside = ToPark(items[0].record, first.reason, first.detail, first.retry_in)
            except Unready as error:
                aside = ToPark(items[0].record, "waiting", error.detail, error.retry_in)
            except Transient:
                # The world is down: its row stays as it is, and is tried again at the next round.
                return
            except Rejected as rejected:
                with suppress(Transient):
                    async with self.transaction() as tx:
                        tx.reject(items[0].record.order_key, rejected)
                        await tx.conn.execute(parked.DONE, parked_id)
                return
            except Exception as error:  # noqa: BLE001 - a door: parked again with its reason
                cause = error.__cause__ if isinstance(error, FactFailed) else error
                self._log.exception("a parked event failed again", topic=items[0].record.topic, offset=items[0].record.offset)
                aside = ToPark(items[0].record, _reason(cause), f"{type(cause).__name__}: {cause}")
        await parked.park_again(self.pool, parked_id, aside)

    def _watch_the_park(self, came: int, parked_now: int) -> None:
        now = machine_now().timestamp()
        since, seen, lost = self._window
        if now - since > 60:
            since, seen, lost = now, 0, 0
        self._window = since, seen + came, lost + parked_now
        if self._window[2] > PARK_LIMIT and self._window[2] > PARK_SHARE * self._window[1]:
            raise Halted(f"{self._window[2]} of {self._window[1]} events within a minute could not be handled")

    def _count(self, topic: str, items: list[Item], fresh: list[Item], seconds: float) -> None:
        BATCH_SIZE.labels(self.name, topic).observe(len(items))
        BATCH_SECONDS.labels(self.name, topic).observe(seconds)
        if len(items) > len(fresh):
            EVENTS_REPEATED.labels(self.name, topic).inc(len(items) - len(fresh))
        by_type = Counter(item.fact.envelope.type if isinstance(item.fact, Fact) else "ingress" for item in fresh)
        for kind, count in by_type.items():
            EVENTS_TAKEN.labels(self.name, topic, kind).inc(count)
        if fresh and isinstance(fresh[0].fact, Fact):
            EVENT_AGE_SECONDS.labels(self.name, topic).observe(max((machine_now() - time_of(fresh[0].fact.envelope.id)).total_seconds(), 0))


def _away(error: BaseException) -> Transient:
    return Transient(f"the database does not answer ({type(error).__name__})")


async def _call(run: Callable[[], Awaitable[None]]) -> None:
    await run()


def _follows(record: Record, part: Sequence[Item]) -> bool:
    return any(item.record.partition == record.partition and item.record.offset < record.offset for item in part)


def _topic(items: list[Item], bad: list[ToPark]) -> str:
    return items[0].record.topic if items else bad[0].record.topic if bad else "none"


def _reason(cause: BaseException | None) -> str:
    return cause.reason if isinstance(cause, Poison) else cause.code if isinstance(cause, Rejected) else "failed"
