"""Who is at the console: the session's cookie, the anti-forgery token of forms, and the patient link's cookie.

The cookie is `__Host-amends` with `Secure` where the public address is https. On plain http, which is for one's own machine only, it is
`amends` without `Secure`: of the browsers only some count http://localhost as safe enough to keep a Secure cookie, and scripts never do.
Invariant: a form without the session's own token changes nothing, and a form that another site sent changes nothing.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.response import Redirect

from services.console import usecases
from services.console.usecases import Desk
from shared.kernel.errors import Rejected
from shared.web import Principal
from shared.web.auth import PATIENT_SCOPES, ROLE_SCOPES

AnyRequest = Request[Any, Any, Any]
FIELD_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person at the console, with the token that their forms carry."""

    principal: Principal
    name: str
    role: str
    anti_forgery: str
    zone: str


def session_hook(desk: Desk) -> Callable[[ASGIConnection[Any, Any, Any, Any]], Awaitable[Principal | None]]:
    """For the doorkeeper: the person whose cookie came. What a page fetches by itself is no click and keeps no session alive."""

    async def sessions(connection: ASGIConnection[Any, Any, Any, Any]) -> Principal | None:
        secret = connection.cookies.get(cookie_name(desk))
        if not secret or len(secret) > 200:
            return None
        by_itself = connection.url.path == "/live" or "x-live" in connection.headers
        found = await usecases.whoever(desk, secret, is_click=not by_itself)
        if found is None:
            return None
        person = found.person
        principal = Principal(
            "person", person.staff_id, person.staff_id, person.role, person.locations, person.regions, ROLE_SCOPES[person.role]
        )
        viewer = Viewer(principal, person.name, person.role, found.anti_forgery, found.zone)
        connection.scope.setdefault("state", {})["viewer"] = viewer
        return principal

    return sessions


def viewer_of(request: AnyRequest) -> Viewer | None:
    """Who is signed in, or None."""
    viewer = request.scope.get("state", {}).get("viewer")
    return viewer if isinstance(viewer, Viewer) else None


def must_sign_in(request: AnyRequest) -> Response[Any]:
    """To the sign-in page for a browser; 401 for anything that did not ask for a page."""
    if "text/html" not in request.headers.get("accept", ""):
        raise Rejected("unauthenticated", "A valid key or session is needed.")
    return Redirect("/sign-in", status_code=303)


def patient_asker(link: str, case_id: UUID) -> Principal:
    """Whoever holds a verified link, limited to its one case."""
    return Principal("patient", f"link:{link}", scopes=PATIENT_SCOPES, case_id=str(case_id))


async def fields_of(request: AnyRequest) -> dict[str, str]:
    """The text fields of a form; what is empty or too long to be meant is left out or refused."""
    form = await request.form()
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    if any(len(value) > FIELD_MAX or "\x00" in value for value in fields.values()):
        raise Rejected("invalid-input", "A field is too long, or holds a character that cannot be kept.")
    return fields


def check_same_site(request: AnyRequest) -> None:
    """Refuse a form that another site sent. (`Origin` says nothing here: under our referrer policy browsers send `null`.)"""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Rejected("forbidden", "This form came from another site.")


def check_form(request: AnyRequest, viewer: Viewer, fields: Mapping[str, str]) -> None:
    """Refuse a form that is not one of this session's own."""
    check_same_site(request)
    given = fields.get("anti_forgery", "").encode("utf-8", "surrogatepass")
    if not hmac.compare_digest(given, viewer.anti_forgery.encode()):
        raise Rejected("forbidden", "This form is from another session. Reload the page and try again.")


def cookie_name(desk: Desk) -> str:
    """See the module."""
    return "__Host-amends" if desk.is_https else "amends"


def session_cookie(desk: Desk, secret: str | None) -> Cookie:
    """The session's cookie; None ends it. It lives as long as the browser: how long the session lives is the server's to say."""
    life = 0 if secret is None else None
    return Cookie(
        key=cookie_name(desk), value=secret or "", path="/", httponly=True, secure=desk.is_https, samesite="lax", max_age=life
    )  # fmt: skip


def visit_cookie(desk: Desk, token: str, visit: str, seconds: int) -> Cookie:
    """The cookie of a browser that passed a link's second factor; sent to that link's page alone."""
    return Cookie(
        key="visit", value=visit, path=f"/p/{token}", httponly=True, secure=desk.is_https, samesite="lax", max_age=seconds
    )  # fmt: skip
