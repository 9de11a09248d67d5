"""Server-sent events: streams that end by themselves.

Called by doors that push (the console). Invariant: every stream has a maximum life and ends at shutdown, because one open stream would
keep the server from stopping; a browser comes back by itself with `Last-Event-ID`.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Request
from litestar.response import Stream

from shared.telemetry.metrics import HTTP_STREAMS

LIFE_SECONDS = 300.0
HEARTBEAT_SECONDS = 15.0
RETRY_MS = 2000


@dataclass(frozen=True, slots=True)
class Say:
    """One event: `data` is text (sent as it is, line by line) or anything JSON; `id` comes back as Last-Event-ID."""

    data: Any
    event: str | None = None
    id: str | int | None = None


def stream(
    request: Request[Any, Any, Any],
    source: AsyncIterable[Say],
    *,
    life_seconds: float = LIFE_SECONDS,
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
) -> Stream:
    """A `text/event-stream` of what `source` yields, until it ends, the client leaves, `life_seconds` pass or the server stops.

    `source` is closed in each of these cases. Between events a comment every `heartbeat_seconds` keeps proxies from cutting the line.
    """
    closing: asyncio.Event = request.app.state.closing
    return Stream(
        _frames(source, closing, life_seconds, heartbeat_seconds),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _frames(
    source: AsyncIterable[Say], closing: asyncio.Event, life_seconds: float, heartbeat_seconds: float
) -> AsyncGenerator[bytes, None]:
    HTTP_STREAMS.inc()
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + life_seconds
    iterator = aiter(source)
    stop = asyncio.ensure_future(closing.wait())
    upcoming: asyncio.Future[Say] | None = None
    try:
        yield f"retry: {RETRY_MS}\n\n".encode()
        while not closing.is_set() and (left := ends_at - loop.time()) > 0:
            upcoming = upcoming or asyncio.ensure_future(_next(iterator))
            waiting: set[asyncio.Future[Any]] = {upcoming, stop}
            await asyncio.wait(waiting, timeout=min(heartbeat_seconds, left), return_when=asyncio.FIRST_COMPLETED)
            if upcoming.done():
                try:
                    said = upcoming.result()
                except StopAsyncIteration:
                    return
                upcoming = None
                yield frame(said)
            elif not closing.is_set():
                yield b": still here\n\n"
    finally:
        HTTP_STREAMS.dec()
        stop.cancel()
        await _close(iterator, upcoming)


async def _next(iterator: AsyncIterator[Say]) -> Say:
    return await anext(iterator)


async def _close(iterator: AsyncIterator[Say], upcoming: asyncio.Future[Say] | None) -> None:
    """End a read that still waits before closing what it reads from: a generator that runs cannot be closed."""
    if upcoming is not None:
        upcoming.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration):
            await upcoming
    if isinstance(iterator, AsyncGenerator):
        async with aclosing(iterator):
            pass


def frame(said: Say) -> bytes:
    """The bytes of one event. Line breaks cannot forge a field: each line of the data gets its own `data:`."""
    data = said.data if isinstance(said.data, str) else msgspec.json.encode(said.data).decode()
    lines = [f"id: {_one_line(said.id)}"] if said.id is not None else []
    if said.event is not None:
        lines.append(f"event: {_one_line(said.event)}")
    lines += [f"data: {line}" for line in data.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    return ("\n".join(lines) + "\n\n").encode()


def _one_line(value: str | int) -> str:
    return str(value).replace("\r", " ").replace("\n", " ").replace("\0", " ")
