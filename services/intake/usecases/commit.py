"""The group commit: requests that come while a transaction runs share the next one.

Called by the API. Invariants: a request is answered only when its events are committed (never after Kafka); one request's fault is its own;
what waits is bounded, in number (429) and in time (503), so neither a flood nor a database that is down is a hang. Idle, a request goes at
once, so there is nothing to tune.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from services.intake.domain import Arrival, Problem
from services.intake.usecases.desk import Desk, Waiting
from services.intake.usecases.report import Outcome, report
from shared.kernel.errors import Rejected, Transient
from shared.telemetry import logs, traces

# Events of one transaction: beyond this a batch gains nothing and holds its locks longer.
TOGETHER: Final = 1_000
# Events that may wait; about four seconds of work.
WAITING_MAX: Final = 20_000
# Machine seconds that a request waits for its commit.
PATIENCE: Final = 20.0
TRIES: Final = 3
BETWEEN_TRIES: Final = 0.05

log = logs.get("commit")


async def submit(desk: Desk, arrivals: Sequence[Arrival]) -> list[Outcome]:
    """One outcome for each arrival, once they are durable.

    Raises Rejected(too-many-requests) where more comes in than is stored, `Transient` where nothing can be stored now.
    """
    queue = desk.queue
    if queue.events + len(arrivals) > WAITING_MAX:
        raise Rejected(
            "too-many-requests", "More comes in than can be stored; none of this was taken, send it again.", headers={"retry-after": "2"}
        )
    if trace := traces.current_traceparent():
        arrivals = [replace(arrival, traceparent=trace) for arrival in arrivals]
    loop = asyncio.get_running_loop()
    waiting = Waiting(arrivals, loop.create_future())
    queue.waiting.append(waiting)
    queue.events += len(arrivals)
    if not queue.is_working:
        queue.is_working = True
        # It works for whoever comes meanwhile, too: each event brings its own trace.
        with traces.detached():
            desk.engine.in_background(_work(desk), name="commit")
    # One timer and no more: `asyncio.timeout` costs 4 to 5 µs for each request, this 1 to 2.
    patience = loop.call_later(PATIENCE, _give_up, waiting)
    try:
        return await waiting.answer
    finally:
        patience.cancel()
        if not waiting.is_taken:
            queue.waiting.remove(waiting)
            queue.events -= len(arrivals)


def _give_up(waiting: Waiting) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(Transient("it could not be stored in time", retry_in=2.0))


async def _work(desk: Desk) -> None:
    """Empty the queue, transaction by transaction."""
    queue = desk.queue
    try:
        while queue.waiting:
            group = _next_group(queue.waiting)
            del queue.waiting[: len(group)]
            for request in group:
                request.is_taken = True
                queue.events -= len(request.arrivals)
            await _answer(desk, group)
    finally:
        queue.is_working = False


def _next_group(waiting: Sequence[Waiting]) -> list[Waiting]:
    """The requests from the front that fit into one transaction, at least one."""
    group, size = [waiting[0]], len(waiting[0].arrivals)
    for request in waiting[1:]:
        size += len(request.arrivals)
        if size > TOGETHER:
            break
        group.append(request)
    return group


async def _answer(desk: Desk, group: Sequence[Waiting]) -> None:
    try:
        outcomes = await _stored(desk, [arrival for request in group for arrival in request.arrivals])
    except asyncio.CancelledError:
        for request in group:
            request.answer.cancel()
        raise
    except Transient as transient:
        for request in group:
            if not request.answer.done():
                request.answer.set_exception(Transient(transient.detail, retry_in=transient.retry_in))
        return
    at = 0
    for request in group:
        part = outcomes[at : at + len(request.arrivals)]
        at += len(request.arrivals)
        if not request.answer.done():
            request.answer.set_result(part)


async def _stored(desk: Desk, arrivals: Sequence[Arrival]) -> list[Outcome]:
    """All in one transaction; where something in it breaks, its halves, down to the one event, which is refused alone."""
    for attempt in range(TRIES):
        try:
            async with desk.engine.transaction() as tx:
                return await report(desk, tx, arrivals)
        except Transient:
            # Two doors that met in another order of locks; a database that is away stays away.
            if attempt == TRIES - 1:
                raise
            await asyncio.sleep(BETWEEN_TRIES)
        except Exception as error:  # noqa: BLE001 - a door: the fault is brought home to its event
            if len(arrivals) == 1:
                return [_broken(arrivals[0], error)]
            break
    middle = len(arrivals) // 2
    return await _stored(desk, arrivals[:middle]) + await _stored(desk, arrivals[middle:])


def _broken(arrival: Arrival, error: Exception) -> Outcome:
    with traces.attached(arrival.traceparent):
        log.error("an event could not be taken", exc_info=error)
    return Outcome(arrival, "rejected", Problem("internal", "Something went wrong here; the event is not stored."))
