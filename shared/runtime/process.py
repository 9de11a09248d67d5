"""A process that runs services: everything is started, watched and stopped here, in one order.

Called by `amends serve`, the embedded stack and the tests. Start: topics, partitions, positions, relays and loops, then consumers. Stop:
consumers first, then timers, then what is under way, then the relays (once their outboxes are out), then the pools' owners.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from faststream.kafka import KafkaBroker

from shared import reference
from shared.contracts.flow import BY_NAME, heard_by
from shared.db import DATABASE_DOWN, answers
from shared.messaging import Batch, Engine, Record, make_broker
from shared.messaging.audit import seal
from shared.messaging.broker import (
    commit_offsets,
    commit_once,
    dead_subscribers,
    group_of,
    provision,
    remember_positions,
    start,
    wait_until_unread,
)
from shared.messaging.counter import check_counter
from shared.messaging.inbox import keep_partitions
from shared.messaging.measures import measure
from shared.messaging.parked import Redriver, is_waiting, unheard, went_through
from shared.messaging.relay import Relay
from shared.runtime.findings import findings_routes
from shared.runtime.host import Host, Service
from shared.runtime.refill import Refilled, refill
from shared.telemetry import logs
from shared.telemetry.metrics import DATABASE_UP
from shared.timers import Auditor, Loop
from shared.web.app import Check, service_router
from shared.web.auth import Access, Auth
from shared.web.parked import parked_routes

SEAL_EVERY = 2.0
PARTITIONS_EVERY = 600.0
AUDIT_EVERY = 10.0
MEASURE_EVERY = 5.0
STOP_SECONDS = 5.0
# What waits for longer than this for another topic's row does not keep the clock of a demo from moving on.
WAITS_SHORT = timedelta(seconds=15)


@dataclass
class Running:
    """One service with what runs for it."""

    service: Service
    relay: Relay
    loop: Loop
    redriver: Redriver
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    @property
    def engine(self) -> Engine:
        return self.service.engine


class Process:
    """`start`, `stop`, `routers`, `health`, `is_quiet`; see the module."""

    def __init__(
        self,
        host: Host,
        builders: Sequence[Callable[[Host], Service]],
        *,
        bootstrap_servers: str,
        partitions: int = 4,
        replication_factor: int = 1,
        retention_ms: int = -1,
        ingress_hours: int = 24,
    ) -> None:
        self.host, self._servers = host, bootstrap_servers
        self._topics = {
            "partitions": partitions,
            "replication_factor": replication_factor,
            "retention_ms": retention_ms,
            "ingress_hours": ingress_hours,
        }
        self._broker: KafkaBroker = make_broker(bootstrap_servers)
        self.running: dict[str, Running] = {}
        self._log = logs.get("process")
        for build in builders:
            service = build(host)
            engine = service.engine
            relay = Relay(engine.name, engine.pool, bootstrap_servers, engine.relay_wake)
            redriver = Redriver(engine.name, engine.pool, partial(_redrive_handler, engine))
            self.running[engine.name] = Running(service, relay, Loop(engine, service.timers), redriver)

    async def start(self) -> None:
        """Everything up, the consumers last. Raises what stands in the way."""
        for r in self.running.values():
            await check_counter(r.engine.pool, r.engine.name)
        await provision(self._servers, **self._topics)
        for r in self.running.values():
            await keep_partitions(r.engine.pool)
            reference.subscribe(self._broker, r.engine, r.service.before_locations)
            r.service.subscribe(self._broker)
        await asyncio.gather(*(remember_positions(self._servers, r.engine, r.engine.pool) for r in self.running.values()))
        for r in self.running.values():
            self._spawn(r, "relay", r.relay.run())
            self._spawn(r, "redriver", r.redriver.run())
            self._spawn(r, "offsets", commit_offsets(r.engine))
            self._spawn(r, "sealer", _every(SEAL_EVERY, partial(_seal, r.engine)))
            self._spawn(r, "partitions", _every(PARTITIONS_EVERY, partial(keep_partitions, r.engine.pool)))
            self._spawn(r, "measures", self._measured(r))
            self._spawn(r, "auditor", self._audited(r))
            for n, loop in enumerate(r.service.loops):
                self._spawn(r, f"loop-{n}", _run(loop))
        await start(self._broker)
        for r in self.running.values():
            self._spawn(r, "timers", r.loop.run())

    async def refill(self, since: datetime) -> dict[str, Refilled]:
        """Instead of `start`, for a broker that lost its log: the next start sends what was said since then. Raises as `refill` does."""
        return await refill([r.service for r in self.running.values()], self._servers, self._topics, since)

    async def unread(self, name: str) -> None:
        """Instead of `start`: nobody reads for this service, and the broker is the one that it has read from.

        Raises StillRead or BrokerLostItsMemory.
        """
        engine, topics = self.running[name].engine, heard_by(name)
        await provision(self._servers, **self._topics)
        await wait_until_unread(self._servers, [group_of(name, topic) for topic in topics])
        await remember_positions(self._servers, engine, engine.pool, topics)

    def _spawn(self, r: Running, name: str, run: Any) -> None:
        task = asyncio.create_task(run, name=f"{r.engine.name}-{name}")
        task.add_done_callback(partial(self._ended, r.engine.name, name))
        r.tasks[name] = task

    def _ended(self, service: str, name: str, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None:
            self._log.error("a loop of the service died", service=service, task=name, exc_info=task.exception())

    async def _measured(self, r: Running) -> None:
        """Until cancelled: set the gauges. That the database is away is one of them; a gauge that breaks stops nothing."""
        while True:
            is_up = True
            try:
                await measure(r.engine)
                await r.loop.measure()
                if r.service.measure is not None:
                    await r.service.measure()
            except DATABASE_DOWN:
                is_up = False
            except Exception:  # noqa: BLE001 - a door: what only looks on must not make the service unready
                self._log.exception("the gauges could not be read", service=r.engine.name)
            DATABASE_UP.labels(r.engine.name).set(is_up)
            await asyncio.sleep(MEASURE_EVERY)

    async def _audited(self, r: Running) -> None:
        """Until cancelled: hold the timers against what they ought to be."""
        auditor = Auditor(r.engine, r.service.timer_check)
        while True:
            await asyncio.sleep(AUDIT_EVERY)
            try:
                await auditor.look()
            except DATABASE_DOWN:
                continue
            except Exception:  # noqa: BLE001 - a door: what only looks on must not make the service unready
                self._log.exception("the timers could not be audited", service=r.engine.name)

    async def stop(self) -> None:
        """In order, bounded: what is cut off here is taken up again at the next start."""
        with suppress(Exception):
            await asyncio.wait_for(self._stop_consumers(), STOP_SECONDS)
        for r in self.running.values():
            await _cancel([t for name, t in r.tasks.items() if name not in ("relay", "offsets")])
        await asyncio.gather(*(r.engine.settle(STOP_SECONDS) for r in self.running.values()))
        with suppress(TimeoutError):
            await asyncio.wait_for(self._drained(), 2.0)
        for r in self.running.values():
            await _cancel(list(r.tasks.values()))
            for close in r.service.closing:
                await close()

    async def _stop_consumers(self) -> None:
        for r in self.running.values():
            await commit_once(r.engine, {})
        await self._broker.stop()

    async def _drained(self) -> None:
        while not all(r.relay.is_idle for r in self.running.values() if "relay" in r.tasks):  # noqa: ASYNC110 - bounded by the caller
            await asyncio.sleep(0.02)

    def is_quiet(self) -> bool:
        """Nothing is under way: outboxes are out, and every listener in this process has done what was sent to it."""
        done: dict[str, dict[tuple[str, int], int]] = {name: r.engine.done for name, r in self.running.items()}
        for r in self.running.values():
            if r.engine.busy or not r.relay.is_idle or r.engine.relay_wake.is_set():
                return False
            for (topic, partition), offset in r.relay.sent.items():
                for listener in BY_NAME[topic].listeners:
                    if listener in done and done[listener].get((topic, partition), 0) < offset:
                        return False
        return True

    async def is_waiting(self) -> bool:
        """An event waits for a row that another topic is bringing, and has not done so for long."""
        return any(await asyncio.gather(*(is_waiting(r.engine.pool, WAITS_SHORT) for r in self.running.values())))

    def notes(self) -> list[str]:
        """What does not work as usual here, one sentence each."""
        return [f"{name}: {note}." for name, r in self.running.items() for note in r.service.notes.values()]

    def routers(self) -> list[Any]:
        """One router per service, behind its own doorkeepers."""
        return [
            service_router(
                name,
                [*r.service.routes, *parked_routes(name), *findings_routes(name, r.service.timer_cases)],
                desk=r.service.desk,
                auth=self._auth(r),
                pool=r.engine.pool,
                sealer=self.host.vault,
            )
            for name, r in self.running.items()
        ]

    def _auth(self, r: Running) -> Auth:
        async def lookup(key_id: str) -> Access | None:
            known = await reference.access(r.engine.pool, key_id)
            return Access(**{f.name: getattr(known, f.name) for f in fields(Access)}) if known else None

        return Auth(
            audience="amends",
            lookup=lookup,
            console_key=self.host.verifying_key,
            version=partial(reference.access_version, r.engine.name),
            sessions=r.service.sessions,
        )

    async def health(self) -> Mapping[str, Check]:
        """What `/readyz` tells: database, subscribers with a live task and partitions, loops, and what was heard of the directory."""
        checks: dict[str, Check] = {}
        for name, r in self.running.items():
            try:
                checks[f"{name}.postgres"] = Check(await answers(r.engine.pool))
                versions = await reference.heard(r.engine.pool)
                checks[f"{name}.reference"] = Check(True, ",".join(f"{topic}={version}" for topic, version in sorted(versions.items())))
            except DATABASE_DOWN as error:
                checks[f"{name}.postgres"] = Check(False, type(error).__name__)
            dead = dead_subscribers(r.engine)
            checks[f"{name}.subscribers"] = Check(not dead, ", ".join(f"{topic} is not consumed" for topic in dead))
            ended = [task for task, t in r.tasks.items() if t.done()]
            checks[f"{name}.loops"] = Check(not ended, ", ".join(f"{task} ended" for task in ended))
            checks.update({f"{name}.{what}": Check(True, note) for what, note in r.service.notes.items()})
        return checks


def _redrive_handler(engine: Engine, topic: str) -> Callable[[Record, UUID], Awaitable[bool]]:
    handler = engine.handlers.get(topic)

    async def again(record: Record, parked_id: UUID) -> bool:
        if handler is None:
            return await unheard(engine.pool, parked_id)
        try:
            await handler(Batch([record], parked_id))
        except DATABASE_DOWN:
            raise
        except Exception:  # noqa: BLE001 - a door: what lies parked is broken already, and must keep no other from its turn
            logs.get("redriver", service=engine.name).exception("a parked event could not be tried", topic=topic)
            return False
        return await went_through(engine.pool, parked_id)

    return again


async def _seal(engine: Engine) -> None:
    while await seal(engine.pool) == 1000:
        pass


async def _every(seconds: float, run: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        with suppress(*DATABASE_DOWN):
            await run()


async def _run(loop: Callable[[], Awaitable[None]]) -> None:
    await loop()


async def _cancel(tasks: "list[asyncio.Task[None]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
