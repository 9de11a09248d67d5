"""The page of timers that are not as they ought to be, for who keeps the machinery going: what the auditors found, and what to do."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from litestar import Response, get, post
from litestar.response import Redirect

from services.console import usecases
from services.console.api.case import form_id
from services.console.api.doors import AnyRequest, Viewer, check_form, fields_of, must_sign_in, viewer_of
from services.console.api.parked import AWAY, not_yours
from services.console.api.queue import frame
from services.console.api.render import html
from services.console.usecases import Audited, Desk
from shared.kernel.clock import machine_now
from shared.kernel.errors import Rejected, Transient
from shared.web import FORMS, PUBLIC
from shared.web.problems import status_of

HOME: Final = "/operations/timers"
NUMBERS: Final = ("no service", "one service", "two services", "three services", "four services", "five services", "six services")
GONE: Final = "It is no longer there: it is mended, or somebody else has taken note of it."


@get(HOME, opt=PUBLIC, include_in_schema=False)
async def show_timers(request: AnyRequest, desk: Desk) -> Response[Any]:
    """What the auditor of each service found."""
    viewer = viewer_of(request)
    if viewer is None:
        return must_sign_in(request)
    return await _page(desk, viewer, said="Noted, with your reason." if "noted" in request.query_params else None)


@post(HOME + "/noted", opt=PUBLIC | FORMS, status_code=303, include_in_schema=False)
async def note_timer(request: AnyRequest, desk: Desk) -> Response[Any]:
    """A button: somebody has looked at what fired early or twice, and says why that is all right."""
    viewer = viewer_of(request)
    if viewer is None:
        return must_sign_in(request)
    fields = await fields_of(request)
    check_form(request, viewer, fields)
    try:
        finding_id = UUID(fields.get("finding_id", ""))
    except ValueError:
        raise Rejected("invalid-input", "There is no such finding.", pointer="/finding_id") from None
    reason = fields.get("reason", "").strip()
    if not reason:
        return await _page(desk, viewer, refusal="Say why it is all right, so that whoever looks later knows.", status=400)
    try:
        await usecases.note_finding(desk, viewer.principal, fields.get("service", ""), finding_id, reason, form_id(fields))
    except Rejected as refused:
        if refused.code == "forbidden":
            return not_yours(desk, viewer)
        sentence = GONE if refused.code == "unknown-finding" else refused.detail
        return await _page(desk, viewer, refusal=sentence, status=status_of(refused))
    except Transient:
        return await _page(desk, viewer, refusal=AWAY, status=503)
    return Redirect(f"{HOME}?noted", status_code=303)


async def _page(
    desk: Desk, viewer: Viewer, *, said: str | None = None, refusal: str | None = None, status: int = 200
) -> Response[str]:  # fmt: skip
    if not viewer.principal.may("parked:write"):
        return not_yours(desk, viewer)
    try:
        found = await usecases.audits(desk, viewer.principal, machine_now())
    except Rejected:
        return not_yours(desk, viewer)
    asked = [audit for audit in found if audit.items is not None]
    return html(
        "timers.html",
        status=status,
        **frame(desk, viewer),
        audits=[audit for audit in asked if audit.items],
        away=[audit.service for audit in found if audit.items is None],
        silent=[audit.service for audit in found if audit.is_silent],
        yet_to_look=[audit.service for audit in found if audit.is_to_look],
        checked=_checked(asked),
        how_many=NUMBERS[len(asked)],
        said=said,
        refusal=refusal,
    )


def _checked(asked: Sequence[Audited]) -> int | None:
    """How many seconds ago the look was that is furthest back, of the services that were looked at."""
    return max((audit.seconds_ago for audit in asked if audit.seconds_ago is not None), default=None)
