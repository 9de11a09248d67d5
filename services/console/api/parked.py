"""The page of parked events, for who may try them again: what stands still, why, its record, and the buttons."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from litestar import Response, get, post
from litestar.response import Redirect

from services.console import usecases
from services.console.api.case import form_id
from services.console.api.doors import AnyRequest, Viewer, check_form, fields_of, must_sign_in, viewer_of
from services.console.api.queue import frame
from services.console.api.render import html
from services.console.usecases import Desk
from shared.kernel.errors import Rejected, Transient
from shared.web import FORMS, PUBLIC
from shared.web.problems import status_of

HOME: Final = "/operations/parked"
AWAY: Final = "The service does not answer at the moment. Nothing was changed; try again in a minute."
GONE: Final = "It is no longer parked: it went through, or somebody else has tried it."


@get(HOME, opt=PUBLIC, include_in_schema=False)
async def show_parked_events(request: AnyRequest, desk: Desk) -> Response[Any]:
    """What lies parked in every service, or more of one (`service`, `cursor`)."""
    viewer = viewer_of(request)
    if viewer is None:
        return must_sign_in(request)
    asked = request.query_params.get("asked", "")
    said = _asked(int(asked)) if asked.isascii() and asked.isdigit() and len(asked) < 9 else None
    return await _page(desk, viewer, request.query_params, said=said)


@get(HOME + "/{service:str}/{parked_id:uuid}", opt=PUBLIC, include_in_schema=False)
async def show_parked_event(request: AnyRequest, desk: Desk, service: str, parked_id: UUID) -> Response[Any]:
    """One parked event with its record as it came."""
    viewer = viewer_of(request)
    if viewer is None:
        return must_sign_in(request)
    try:
        item = await usecases.parked_record(desk, viewer.principal, service, parked_id)
    except Rejected as refused:
        if refused.code == "forbidden":
            return not_yours(desk, viewer)
        return await _page(desk, viewer, {}, refusal=GONE, status=status_of(refused))
    except Transient:
        return await _page(desk, viewer, {}, refusal=AWAY, status=503)
    return html("parked_record.html", **frame(desk, viewer), item=item)


@post(HOME + "/redrive", opt=PUBLIC | FORMS, status_code=303, include_in_schema=False)
async def redrive_parked_events(request: AnyRequest, desk: Desk) -> Response[Any]:
    """A button: try one again with all that waits behind it, or all of a service."""
    viewer = viewer_of(request)
    if viewer is None:
        return must_sign_in(request)
    fields = await fields_of(request)
    check_form(request, viewer, fields)
    try:
        chosen = UUID(fields["parked_id"]) if fields.get("parked_id") else None
    except ValueError:
        raise Rejected("invalid-input", "There is no such parked event.", pointer="/parked_id") from None
    try:
        count = await usecases.redrive(desk, viewer.principal, fields.get("service", ""), chosen, form_id(fields))
    except Rejected as refused:
        if refused.code == "forbidden":
            return not_yours(desk, viewer)
        sentence = GONE if refused.code == "unknown-parked" else refused.detail
        return await _page(desk, viewer, {}, refusal=sentence, status=status_of(refused))
    except Transient:
        return await _page(desk, viewer, {}, refusal=AWAY, status=503)
    return Redirect(f"{HOME}?asked={count}", status_code=303)


async def _page(
    desk: Desk,
    viewer: Viewer,
    query: Mapping[str, str],
    *,
    said: str | None = None,
    refusal: str | None = None,
    status: int = 200,
) -> Response[str]:
    if not viewer.principal.may("parked:write"):
        return not_yours(desk, viewer)
    service, cursor = query.get("service") or None, query.get("cursor") or None
    try:
        found = await usecases.parks(desk, viewer.principal, service, cursor)
    except Rejected as refused:
        if refused.code == "forbidden":
            return not_yours(desk, viewer)
        return html("missing.html", status=status_of(refused), **frame(desk, viewer))
    return html(
        "parked.html",
        status=status,
        **frame(desk, viewer),
        parks=[park for park in found if park.items],
        away=[park.service for park in found if park.items is None],
        is_part=service is not None,
        said=said,
        refusal=refusal,
    )


def not_yours(desk: Desk, viewer: Viewer) -> Response[str]:
    """The page for who may not see what they asked for."""
    return html("not_yours.html", status=403, **frame(desk, viewer))


def _asked(count: int) -> str:
    if not count:
        return "Nothing was parked there any more."
    return f"{count} {'event is' if count == 1 else 'events are'} tried again. Whatever goes through leaves this page by itself."
