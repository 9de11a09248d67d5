"""Saying no: RFC 9457 problem+json for everything that goes wrong, and the only place with HTTP status numbers.

Called by Litestar for every exception. `status_of(code)` is the table of the contract's codes; a code that is not in it is a refusal of
the business, 409. Invariant: a problem never repeats what was sent, and what we did not expect shows only its id.
"""

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from pydantic import BaseModel

from shared.db import DATABASE_DOWN
from shared.kernel.errors import Poison, Rejected, Transient
from shared.kernel.ids import new_id
from shared.telemetry import logs, metrics

PROBLEM_JSON = "application/problem+json"
TYPE_PREFIX = "urn:amends:problem:"

STATUS_OF: dict[str, int] = {
    "malformed-json": 400,
    "invalid-input": 400,
    "invalid-header": 400,
    "bad-cursor": 400,
    "bad-idempotency-key": 400,
    "future-time": 400,
    "bad-request": 400,
    "unauthenticated": 401,
    "bad-signature": 403,
    "forbidden": 403,
    "own-approval": 403,
    "above-authority": 403,
    "not-yours": 403,
    "not-found": 404,
    "method-not-allowed": 405,
    "not-acceptable": 406,
    "slow-body": 408,
    "story-not-confirmed": 409,
    "in-flight": 409,
    "answer-lost": 409,
    "gone": 410,
    "changed-meanwhile": 412,
    "too-large": 413,
    "too-many-events": 413,
    "unsupported-media-type": 415,
    "idempotency-key-reused": 422,
    "too-many-requests": 429,
    "internal": 500,
    "unavailable": 503,
}
# A family of codes without a row of their own.
_PREFIXES = (("malformed-", 400), ("invalid-", 400), ("bad-", 400), ("missing-", 400), ("too-many-", 400))
_CODE_OF_STATUS = {400: "bad-request", 401: "unauthenticated", 403: "forbidden", 404: "not-found", 405: "method-not-allowed",
                   406: "not-acceptable", 413: "too-large", 415: "unsupported-media-type", 429: "too-many-requests"}  # fmt: skip
# Litestar says in words alone which parameter it misses.
_MISSING = re.compile(r"Missing required (query|header|cookie|path) parameter '([\w.-]+)'")
_RESERVED = {"type", "title", "status", "detail", "code", "instance", "errors"}
log = logs.get("web")


class FieldProblem(BaseModel):
    """One place of the input that is wrong: an RFC 6901 pointer into the body, or `/query/<name>`, `/path/<name>`."""

    pointer: str
    detail: str


class Problem(BaseModel):
    """An RFC 9457 problem. `code` is stable and meant for programs; further members carry facts of that code."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldProblem] | None = None


def status_of(rejection: Rejected) -> int:
    """The HTTP status of a refusal: by its code; `unknown-…` is 404 for what the path names and 400 for a place in the body."""
    code = rejection.code
    if code in STATUS_OF:
        return STATUS_OF[code]
    if code.startswith("unknown-"):
        return 400 if rejection.pointer else 404
    return next((status for prefix, status in _PREFIXES if code.startswith(prefix)), 409)


def problem_of(rejection: Rejected) -> dict[str, Any]:
    """The body of the problem for a refusal; `POST /v1/events` uses it for the result of one event too."""
    body = _body(status_of(rejection), rejection.code, rejection.detail)
    errors = rejection.facts.get("errors")
    if errors is None and rejection.pointer is not None:
        errors = [{"pointer": rejection.pointer, "detail": rejection.detail}]
    if errors:
        body["errors"] = errors
    body.update({name: value for name, value in rejection.facts.items() if name not in _RESERVED and name != "headers"})
    return body


def respond(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The answer to any exception that reached the door. Registered with Litestar for `Exception`."""
    body, headers = _translate(request, error)
    metrics.HTTP_PROBLEMS.labels(code=_known(body["code"])).inc()
    content = msgspec.json.encode(body, enc_hook=_encode)
    return Response(content, status_code=body["status"], headers=headers, media_type=PROBLEM_JSON)


