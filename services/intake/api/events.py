"""`POST /v1/events` and `GET /v1/events`: CloudEvents 1.0 over HTTP in all three modes.

Called by integrations. Invariant: a body that can be read at all gets one result for each event, in the order of the events.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final
from urllib.parse import unquote

from litestar import Request, Response, get, post
from litestar.params import QueryParameter

from services.intake import domain, usecases
from services.intake.domain import Arrival, Problem
from services.intake.usecases import Desk, Outcome
from shared.kernel.errors import Rejected
from shared.web import RAW, Principal, read_json, requires

EVENTS_MAX: Final = 1_000
STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
_JSON_TYPE = re.compile(r"[\w!#$&^.+-]+/([\w!#$&^.-]+\+)?json")
# What a sender percent-encodes must be hex pairs of UTF-8; a stray % is a mistake of the sender.
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


@post("/v1/events", status_code=202, guards=[requires("events:write")], opt=RAW)
async def post_events(request: Request[Any, Any, Any], desk: Desk) -> Response[dict[str, Any]]:
    """Take CloudEvents: structured, batch or binary. 202 once they are durable, with a result for each."""
    arrivals, is_single = _read(request.headers.get("content-type", ""), request.headers.items(), await request.body())
    if is_single and (problem := arrivals[0].problem) is not None and problem.code == "invalid-event":
        raise _refused(arrivals[0], problem)
    return Response(_answer(await usecases.submit(desk, arrivals) if arrivals else []), status_code=202)


@get("/v1/events")
async def get_event(
    desk: Desk,
    principal: Principal,
    source: Annotated[str, QueryParameter(max_length=256)],
    name: Annotated[str, QueryParameter(name="id", max_length=256)],
) -> dict[str, Any]:
    """What became of an event: its status, incident and case, or why nothing."""
    if not (principal.may("events:write") or principal.may("cases:read")) or principal.kind == "patient":
        raise Rejected("forbidden", "This key or person may not do that.", needs=["events:write"])
    if "\x00" in source + name:
        raise Rejected("not-found", "There is no such event.")
    found = await usecases.event_status(desk, source, name)
    if found is None:
        raise Rejected("not-found", "There is no such event.")
    return found


def _read(content_type: str, headers: Iterable[tuple[str, str]], raw: bytes) -> tuple[list[Arrival], bool]:
    """The arrivals of a request, and whether it is one by itself rather than a batch. Raises Rejected for what is no such request."""
    kind = content_type.split(";", 1)[0].strip().lower()
    if kind == BATCH:
        events = read_json(raw)
        if not isinstance(events, list):
            raise Rejected("invalid-event", "A batch is a JSON array of CloudEvents.", pointer="")
        if len(events) > EVENTS_MAX:
            raise Rejected("too-many-events", f"A batch may hold {EVENTS_MAX} events at most.")
        return [domain.read_structured(event) for event in events], False
    if kind == STRUCTURED:
        return [domain.read_structured(read_json(raw))], True
    attributes = {name.lower().removeprefix("ce-"): value for name, value in headers if name.lower().startswith("ce-")}
    if (kind and not _JSON_TYPE.fullmatch(kind)) or "specversion" not in attributes:
        if not kind or _JSON_TYPE.fullmatch(kind):
            read_json(raw)
        raise Rejected("unsupported-media-type", f"This address takes {STRUCTURED}, {BATCH}, or JSON with ce- headers.")
    if kind:
        attributes["datacontenttype"] = content_type
    return [_binary(attributes, read_json(raw))], True


def _binary(attributes: Mapping[str, str], data: object) -> Arrival:
    try:
        decoded = {name: _decoded(value) for name, value in attributes.items()}
    except ValueError as error:
        return Arrival(None, None, problem=Problem("invalid-event", f"This is no CloudEvent 1.0: {error}."))
    return domain.read_binary(decoded, data)


def _decoded(value: str) -> str:
    """A header's value as the HTTP binding says: quotes taken off, percent-encoded UTF-8 decoded once."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    if _BAD_PERCENT.search(value):
        raise ValueError("a header is not percent-encoded")
    try:
        # Header bytes come as latin-1; senders that put plain UTF-8 there are read too.
        return unquote(value.encode("latin-1").decode("utf-8"), errors="strict")
    except UnicodeError:
        raise ValueError("a header is not UTF-8") from None


def _answer(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    counts = {status: sum(outcome.status == status for outcome in outcomes) for status in ("accepted", "duplicate", "rejected")}
    return {
        "accepted": counts["accepted"],
        "duplicates": counts["duplicate"],
        "rejected": counts["rejected"],
        "results": [_result(outcome) for outcome in outcomes],
    }


def _result(outcome: Outcome) -> dict[str, Any]:
    result = {"source": outcome.arrival.source, "id": outcome.arrival.id, "status": outcome.status}
    return result if outcome.problem is None else result | {"problem": problem_body(outcome.problem)}


def problem_body(problem: Problem) -> dict[str, Any]:
    """A refusal as the contract shows it beside one event."""
    errors = [{"pointer": pointer, "detail": detail} for pointer, detail in problem.errors]
    return {"code": problem.code, "detail": problem.detail, "errors": errors}


def _refused(arrival: Arrival, problem: Problem) -> Rejected:
    """One event that is no CloudEvent: nothing could be read, so the request is refused; the counts say the same to who reads them."""
    answer = _answer([Outcome(arrival, "rejected", problem)])
    return Rejected(problem.code, problem.detail, **answer, errors=answer["results"][0]["problem"]["errors"])
