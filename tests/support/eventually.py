"""Waits for what will come true, instead of sleeping and hoping."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(look: Callable[[], Awaitable[T]], *, within_seconds: float = ..., every_seconds: float = ...) -> T: ...


@overload
async def eventually(look: Callable[[], T], *, within_seconds: float = ..., every_seconds: float = ...) -> T: ...


async def eventually(look: Callable[[], Awaitable[T] | T], *, within_seconds: float = 10.0, every_seconds: float = 0.05) -> T:
    """Calls `look` (plain or async) until it gives something true without an AssertionError, and gives that.

    When the time is up it fails with the last AssertionError, or with the last thing that was seen. Other exceptions pass at once.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + within_seconds
    while True:
        seen: object = None
        refused: AssertionError | None = None
        try:
            answer = look()
            found = await answer if inspect.isawaitable(answer) else answer
            if found:
                return found
            seen = found
        except AssertionError as failed:
            refused = failed
        if loop.time() >= end:
            raise refused or AssertionError(f"not true within {within_seconds} s; last seen: {seen!r}")
        await asyncio.sleep(every_seconds)


async def never(look: Callable[[], Awaitable[object] | object], *, for_seconds: float = 1.0, every_seconds: float = 0.05) -> None:
    """Fails as soon as `look` gives something true within the time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + for_seconds
    while loop.time() < end:
        answer = look()
        found = await answer if inspect.isawaitable(answer) else answer
        assert not found, f"came true although it never should: {found!r}"
        await asyncio.sleep(every_seconds)
