"""`POST /v1/cases/acknowledge`: taking many cases at once, each with an answer of its own."""

from typing import Annotated, Any, Final

from litestar import post
from pydantic import Field, StringConstraints

from services.escalation import usecases
from services.escalation.api.commands import WRITE, Body
from services.escalation.api.views import case_body
from services.escalation.usecases import Answered, Desk
from shared.web import Principal
from shared.web.problems import problem_of

AT_ONCE: Final = 200


class Named(Body):
    """Which cases."""

    ids: Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=100)]], Field(min_length=1, max_length=AT_ONCE)] = Field(
        description="Ids or references."
    )


@post("/v1/cases/acknowledge", status_code=200, guards=WRITE)
async def acknowledge_cases(desk: Desk, principal: Principal, data: Named) -> dict[str, Any]:
    """Somebody takes these cases, up to 200, in one act. A result for each, in their order; one that is refused holds up no other."""
    async with desk.engine.transaction() as tx:
        answers = await usecases.acknowledge_many(desk, tx, data.ids, principal)
    results = [_result(answer) for answer in answers]
    return {"acknowledged": sum(result["status"] == "acknowledged" for result in results), "results": results}


def _result(answer: Answered) -> dict[str, Any]:
    """`changed` is false for a case that was taken before."""
    if answer.view is not None:
        return {"id": answer.name, "status": "acknowledged", "changed": answer.has_changed, "case": case_body(answer.view)}
    assert answer.refusal is not None, "what is not answered with a case is refused"
    return {"id": answer.name, "status": "refused", "problem": problem_of(answer.refusal)}


ROUTES = [acknowledge_cases]
