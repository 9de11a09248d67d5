"""Reading a body: strict JSON, bounded in size, depth, numbers and time.

Called by the middleware below for every POST, PUT and PATCH before Litestar or pydantic see a byte, and by doors that read their own
body. Invariant: what comes out of `read_json` can be stored in Postgres and written back as JSON; whatever else comes in is a
400 that says where, never an exception of a parser further in.
"""

import asyncio
import json
import re
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn, TypeVar, cast

from litestar.enums import RequestEncodingType, ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPReceiveMessage, HTTPRequestEvent, Receive, Scope, Send
from litestar.utils.scope.state import ScopeState
from pydantic import BaseModel, ValidationError

from shared.kernel.errors import Rejected
from shared.web.problems import field_problem

SIZE_LIMIT = 1024 * 1024  # bytes, contract: 1 MiB
DEPTH_LIMIT = 64
NUMBER_LIMIT = 512  # characters of one number
EXPONENT_LIMIT = 308  # what an IEEE double can hold, so that every reader of the stored value agrees
INTEGER_LIMIT = 2**63 - 1  # Postgres bigint
PATIENCE_SECONDS = 20.0  # for a whole body; a client that stalls holds nothing open
# What is too large is still taken off the line up to here: a connection closed on unread bytes is reset, and the answer lost with it.
DRAIN_FACTOR, DRAIN_SECONDS = 8, 2.0

# Route options: `opt=RAW` hands the bytes on unparsed (bounded and timed all the same); `opt=FORMS` also takes HTML forms.
RAW = {"raw_body": True}
FORMS = {"forms": True}

# All that is no bracket and no quote.
_PLAIN_BYTES = bytes(sorted(set(range(256)) - set(b'[]{}"\\')))
# A string that never ends is eaten whole too: looking for its end again from every escaped quote would take quadratic time.
_BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|([\[{])|([\]}])', re.DOTALL)
_SUSPICIOUS_ESCAPE = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)")
_SURROGATE = re.compile("[\ud800-\udfff]")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_JSON_TYPE = re.compile(r"(?:application|text)/(?:[\w.!#$&^-]+\+)?json")
_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")

M = TypeVar("M", bound=BaseModel)


def read_json(raw: bytes, *, size_limit: int = SIZE_LIMIT) -> object:
    """The value of a JSON text (RFC 8259): dict, list, str, int, Decimal (numbers with a fraction or exponent), bool, None.

    Raises Rejected `too-large` (413) or `malformed-json` (400, the detail says where): invalid UTF-8, lone surrogates, U+0000 (Postgres
    cannot keep it), NaN and infinities in any spelling, integers beyond 64 bits, duplicate keys, more than 64 levels, text after the value.
    """
    if len(raw) > size_limit:
        raise _too_large(size_limit)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(f"not UTF-8 at byte {error.start}") from None
    _check_depth(raw)
    try:
        value = json.loads(
            text,
            parse_float=_fraction,
            parse_int=_integer,
            parse_constant=_constant,
            object_pairs_hook=cast("Callable[[Any], Any]", _unique),
        )
    except json.JSONDecodeError as error:
        raise _malformed(f"{error.msg.lower()} at line {error.lineno} column {error.colno}") from None
    if _SUSPICIOUS_ESCAPE.search(raw):
        _check_strings(value)
    return cast("object", value)


