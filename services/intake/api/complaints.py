"""`POST /v1/complaints`, the complaint for people, and `GET /v1/incidents/{id}`, the words for who may read the case."""

from typing import Any, Final
from uuid import UUID

import msgspec
from litestar import get, post

from services.intake import domain, usecases
from services.intake.domain import Problem
from services.intake.usecases import Desk
from shared.contracts.ingress import ComplaintSubmitted
from shared.kernel.errors import Rejected
from shared.kernel.ids import new_id
from shared.web import Principal, requires

SOURCE: Final = "amends/complaints"
TYPE: Final = "amends.complaint.submitted"


@post("/v1/complaints", status_code=201, guards=[requires("events:write")])
async def post_complaint(desk: Desk, data: ComplaintSubmitted) -> dict[str, Any]:
    """A complaint in the patient's words. 201 with the incident it became."""
    name = str(new_id())
    body = msgspec.json.decode(data.model_dump_json(exclude_none=True))
    arrival = domain.read_structured({"specversion": "1.0", "id": name, "source": SOURCE, "type": TYPE, "data": body})
    if arrival.problem is not None:
        raise _refusal(arrival.problem)
    (outcome,) = await usecases.submit(desk, [arrival])
    if outcome.problem is not None:
        raise _refusal(outcome.problem)
    return {"incident_id": str(outcome.incident_id), "source": SOURCE, "id": name}


@get("/v1/incidents/{incident_id:uuid}", guards=[requires("cases:read", patient_too=True)])
async def get_incident(desk: Desk, principal: Principal, incident_id: UUID) -> dict[str, Any]:
    """An incident with its words."""
    view = await usecases.incident_view(desk, incident_id)
    if view is None or not principal.sees_case(view.case_id or "", view.location_id, view.region):
        # Who may not see it does not learn that it is there.
        raise Rejected("not-found", "There is no such incident.")
    return view.body


def _refusal(problem: Problem) -> Rejected:
    errors = [{"pointer": pointer.removeprefix("/data"), "detail": detail} for pointer, detail in problem.errors]
    pointer = errors[0]["pointer"] if errors else ""
    return Rejected(problem.code, problem.detail, pointer=pointer, errors=errors)
