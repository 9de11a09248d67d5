"""Taking many cases on from the queue: what was picked is shown once more, for it cannot be undone; then each gets its answer."""

from typing import Any, Final
from uuid import UUID

from litestar import Response, post
from litestar.response import Redirect

from services.console import usecases
from services.console.api.case import AWAY, form_id
from services.console.api.doors import AnyRequest, check_form, fields_of, must_sign_in, viewer_of
from services.console.api.queue import frame
from services.console.api.render import html
from services.console.usecases import Desk
from shared.kernel.errors import Rejected, Transient
from shared.web import FORMS, PUBLIC
from shared.web.problems import status_of

NONE_PICKED: Final = "Pick the cases first that you want to take on."


@post("/acknowledge", opt=PUBLIC | FORMS, status_code=200, include_in_schema=False)
async def acknowledge_picked(request: AnyRequest, desk: Desk) -> Response[Any]:
    """Ask whether these are meant; with `confirmed` take them on."""
    viewer = viewer_of(request)
    if viewer is None:
        return must_sign_in(request)
    fields = await fields_of(request)
    check_form(request, viewer, fields)
    found = await usecases.picked(desk, viewer.principal, await _case_ids(request))
    shown: dict[str, Any] = {"rows": found.rows, "names": found.names, "taken": None}
    if not found.rows:
        return html("acknowledge.html", status=400, **frame(desk, viewer), **shown, refusal=NONE_PICKED)
    if fields.get("confirmed") != "yes":
        return html("acknowledge.html", **frame(desk, viewer), **shown, refusal=None)
    try:
        taken = await usecases.take_on(desk, viewer.principal, found, form_id(fields))
    except Rejected as refused:
        return html("acknowledge.html", status=status_of(refused), **frame(desk, viewer), **shown, refusal=refused.detail)
    except Transient:
        return html("acknowledge.html", status=503, **frame(desk, viewer), **shown, refusal=AWAY)
    if any(one.refusal for one in taken):
        return html("acknowledge.html", **frame(desk, viewer), **shown | {"taken": taken}, refusal=None)
    return Redirect(f"/?taken={len(taken)}", status_code=303)


async def _case_ids(request: AnyRequest) -> list[UUID]:
    """The ids that were ticked, each once."""
    try:
        return list(dict.fromkeys(UUID(str(value)) for value in (await request.form()).getall("case", [])))
    except ValueError:
        raise Rejected("invalid-input", "There is no such case.", pointer="/case") from None
