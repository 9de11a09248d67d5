"""The stream behind an open page: what changed, in order, and the business clock."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest

from shared.contracts.cases import CaseAcknowledged, CaseClosed
from shared.web import HttpServer
from tests.integration.console.conftest import NOON, World

pytestmark = pytest.mark.integration


@asynccontextmanager
async def stream(world: World, staff_id: str, path: str) -> AsyncIterator["Listener"]:
    """A real server and a browser that listens: streams do not end inside httpx's own transport."""
    server = HttpServer(world.app, "127.0.0.1", 0)
    await server.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=10) as browser:
            await browser.post("/sign-in", data={"staff_id": staff_id})
            async with browser.stream("GET", path) as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                yield Listener(answer.aiter_lines())
    finally:
        await asyncio.wait_for(server.stop(), 5)
        world.app.state.closing.clear()


class Listener:
    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def hears(self, kind: str) -> Any:
        """The next event of a kind; others are passed over."""
        name = ""
        async with asyncio.timeout(8):
            async for line in self._lines:
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: ") and name == kind:
                    return json.loads(line.removeprefix("data: ") or "null")
        raise AssertionError(f"the stream ended before {kind}")


async def test_a_new_case_shows_in_its_place_and_a_closed_one_goes(world: World) -> None:
    first = world.case(due_in=30)
    await world.hears(first)
    async with stream(world, "lee", "/live") as listener:
        told = await listener.hears("rows")
        assert told["order"] == [str(first.case_id)]
        urgent = world.case(due_in=5)
        await world.hears(urgent)
        told = await listener.hears("rows")
        assert told["order"] == [str(urgent.case_id), str(first.case_id)]
        assert list(told["rows"]) == [str(urgent.case_id)]
        assert urgent.reference in told["rows"][str(urgent.case_id)]
        await world.hears(world.case(CaseClosed, urgent.case_id, status="closed"))
        assert (await listener.hears("rows"))["order"] == [str(first.case_id)]


async def test_nothing_comes_over_the_walls(world: World) -> None:
    mine = world.case()
    await world.hears(mine)
    async with stream(world, "lee", "/live") as listener:
        await listener.hears("rows")
        await world.hears(world.case(location_id="bay", region="south"))
        later = world.case(due_in=50)
        await world.hears(later)
        assert (await listener.hears("rows"))["order"] == [str(mine.case_id), str(later.case_id)]


async def test_an_open_case_hears_of_its_own_news(world: World) -> None:
    case = world.case()
    await world.hears(case)
    async with stream(world, "lee", f"/live?case={case.case_id}") as listener:
        await listener.hears("clock")
        await asyncio.sleep(0.2)
        await world.hears(world.case(CaseAcknowledged, case.case_id, status="acknowledged"))
        assert await listener.hears("case") == {"version": 2, "events": 2}


async def test_a_clock_that_was_moved_is_told_at_once(world: World) -> None:
    async with stream(world, "lee", "/live") as listener:
        assert await listener.hears("clock") == {"now": NOON.isoformat(), "rate": 0.0}
        world.clock.jump_to(NOON + timedelta(hours=1))
        told = await listener.hears("clock")
    assert told["now"] == (NOON + timedelta(hours=1)).isoformat()


async def test_a_stream_keeps_no_session_alive(world: World) -> None:
    async with stream(world, "lee", "/live") as listener:
        await listener.hears("clock")
        await world.desk.engine.pool.execute("update sessions set seen_at = clock_timestamp() - interval '16 minutes'")
        world.clock.jump_to(NOON + timedelta(hours=1))
        await listener.hears("signed-out")