def _translate(request: Request[Any, Any, Any], error: Exception) -> tuple[dict[str, Any], dict[str, str]]:
    headers = {"cache-control": "no-store"}
    if isinstance(error, Rejected):
        if error.code == "unauthenticated":
            headers["www-authenticate"] = 'Bearer realm="amends"'
        headers.update(error.facts.get("headers", {}))
        return problem_of(error), headers
    if isinstance(error, Poison):
        return _body(400, "bad-request", error.detail), headers
    if isinstance(error, ValidationException):
        return _body(400, "invalid-input", "The request is not what this address takes.") | {"errors": _fields(error)}, headers
    if isinstance(error, HTTPException) and error.status_code < 500:
        headers.update(error.headers or {})
        code = _CODE_OF_STATUS.get(error.status_code, "bad-request")
        return _body(error.status_code, code, _DETAILS.get(error.status_code, error.detail)), headers
    if isinstance(error, Transient):
        return _body(503, "unavailable", error.detail), headers | {"retry-after": str(max(1, math.ceil(error.retry_in)))}
    if isinstance(error, DATABASE_DOWN):
        log.warning("the world is down", exc_info=error)
        return _body(503, "unavailable", "Something this needs is away for the moment."), headers | {"retry-after": "1"}
    return _unexpected(request, error), headers


_DETAILS = {404: "There is nothing at this address.", 405: "This address does not take that method.", 413: "The body is too large."}


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> dict[str, Any]:
    """Our bug: logged with an id, of which alone the asker hears."""
    problem_id = str(new_id())
    template = request.scope.get("path_template", "")
    log.error("unexpected error", problem_id=problem_id, method=request.method, route=template, exc_info=error)
    return _body(500, "internal", f"Something went wrong here. Quote {problem_id} when you ask about it.") | {
        "instance": f"urn:uuid:{problem_id}"
    }


def _body(status: int, code: str, detail: str) -> dict[str, Any]:
    return {"type": TYPE_PREFIX + code, "title": code.replace("-", " ").capitalize(), "status": status, "detail": detail, "code": code}


def _fields(error: ValidationException) -> list[dict[str, str]]:
    """Litestar's complaints as pointers; pydantic's own locations where there are any, for a key may contain a dot."""
    inner = getattr(error.__cause__, "errors", None)
    if isinstance(inner, list):
        return [field_problem(item["loc"], item["msg"]) for item in inner]
    complaints = error.extra if isinstance(error.extra, list) else []
    missing = _MISSING.match(error.detail)
    if missing and not complaints:
        return [{"pointer": f"/{missing[1]}/{missing[2]}", "detail": "It is required."}]
    return [_complaint(item) for item in complaints if isinstance(item, Mapping)]


def field_problem(place: tuple[int | str, ...], message: str) -> dict[str, str]:
    """A pydantic location as an RFC 6901 pointer with its message; pydantic's messages do not quote the input."""
    return {"pointer": "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in place), "detail": message}


def _complaint(item: Mapping[str, Any]) -> dict[str, str]:
    key, source = str(item.get("key", "")), str(getattr(item.get("source"), "value", item.get("source", "")))
    message = re.sub(r" - at `.*`$", "", str(item.get("message", "")))
    if source in ("query", "path", "header", "cookie"):
        return {"pointer": f"/{source}/{key}", "detail": message}
    return {
        "pointer": "" if key in ("data", "") else "/" + key.replace(".", "/"),
        "detail": message if key != "data" else "A body is needed.",
    }


def _known(code: str) -> str:
    """A label for the metric: codes are kebab-case words of ours, so their number is bounded; anything else is `other`."""
    return code if re.fullmatch(r"[a-z0-9-]{1,60}", code) else "other"


def _encode(value: Any) -> Any:
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)
