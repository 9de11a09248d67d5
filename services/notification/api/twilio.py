"""The SMS provider's webhooks: texts that come in, and what became of those that went out. Judged by their signature alone.

The signed address is the public one of the configuration, never what the request says of itself.
"""

from typing import Any, Final
from urllib.parse import parse_qsl
from uuid import UUID

from litestar import Request, Response, post

from services.notification import usecases
from services.notification.domain.window import e164
from services.notification.usecases import Desk, Incoming, Report
from shared.kernel.errors import Rejected
from shared.web import PUBLIC, RAW
from shared.web.signatures import twilio

INBOUND: Final = "/v1/webhooks/twilio/inbound"
STATUS: Final = "/v1/webhooks/twilio/status"
_FIELDS_MAX = 200
_FORM = "application/x-www-form-urlencoded"
# Nothing to say back on this request; answers leave as texts of their own.
_EMPTY = '<?xml version="1.0" encoding="UTF-8"?><Response/>'


@post(INBOUND, status_code=200, opt=PUBLIC | RAW)
async def twilio_inbound(request: Request[Any, Any, Any], desk: Desk) -> Response[str]:
    """A text from somebody."""
    form = await _signed(request, desk)
    sender = e164(_needed(form, "From"))
    if sender is None:
        raise Rejected("invalid-input", "From is no number.", pointer="/From")
    text = Incoming(_needed(form, "MessageSid"), sender, _one(form, "Body") or "", is_answered=_one(form, "OptOutType") is not None)
    async with desk.engine.transaction() as tx:
        await usecases.receive(desk, tx, text)
    return Response(_EMPTY, media_type="text/xml")


@post(STATUS, status_code=200, opt=PUBLIC | RAW)
async def twilio_status(request: Request[Any, Any, Any], desk: Desk) -> Response[str]:
    """What became of a text."""
    form = await _signed(request, desk)
    said = Report(_needed(form, "MessageSid"), _needed(form, "MessageStatus"), _one(form, "ErrorCode") or None, _notice_of(request))
    async with desk.engine.transaction() as tx:
        await usecases.report(desk, tx, said)
    return Response(_EMPTY, media_type="text/xml")


async def _signed(request: Request[Any, Any, Any], desk: Desk) -> dict[str, list[str]]:
    """The form, once its signature held. What does not hold is kept aside and refused with 403."""
    body = await request.body()
    form = _form(body) if request.headers.get("content-type", "").split(";")[0].strip().lower() == _FORM else None
    query = request.scope["query_string"].decode("latin-1")
    url = desk.public_url + request.url.path + (f"?{query}" if query else "")
    if not twilio(desk.webhook_token, url, form, body, request.headers.get("x-twilio-signature")):
        async with desk.engine.transaction() as tx:
            await usecases.quarantine(desk, tx, request.url.path, body)
        raise Rejected("bad-signature", "The signature does not fit.")
    if form is None:
        raise Rejected("invalid-input", "A form is expected here.")
    return form


def _form(body: bytes) -> dict[str, list[str]] | None:
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=_FIELDS_MAX)
    except ValueError:
        return None
    form: dict[str, list[str]] = {}
    for name, value in pairs:
        form.setdefault(name, []).append(value.replace("\x00", ""))
    return form


def _one(form: dict[str, list[str]], name: str) -> str | None:
    return form[name][0] if form.get(name) else None


def _needed(form: dict[str, list[str]], name: str) -> str:
    value = _one(form, name)
    if not value or len(value) > 200:
        raise Rejected("invalid-input", f"{name} is missing.", pointer=f"/{name}")
    return value


def _notice_of(request: Request[Any, Any, Any]) -> UUID | None:
    try:
        return UUID(request.query_params.get("notice", ""))
    except ValueError:
        return None
