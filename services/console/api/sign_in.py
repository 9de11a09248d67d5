"""Signing in and out. In a demo with its built-in people: a button per role, and everybody else by name."""

from typing import Any, Final

from litestar import Response, get, post
from litestar.response import Redirect

from services.console import usecases
from services.console.api.doors import AnyRequest, check_form, check_same_site, cookie_name, fields_of, session_cookie, viewer_of
from services.console.api.render import html
from services.console.domain.phrases import ROLES
from services.console.usecases import Desk
from shared.kernel.errors import Rejected
from shared.reference import Staff
from shared.web import FORMS, PUBLIC

DUTIES: Final = {
    "associate": "Takes cases on, calls patients, writes their story down",
    "store_manager": "Is paged when nobody takes a case on; approves up to a limit",
    "regional_manager": "Watches all stores of a region; approves more",
    "compliance": "Decides what was referred for a federal payer",
    "admin": "Sees and may do everything",
}


@get("/sign-in", opt=PUBLIC, include_in_schema=False)
async def show_sign_in(request: AnyRequest, desk: Desk) -> Response[Any]:
    """The sign-in page; whoever is signed in goes on to the queue."""
    return Redirect("/", status_code=303) if viewer_of(request) else await sign_in_page(desk)


@post("/sign-in", opt=PUBLIC | FORMS, status_code=303, include_in_schema=False)
async def sign_in_person(request: AnyRequest, desk: Desk) -> Response[Any]:
    """Sign in as one of the demo's people."""
    if not desk.has_demo_people:
        raise Rejected("not-found", "There is nothing at this address.")
    check_same_site(request)
    staff_id = (await fields_of(request)).get("staff_id", "")
    if not staff_id:
        raise Rejected("invalid-input", "Choose a person.", pointer="/staff_id")
    secret = await usecases.sign_in(desk, staff_id)
    return Redirect("/", status_code=303, cookies=[session_cookie(desk, secret)])


@post("/sign-out", opt=PUBLIC | FORMS, status_code=303, include_in_schema=False)
async def sign_out_person(request: AnyRequest, desk: Desk) -> Response[Any]:
    """End the session."""
    viewer = viewer_of(request)
    if viewer is not None:
        check_form(request, viewer, await fields_of(request))
        await usecases.sign_out(desk, request.cookies[cookie_name(desk)])
    return Redirect("/sign-in", status_code=303, cookies=[session_cookie(desk, None)])


async def sign_in_page(desk: Desk, status: int = 200) -> Response[str]:
    """The page, with the demo's people where it is a demo."""
    known = await usecases.people(desk) if desk.has_demo_people else []
    firsts = [(role, DUTIES[role], found) for role in ROLES if (found := _first(known, role)) is not None]
    return html("sign_in.html", status=status, has_demo_people=desk.has_demo_people, firsts=firsts, people=known)


def _first(people: list[Staff], role: str) -> Staff | None:
    """Whom a role's button signs in: the first by id, so that it is the same person each time."""
    return min((person for person in people if person.role == role), key=lambda person: person.staff_id, default=None)
