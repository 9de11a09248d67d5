"""An answer's head and body leave in one write, in order, and nothing waits for what may never come."""

import asyncio
from inspect import iscoroutinefunction
from typing import cast

import pytest

from shared.web import requires
from shared.web.auth import requires_any
from shared.web.transport import TOGETHER_BYTES
from shared.web.transport import _Gathering as Gathering

pytestmark = pytest.mark.unit


class Line:
    """What goes out, write by write; None is the end."""

    def __init__(self) -> None:
        self.out: list[bytes | None] = []

    def write(self, data: bytes) -> None:
        self.out.append(data)

    def close(self) -> None:
        self.out.append(None)

    def is_closing(self) -> bool:
        return None in self.out


def gathering(line: Line) -> Gathering:
    return Gathering(cast(asyncio.Transport, line), asyncio.get_running_loop())


async def test_head_and_body_are_one_write_and_the_next_answer_another() -> None:
    line = Line()
    transport = gathering(line)
    transport.write(b"head")
    transport.write(b"body")
    assert line.out == []
    await asyncio.sleep(0)
    transport.write(b"next")
    await asyncio.sleep(0)
    assert line.out == [b"headbody", b"next"]


async def test_what_is_written_before_the_end_is_not_lost() -> None:
    line = Line()
    transport = gathering(line)
    transport.write(b"last")
    transport.close()
    assert line.out == [b"last", None] and transport.is_closing()


async def test_much_at_once_does_not_wait() -> None:
    line = Line()
    transport = gathering(line)
    transport.write(b"head")
    transport.write(bytes(TOGETHER_BYTES))
    assert line.out == [b"head" + bytes(TOGETHER_BYTES)]
    await asyncio.sleep(0)
    assert len(line.out) == 1


def test_a_guard_is_run_where_the_request_is() -> None:
    """Litestar hands what is no coroutine to a thread."""
    assert iscoroutinefunction(requires("cases:read")) and iscoroutinefunction(requires_any("cases:read"))
