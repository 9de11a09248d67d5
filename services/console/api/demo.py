"""The demo bar: pause, speed up, jump. It moves the whole system's clock through `/dev/clock`."""

from typing import Any, Final

from litestar import Response, post
from litestar.response import Redirect

from services.console import usecases
from services.console.api.doors import AnyRequest, check_form, fields_of, must_sign_in, viewer_of
from services.console.usecases import Desk
from shared.kernel.errors import Rejected
from shared.web import FORMS, PUBLIC

MOVES: Final[dict[str, dict[str, int]]] = {
    "pause": {"rate": 0},
    "1x": {"rate": 1},
    "10x": {"rate": 10},
    "60x": {"rate": 60},
    "15min": {"advance_seconds": 900},
    "1h": {"advance_seconds": 3600},
}


@post("/demo/clock", opt=PUBLIC | FORMS, status_code=303, include_in_schema=False)
async def move_demo_clock(request: AnyRequest, desk: Desk) -> Response[Any]:
    """A button of the bar; back to the page it was pressed on."""
    viewer = viewer_of(request)
    if viewer is None:
        return must_sign_in(request)
    fields = await fields_of(request)
    check_form(request, viewer, fields)
    if not desk.is_demo:
        raise Rejected("not-found", "There is nothing at this address.")
    move = fields.get("move", "")
    if move == "opening":
        ahead = await usecases.next_opening_in(desk, viewer.principal)
        body = {"advance_seconds": int(ahead.total_seconds()) + 1} if ahead is not None else None
    else:
        body = MOVES.get(move)
    if body is None:
        raise Rejected("invalid-input", "The clock can be paused, sped up or moved forward.", pointer="/move")
    await desk.services.move_clock(body)
    back = fields.get("back", "/")
    # Only to a page of our own: one slash, and no second that would make it a host.
    return Redirect(back if back.startswith("/") and not back.startswith(("//", "/\\")) else "/", status_code=303)
