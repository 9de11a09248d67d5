"""Taking many cases on from the queue: what was picked is shown once more, for it cannot be undone; then each gets its answer."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from litestar import Response, post
from litestar.response import Redirect

from services.console import usecases
from services.console.api.case import AWAY, form_id
from services.console.api.doors import AnyRequest, Viewer, check_form, fields_of, must_sign_in, viewer_of
from services.console.api.queue import frame
from services.console.api.render import html
from services.console.usecases import Desk
from shared.kernel.errors import Rejected, Transient
from shared.web import FORMS, PUBLIC
from shared.web.problems import status_of

NONE_PICKED: Final = "Pick the cases first that you want to take on."


@post("/acknowledge", opt=PUBLIC | FORMS, status_code=200, include_in_schema=False)
async def ask_about_picked(request: AnyRequest, desk: Desk) -> Response[Any]:
    """Whether these are meant."""
    viewer = viewer_of(request)
    if viewer is None:
        return must_sign_in(request)
    check_form(request, viewer, await fields_of(request))
    return await _page(desk, viewer, await _case_ids(request))


@post("/acknowledge/confirmed", opt=PUBLIC | FORMS, status_code=200, include_in_schema=False)
async def acknowledge_picked(request: AnyRequest, desk: Desk) -> Response[Any]:
    """They are: take them on."""
    viewer = viewer_of(request)
    if viewer is None:
        return must_sign_in(request)
    fields = await fields_of(request)
    check_form(request, viewer, fields)
    case_ids = await _case_ids(request)
    try:
        names, taken = await usecases.take_on(desk, viewer.principal, case_ids, form_id(fields))
    except Rejected as refused:
        return await _page(desk, viewer, case_ids, refusal=refused.detail, status=status_of(refused))
    except Transient:
        return await _page(desk, viewer, case_ids, refusal=AWAY, status=503)
    if taken and not any(one.refusal for one in taken):
        return Redirect(f"/?taken={len(taken)}", status_code=303)
    return html("acknowledge.html", **frame(desk, viewer), rows=[one.row for one in taken], names=names, taken=taken, refusal=None)


async def _page(
    desk: Desk, viewer: Viewer, case_ids: Sequence[UUID], *, refusal: str | None = None, status: int = 200
) -> Response[str]:  # fmt: skip
    found = await usecases.picked(desk, viewer.principal, case_ids)
    if not found.rows and refusal is None:
        refusal, status = NONE_PICKED, 400
    return html("acknowledge.html", status=status, **frame(desk, viewer), rows=found.rows, names=found.names, taken=None, refusal=refusal)


async def _case_ids(request: AnyRequest) -> list[UUID]:
    """The ids that were ticked, each once."""
    try:
        return list(dict.fromkeys(UUID(str(value)) for value in (await request.form()).getall("case", [])))
    except ValueError:
        raise Rejected("invalid-input", "There is no such case.", pointer="/case") from None