def read_model(model: type[M], value: object, *, at: str = "") -> M:
    """`value` (from `read_json`) as a pydantic model; `at` goes before each pointer. Raises Rejected `invalid-input`."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = [field_problem(item["loc"], item["msg"]) for item in error.errors(include_input=False, include_url=False)]
        for problem in problems:
            problem["pointer"] = at + problem["pointer"]
        raise Rejected("invalid-input", "The body is not what this address takes.", errors=problems) from None


def _check_depth(raw: bytes) -> None:
    """Before the parser, which would recurse. Few brackets cannot nest deep, so nearly every body skips the walk."""
    if raw.count(b"[") + raw.count(b"{") <= DEPTH_LIMIT or _most_levels(raw) <= DEPTH_LIMIT:
        return
    depth = 0
    for match in _BRACKETS.finditer(raw):
        if match[1]:
            depth += 1
            if depth > DEPTH_LIMIT:
                raise _malformed(f"more than {DEPTH_LIMIT} levels at byte {match.start()}")
        elif match[2]:
            depth -= 1


def _most_levels(raw: bytes) -> int:
    """No fewer levels than there are, found without a look at each bracket: pairs with nothing between them are taken away, round by
    round, of which each takes two levels at most. Quotes are left where something stands between them, so no pair reaches into a string.
    """
    bones = raw.replace(b"\\u", b"u").translate(None, _PLAIN_BYTES)
    if b"\\" in bones:
        # A quote that may be escaped: only the walk can tell.
        return len(bones)
    taken = 0
    while taken < DEPTH_LIMIT:
        rest = bones.replace(b'""', b"").replace(b"{}", b"").replace(b"[]", b"")
        if len(rest) == len(bones):
            break
        bones, taken = rest, taken + 2
    return taken + bones.count(b"[") + bones.count(b"{")


def _check_strings(value: object) -> None:
    """Only run where an escape may have smuggled in half a character or U+0000."""
    waiting: list[object] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if _SURROGATE.search(item):
                raise _malformed("half of a surrogate pair in a string")
            if "\x00" in item:
                raise _malformed("U+0000 in a string")
        elif isinstance(item, dict):
            waiting.extend(item.keys())
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _malformed("duplicate key" + (f' "{key}"' if _PLAIN_KEY.fullmatch(key) else ""))
            seen.add(key)
    return found


def _fraction(text: str) -> Decimal:
    if len(text) > NUMBER_LIMIT:
        raise _malformed(f"a number of {len(text)} characters")
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent beyond what Decimal can hold
        raise _malformed("a number out of range") from None
    if not number.is_finite() or abs(number.adjusted()) > EXPONENT_LIMIT:
        raise _malformed("a number out of range")
    return number


def _integer(text: str) -> int:
    if len(text) > NUMBER_LIMIT:
        raise _malformed(f"a number of {len(text)} characters")
    number = int(text)
    if abs(number) > INTEGER_LIMIT:
        raise _malformed("an integer beyond 64 bits")
    return number


def _constant(text: str) -> NoReturn:
    raise _malformed(f"{text} is no number")


def _malformed(where: str) -> Rejected:
    return Rejected("malformed-json", f"The body is no JSON this reads: {where}.")


def _too_large(limit: int) -> Rejected:
    return Rejected("too-large", f"A body may have {limit} bytes at most.", headers={"connection": "close"})


class BodyMiddleware(ASGIMiddleware):
    """Reads and checks the body of POST, PUT and PATCH once, for everything behind it: Litestar's `data`, `request.body()`, the handler."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Litestar calls this after routing, so the route's options are known."""
        if scope["type"] != ScopeType.HTTP or scope["method"] not in ("POST", "PUT", "PATCH"):
            await next_app(scope, receive, send)
            return
        route = cast("HTTPRouteHandler", scope["route_handler"])
        limit = int(route.opt.get("body_limit", SIZE_LIMIT))
        headers = scope["headers"]
        raw = await read_bounded(headers, receive, limit)
        state = ScopeState.from_scope(scope)
        state.body = raw
        if not route.opt.get("raw_body"):
            kind = _media_type(headers)
            if _JSON_TYPE.fullmatch(kind) or (not kind and raw):
                state.json = read_json(raw, size_limit=limit)
            elif raw and not (kind in _FORM_TYPES and _takes_forms(route)):
                raise Rejected("unsupported-media-type", "This address takes application/json.")
        await next_app(scope, _replay(raw, receive), send)


async def read_bounded(
    headers: Iterable[tuple[bytes, bytes]], receive: Receive, limit: int, patience_seconds: float | None = None
) -> bytes:
    """All bytes of a request's body. Raises Rejected `too-large` (413) beyond `limit`, `slow-body` (408) for a client that stalls."""
    announced = next((value for name, value in headers if name == b"content-length"), b"0")
    if announced.isdigit() and int(announced[:20]) > limit:
        await _drain(receive, limit * DRAIN_FACTOR)
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(PATIENCE_SECONDS if patience_seconds is None else patience_seconds):
            while True:
                message = cast("dict[str, Any]", await receive())
                if message["type"] == "http.disconnect":
                    raise Rejected("bad-request", "The client went away before the end of its body.")
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > limit:
                    if message.get("more_body", False):
                        await _drain(receive, limit * DRAIN_FACTOR)
                    raise _too_large(limit)
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError:
        raise Rejected("slow-body", "The body did not arrive in time.", headers={"connection": "close"}) from None


async def _drain(receive: Receive, most: int) -> None:
    """Read and forget, up to `most` bytes and a moment."""
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while most > 0:
                message = cast("dict[str, Any]", await receive())
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
                most -= len(message.get("body", b""))
    except TimeoutError:
        return


def _media_type(headers: Iterable[tuple[bytes, bytes]]) -> str:
    value = next((value for name, value in headers if name == b"content-type"), b"")
    return value.split(b";", 1)[0].strip().lower().decode("latin-1")


def _takes_forms(route: HTTPRouteHandler) -> bool:
    """Whether the handler declares a form body, or declares no body and reads the form itself."""
    if route.opt.get("forms"):
        return True
    data = route.parsed_fn_signature.parameters.get("data")
    if data is None:
        return True
    media_type = getattr(data.kwarg_definition, "media_type", None)
    return media_type in (RequestEncodingType.URL_ENCODED, RequestEncodingType.MULTI_PART)


def _replay(raw: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once more, then what really comes (the disconnect)."""
    given = False

    async def again() -> HTTPReceiveMessage:
        nonlocal given
        if given:
            return cast("HTTPReceiveMessage", await receive())
        given = True
        return HTTPRequestEvent(type="http.request", body=raw, more_body=False)

    return cast("Receive", again)
