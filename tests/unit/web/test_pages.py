"""Cursors, streams and the server itself."""

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from litestar import Request, get
from litestar.response import Stream

from shared.kernel.errors import Rejected
from shared.kernel.ids import new_id
from shared.web import PUBLIC, HttpServer, PortTaken, Say, cursor_of, page, read_cursor, stream
from shared.web.sse import frame
from tests.unit.web.sample import sample_app

pytestmark = pytest.mark.unit


def test_a_cursor_comes_back_as_it_went_out() -> None:
    at, name = datetime(2026, 11, 23, 9, 0, 0, 123456, tzinfo=UTC), new_id()
    assert read_cursor(cursor_of(at, name, 7, "store-12"), datetime, UUID, int, str) == (at, name, 7, "store-12")
    assert read_cursor(None, int) is None


@pytest.mark.parametrize(
    "bad", ["", "x", "%%%", "e30", cursor_of("a"), cursor_of(1, 2), cursor_of(2**70), "W" * 2000, "é", cursor_of(True)]
)
def test_other_cursors_are_refused(bad: str) -> None:
    with pytest.raises(Rejected) as caught:
        read_cursor(bad, int)
    assert caught.value.code == "bad-cursor"


def test_a_page_tells_whether_there_is_more() -> None:
    def cut(rows: list[int]) -> Any:
        return page(rows, 2, lambda row: {"n": row}, lambda row: (row,))

    assert cut([1, 2]) == {"items": [{"n": 1}, {"n": 2}], "next_cursor": None}
    more = cut([1, 2, 3])
    assert more["items"] == [{"n": 1}, {"n": 2}] and read_cursor(more["next_cursor"], int) == (2,)


def test_a_frame_cannot_be_forged_by_its_data() -> None:
    assert frame(Say("a\nevent: forged\r\n\r\nb", event="row\n", id="1\r2")) == (
        b"id: 1 2\nevent: row \ndata: a\ndata: event: forged\ndata: \ndata: b\n\n"
    )
    assert frame(Say({"a": 1})) == b'data: {"a":1}\n\n'


def streaming(life_seconds: float, closed: list[bool]) -> Any:
    @get("/stream", opt=PUBLIC)
    async def watch(request: Request[Any, Any, Any]) -> Stream:
        """Endless."""

        async def source() -> AsyncIterator[Say]:
            try:
                yield Say({"n": 1}, event="row")
                await asyncio.Event().wait()
            finally:
                closed.append(True)

        return stream(request, source(), life_seconds=life_seconds, heartbeat_seconds=0.05)

    return sample_app(more=[watch])


async def test_a_stream_beats_and_ends_with_its_life() -> None:
    closed: list[bool] = []
    server = HttpServer(streaming(0.3, closed), "127.0.0.1", 0)
    await server.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
            answer = await client.get("/stream", timeout=10)
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert 'event: row\ndata: {"n":1}' in answer.text
        assert ": still here" in answer.text
        assert closed == [True]
    finally:
        await server.stop()


async def test_a_stop_lets_go_of_open_streams() -> None:
    """With a stream that would live for five minutes, the server is down in a moment, not after its grace."""
    closed: list[bool] = []
    server = HttpServer(streaming(300, closed), "127.0.0.1", 0)
    await server.start()
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client,
        client.stream("GET", "/stream", timeout=10) as answer,
    ):
        lines = answer.aiter_lines()
        assert await anext(lines)
        await asyncio.wait_for(server.stop(), 4)
        assert [line async for line in lines]
    assert closed == [True]
    await server.stop()


async def test_a_taken_port_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"cannot listen on 127\.0\.0\.1:{port} \(.*in use\); choose another with --port"):
            await HttpServer(sample_app(), "127.0.0.1", port).start()
