"""`/p/{token}`: the patient's page. No login, nothing kept on the way, looking changes nothing."""

from typing import Any

from litestar import Response, get, post
from litestar.response import Redirect

from services.console import usecases
from services.console.api.doors import AnyRequest, check_same_site, fields_of, patient_asker, visit_cookie
from services.console.api.render import html
from services.console.usecases import Desk
from services.console.usecases.patient import VISIT
from shared.kernel.errors import Rejected
from shared.web import FORMS, PUBLIC
from shared.web.problems import status_of

PRIVATE = {"referrer-policy": "no-referrer", "x-robots-tag": "noindex, nofollow"}


@get("/p/{token:str}", opt=PUBLIC, include_in_schema=False)
async def show_patient_page(request: AnyRequest, desk: Desk, token: str) -> Response[Any]:
    """The status of a case to who holds the link."""
    return await _page(request, desk, token)


@post("/p/{token:str}", opt=PUBLIC | FORMS, status_code=303, include_in_schema=False)
async def prove_patient(request: AnyRequest, desk: Desk, token: str) -> Response[Any]:
    """The second factor: the last four digits of the phone."""
    check_same_site(request)
    answer = (await fields_of(request)).get("digits", "").strip()
    if len(answer) != 4 or not answer.isascii() or not answer.isdigit():
        return await _page(request, desk, token, refusal="Write the last four digits of your phone number.", status=400)
    try:
        visit = await usecases.prove(desk, token, answer)
    except Rejected as refused:
        if refused.code == "not-found":
            return _gone()
        return await _page(request, desk, token, refusal=refused.detail, status=status_of(refused))
    if visit is None:
        return await _page(request, desk, token, refusal="These are not the digits we know. Try again.", status=403)
    cookie = visit_cookie(desk, token, visit, int(VISIT.total_seconds()))
    return Redirect(f"/p/{token}", status_code=303, headers=PRIVATE | {"cache-control": "no-store"}, cookies=[cookie])


async def _page(request: AnyRequest, desk: Desk, token: str, *, refusal: str | None = None, status: int = 200) -> Response[Any]:
    visit = request.cookies.get("visit") or None
    found = await usecases.patient_page(desk, token, visit, patient_asker) if len(token) <= 200 else None
    if found is None:
        return _gone()
    return html("patient.html", status=status, headers=PRIVATE, page=found, now=desk.now, refusal=refusal)


def _gone() -> Response[str]:
    """A link that never was and one that has expired look the same."""
    return html("patient_gone.html", status=404, headers=PRIVATE)
