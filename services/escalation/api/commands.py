"""`POST /v1/cases/{id}/…`: what people do to a case. Each answers with the case as it is after, under its ETag."""

from typing import Annotated, Any, Literal

from litestar import Response, post
from litestar.params import HeaderParameter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from services.escalation import usecases
from services.escalation.api.views import case_body
from services.escalation.usecases import Asked, CaseView, Desk
from shared.contracts.cases import PromiseKind, RootCause
from shared.web import Principal, check_etag, etag, requires

Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20_000)]
Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=100)]
IfMatch = Annotated[str | None, HeaderParameter(name="If-Match")]
Answer = Response[dict[str, Any]]
WRITE = [requires("cases:write")]


class Body(BaseModel):
    """What a command takes: nothing that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Assign(Body):
    staff_id: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class TellStory(Body):
    verbatim: Words | None = None
    wished_outcome: Words | None = None
    read_back_confirmed: bool = False


class Act(Body):
    kind: Literal["call", "visit", "text", "email", "remake", "adjustment", "order_expedited", "delivery", "other"]
    note: Words | None = None
    then_pause: Reason | None = Field(default=None, description="Wait after it, in one act: for a reason as `pause` takes it.")


class Pause(Body):
    reason: Reason


class Resolve(Body):
    root_cause: RootCause
    action: Words = "other"
    note: Words | None = None


class Reopen(Body):
    reason: Said


class Replan(Body):
    reason: Said


class MakePromise(Body):
    what: PromiseKind
    estimate_at: AwareDatetime | None = Field(default=None, description="When it is expected to be done; the patient is told a later time.")


class KeepPromise(Body):
    what: PromiseKind


class AddNote(Body):
    text: Said = Field(description="For colleagues; no patient and no text ever sees it.")


@post("/v1/cases/{case_name:str}/acknowledge", status_code=200, guards=WRITE)
async def acknowledge_case(desk: Desk, principal: Principal, case_name: str, if_match: IfMatch = None) -> Answer:
    """Somebody takes it: the ladder stops."""
    async with desk.engine.transaction() as tx:
        asked = _asked(case_name, principal, if_match)
        view = await usecases.acknowledge(desk, tx, asked)
    return _answer(view)


@post("/v1/cases/{case_name:str}/assign", status_code=200, guards=WRITE)
async def assign_case(desk: Desk, principal: Principal, case_name: str, data: Assign, if_match: IfMatch = None) -> Answer:
    """Another owner, who is paged."""
    async with desk.engine.transaction() as tx:
        asked = _asked(case_name, principal, if_match)
        view = await usecases.assign(desk, tx, asked, data.staff_id)
    return _answer(view)


@post("/v1/cases/{case_name:str}/story", status_code=200, guards=WRITE)
async def tell_case_story(desk: Desk, principal: Principal, case_name: str, data: TellStory, if_match: IfMatch = None) -> Answer:
    """The patient's story, and that it was read back."""
    async with desk.engine.transaction() as tx:
        asked = _asked(case_name, principal, if_match)
        view = await usecases.tell_story(desk, tx, asked, data.verbatim, data.wished_outcome, data.read_back_confirmed)
    return _answer(view)


@post("/v1/cases/{case_name:str}/actions", status_code=200, guards=WRITE)
async def record_case_action(desk: Desk, principal: Principal, case_name: str, data: Act, if_match: IfMatch = None) -> Answer:
    """What was done for the patient."""
    async with desk.engine.transaction() as tx:
        asked = _asked(case_name, principal, if_match)
        view = await usecases.record_action(desk, tx, asked, data.kind, data.note, data.then_pause)
    return _answer(view)


@post("/v1/cases/{case_name:str}/notes", status_code=200, guards=WRITE)
async def add_case_note(desk: Desk, principal: Principal, case_name: str, data: AddNote, if_match: IfMatch = None) -> Answer:
    """A note for colleagues."""
    async with desk.engine.transaction() as tx:
        asked = _asked(case_name, principal, if_match)
        view = await usecases.add_note(desk, tx, asked, data.text)
    return _answer(view)


