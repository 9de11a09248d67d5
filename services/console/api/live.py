"""`GET /live`: what changed on the page that is open, and the business clock, as server-sent events.

The stream looks at the same rows as the page does, after each ring of the bell and every other second, and says what differs from what it
said last; so it needs no memory of its own, and it is right whichever process took the event.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from litestar import get
from litestar.response import Stream

from services.console import usecases
from services.console.api.doors import AnyRequest, Viewer, cookie_name, viewer_of
from services.console.api.queue import ROWS, wanted_by
from services.console.api.render import render
from services.console.usecases import Desk
from shared.kernel.errors import Rejected
from shared.web import PUBLIC, Say, stream

LOOK_EVERY: Final = 2.0
# At most so often, however fast things change.
BREATH: Final = 0.3
CLOCK_EVERY: Final = 10.0
# A clock that differs by more business seconds than this from what the page reckons was moved.
DRIFT: Final = 1.5


@get("/live", opt=PUBLIC, include_in_schema=False)
async def live(request: AnyRequest, desk: Desk) -> Stream:
    """Events `clock`, `rows` (of the queue as filtered by the query), `case` (with `?case=`), `signed-out`."""
    viewer = viewer_of(request)
    if viewer is None:
        raise Rejected("unauthenticated", "A valid key or session is needed.")
    query = dict(request.query_params)
    return stream(request, _changes(desk, viewer, query, request.cookies.get(cookie_name(desk), "")))


async def _changes(desk: Desk, viewer: Viewer, query: Mapping[str, str], secret: str) -> AsyncIterator[Say]:
    loop = asyncio.get_running_loop()
    told_at, told_now, told_rate = -CLOCK_EVERY, desk.now, desk.rate
    seen: dict[str, tuple[Any, ...]] | None = None
    while True:
        at, now, rate = loop.time(), desk.now, desk.rate
        drift = abs((now - told_now).total_seconds() - (at - told_at) * told_rate)
        if at - told_at >= CLOCK_EVERY or rate != told_rate or drift > DRIFT * max(rate, 1.0):
            told_at, told_now, told_rate = at, now, rate
            yield Say({"now": now.isoformat(), "rate": rate}, event="clock")
            if await usecases.whoever(desk, secret, is_click=False) is None:
                yield Say("", event="signed-out")
                return
        said, seen = await (_case(desk, viewer, query["case"], seen) if query.get("case") else _rows(desk, viewer, query, seen))
        if said is not None:
            yield said
        await asyncio.sleep(BREATH)
        await desk.bell.wait(LOOK_EVERY)


async def _rows(
    desk: Desk, viewer: Viewer, query: Mapping[str, str], seen: dict[str, tuple[Any, ...]] | None
) -> tuple[Say | None, dict[str, tuple[Any, ...]]]:
    """The order of the rows, and the HTML of those that differ. The first look tells all: the page may be older than the stream."""
    found = await usecases.queue_page(desk, viewer.principal, wanted_by(dict(query)))
    rows = found.rows[:ROWS]
    marks: dict[str, tuple[Any, ...]] = {str(row.case_id): (row.version,) for row in rows}
    if seen is not None and list(seen.items()) == list(marks.items()):
        return None, marks
    fresh = {
        str(row.case_id): render("_row.html", row=row, names=found.names, now=desk.now, may_work=viewer.principal.may("cases:write"))
        for row in rows
        if seen is None or seen.get(str(row.case_id)) != (row.version,)
    }
    return Say({"order": list(marks), "rows": fresh, "first": seen is None}, event="rows"), marks


async def _case(
    desk: Desk, viewer: Viewer, name: str, seen: dict[str, tuple[Any, ...]] | None
) -> tuple[Say | None, dict[str, tuple[Any, ...]]]:
    """That a case has news; the page fetches itself again, words and all. The page says by `seen` how many events it was made from."""
    try:
        row, lines = await usecases.lines_of(desk, viewer.principal, name)
    except Rejected:
        return None, {}
    marks: dict[str, tuple[Any, ...]] = {"case": (row.version, len(lines))}
    if seen is None or seen == marks:
        return None, marks
    return Say({"version": row.version, "events": len(lines)}, event="case"), marks
