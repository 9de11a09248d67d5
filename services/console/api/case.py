"""A case's page, and what people do there. `GET /v1/cases/{id}/timeline` is the same timeline for programs."""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from litestar import Response, get, post
from litestar.response import Redirect

from services.console import usecases
from services.console.api.doors import AnyRequest, Viewer, check_form, fields_of, must_sign_in, viewer_of
from services.console.api.queue import frame
from services.console.api.render import html
from services.console.domain.timeline import QUIET
from services.console.usecases import COMMANDS, Desk
from shared.kernel.errors import Rejected, Transient
from shared.kernel.money import minor
from shared.web import FORMS, PUBLIC, Principal, requires
from shared.web.problems import status_of

# What to do about a refusal, where the service's own sentence leaves that open.
ADVICE: Final = {
    "story-not-confirmed": "Listen first: write the patient's story down, read it back to them, tick the box and save. Then try again.",
    "own-approval": "You asked for this yourself, so somebody else has to approve it.",
    "above-authority": "This is above what you may approve alone. Somebody with more authority has to decide.",
    "already-decided": "Somebody else has decided this meanwhile.",
    "second-person-needed": "You have approved it already; a second person has to approve it too.",
    "not-acknowledged": "Take the case on first, then let its clock stand.",
    "not-resolved": "Resolve the case first, then close it.",
    "forbidden": "Your role may not do that.",
    "changed-meanwhile": "The case changed while you looked at it. Look again, then try again.",
}
AWAY: Final = "The service that does this does not answer at the moment. Nothing was changed; try again in a minute."


@get("/cases/{case_name:str}", opt=PUBLIC, include_in_schema=False)
async def show_case(request: AnyRequest, desk: Desk, case_name: str) -> Response[Any]:
    """A case, by id or reference."""
    viewer = viewer_of(request)
    if viewer is None:
        return must_sign_in(request)
    done = COMMANDS.get(request.query_params.get("done", ""))
    try:
        return await _page(desk, viewer, case_name, said=done[3] if done else None)
    except Rejected as refused:
        return html("missing.html", status=status_of(refused), **frame(desk, viewer))


@post("/cases/{case_name:str}/do/{command:str}", opt=PUBLIC | FORMS, status_code=303, include_in_schema=False)
async def act_on_case(request: AnyRequest, desk: Desk, case_name: str, command: str) -> Response[Any]:
    """A button of the page: ask the owning service in the person's name, then show the case again, or why not."""
    viewer = viewer_of(request)
    if viewer is None:
        return must_sign_in(request)
    fields = await fields_of(request)
    check_form(request, viewer, fields)
    try:
        row = await usecases.ask(desk, viewer.principal, case_name, command, _typed(fields), form_id(fields))
    except Rejected as refused:
        return await _refused(desk, viewer, case_name, ADVICE.get(refused.code, refused.detail), status_of(refused), fields)
    except Transient:
        return await _refused(desk, viewer, case_name, AWAY, 503, fields)
    return Redirect(f"/cases/{row.reference}?done={command}", status_code=303)


@get("/v1/cases/{case_name:str}/timeline", guards=[requires("cases:read")])
async def list_case_timeline(desk: Desk, principal: Principal, case_name: str) -> dict[str, Any]:
    """What happened to a case in plain sentences, newest first."""
    row, lines = await usecases.lines_of(desk, principal, case_name)
    items = [{"at": line.at.isoformat(), "type": line.type, "text": line.text, "who": line.who} for line in lines]
    return {"case_id": str(row.case_id), "reference": row.reference, "items": items, "next_cursor": None}


async def _refused(desk: Desk, viewer: Viewer, case_name: str, sentence: str, status: int, typed: Mapping[str, str]) -> Response[Any]:
    """The case's page with the reason on top and what was typed still in its form; a plain page where the case is not to be seen."""
    try:
        return await _page(desk, viewer, case_name, refusal=sentence, status=status, typed=typed)
    except Rejected:
        return html("missing.html", status=404, **frame(desk, viewer))


async def _page(
    desk: Desk,
    viewer: Viewer,
    case_name: str,
    *,
    said: str | None = None,
    refusal: str | None = None,
    status: int = 200,
    typed: Mapping[str, str] | None = None,
) -> Response[str]:
    found = await usecases.case_page(desk, viewer.principal, case_name)
    return html(
        "case.html",
        status=status,
        **frame(desk, viewer),
        page=found,
        row=found.row,
        names=found.names,
        zone=found.names.zone(found.row.location_id),
        may_work=viewer.principal.may("cases:write"),
        may_decide=viewer.principal.may("restitutions:write"),
        said=said,
        refusal=refusal,
        typed=typed or {},
        quiet=QUIET,
    )


def form_id(fields: Mapping[str, str]) -> str | None:
    """What makes a double click one request: the id that the page gave the form."""
    given = fields.get("form_id", "")
    return given if re.fullmatch(r"[0-9a-f]{32}", given) else None


def _typed(fields: Mapping[str, str]) -> dict[str, Any]:
    """A form's fields as the services take them: ticked boxes as booleans, amounts in minor units, what is empty left out."""
    found: dict[str, Any] = {name: value.strip() for name, value in fields.items() if value.strip()}
    found["read_back_confirmed"] = fields.get("read_back_confirmed") == "yes"
    found.pop("anti_forgery", None)
    if "amount" in found:
        try:
            found["amount_minor"] = minor(Decimal(found["amount"].lstrip("$").replace(",", "")), "USD")
        except (InvalidOperation, ValueError, OverflowError):
            raise Rejected("invalid-input", "Write the amount in dollars, for example 26.10.", pointer="/amount") from None
    return found