@post("/v1/cases/{case_name:str}/promises", status_code=200, guards=WRITE)
async def make_case_promise(desk: Desk, principal: Principal, case_name: str, data: MakePromise, if_match: IfMatch = None) -> Answer:
    """What the patient is told by when. Again with a later estimate: moved, once and before it lapses."""
    async with desk.engine.transaction() as tx:
        asked = _asked(case_name, principal, if_match)
        view = await usecases.make_promise(desk, tx, asked, data.what, data.estimate_at)
    return _answer(view)


@post("/v1/cases/{case_name:str}/keep-promise", status_code=200, guards=WRITE)
async def keep_case_promise(desk: Desk, principal: Principal, case_name: str, data: KeepPromise, if_match: IfMatch = None) -> Answer:
    """What was promised is done. The actions that keep it and the resolution say so by themselves."""
    async with desk.engine.transaction() as tx:
        asked = _asked(case_name, principal, if_match)
        view = await usecases.keep_promise(desk, tx, asked, data.what)
    return _answer(view)


@post("/v1/cases/{case_name:str}/pause", status_code=200, guards=WRITE)
async def pause_case(desk: Desk, principal: Principal, case_name: str, data: Pause, if_match: IfMatch = None) -> Answer:
    """The clock stands, for a reason with a budget."""
    async with desk.engine.transaction() as tx:
        asked = _asked(case_name, principal, if_match)
        view = await usecases.pause(desk, tx, asked, data.reason)
    return _answer(view)


@post("/v1/cases/{case_name:str}/resume", status_code=200, guards=WRITE)
async def resume_case(desk: Desk, principal: Principal, case_name: str, if_match: IfMatch = None) -> Answer:
    """The clock runs again."""
    async with desk.engine.transaction() as tx:
        asked = _asked(case_name, principal, if_match)
        view = await usecases.resume(desk, tx, asked)
    return _answer(view)


@post("/v1/cases/{case_name:str}/re-plan", status_code=200, guards=WRITE)
async def replan_case(desk: Desk, principal: Principal, case_name: str, data: Replan, if_match: IfMatch = None) -> Answer:
    """By the tables in force now, for a manager: targets count anew from the start, breaches stay."""
    async with desk.engine.transaction() as tx:
        asked = _asked(case_name, principal, if_match)
        view = await usecases.replan(desk, tx, asked, data.reason)
    return _answer(view)


@post("/v1/cases/{case_name:str}/resolve", status_code=200, guards=WRITE)
async def resolve_case(desk: Desk, principal: Principal, case_name: str, data: Resolve, if_match: IfMatch = None) -> Answer:
    """The recovery is done; 409 before the story is confirmed."""
    async with desk.engine.transaction() as tx:
        asked = _asked(case_name, principal, if_match)
        view = await usecases.resolve(desk, tx, asked, data.root_cause, data.action, data.note)
    return _answer(view)


@post("/v1/cases/{case_name:str}/close", status_code=200, guards=WRITE)
async def close_case(desk: Desk, principal: Principal, case_name: str, if_match: IfMatch = None) -> Answer:
    """After the resolution."""
    async with desk.engine.transaction() as tx:
        asked = _asked(case_name, principal, if_match)
        view = await usecases.close(desk, tx, asked)
    return _answer(view)


@post("/v1/cases/{case_name:str}/reopen", status_code=200, guards=WRITE)
async def reopen_case(desk: Desk, principal: Principal, case_name: str, data: Reopen, if_match: IfMatch = None) -> Answer:
    """It was not over after all."""
    async with desk.engine.transaction() as tx:
        asked = _asked(case_name, principal, if_match)
        view = await usecases.reopen(desk, tx, asked, data.reason)
    return _answer(view)


def _asked(case_name: str, principal: Principal, if_match: str | None) -> Asked:
    return Asked(case_name, principal, lambda version: check_etag(if_match, version))


def _answer(view: CaseView) -> Answer:
    return Response(case_body(view), headers={"etag": etag(view.case.version)})


ROUTES = [
    acknowledge_case,
    assign_case,
    tell_case_story,
    record_case_action,
    add_case_note,
    make_case_promise,
    keep_case_promise,
    pause_case,
    resume_case,
    replan_case,
    resolve_case,
    close_case,
    reopen_case,
]
