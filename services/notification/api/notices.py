"""`/v1/notices` and `/v1/patients/{ref}/consents`: for the console, for people by it, and for scripts."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import delete, get, post
from pydantic import BaseModel, ConfigDict, Field

from services.notification import usecases
from services.notification.usecases import Desk
from shared import reference
from shared.kernel.errors import Rejected
from shared.web import Principal, requires


class TypedText(BaseModel):
    """A text to the patient of a case, in a person's own words."""

    model_config = ConfigDict(extra="forbid")

    case_id: UUID
    text: Annotated[str, Field(min_length=1, max_length=1600)]


class ConsentGiven(BaseModel):
    """A word on consent, with its proof: `source` says how the patient gave it."""

    model_config = ConfigDict(extra="forbid")

    purpose: Literal["care", "compensation", "survey", "marketing"]
    granted: bool
    source: Annotated[str, Field(min_length=1, max_length=200)]
    at: datetime | None = None


@get("/v1/notices", guards=[requires("notices:read")])
async def list_notices(desk: Desk, principal: Principal, case_id: UUID) -> dict[str, Any]:
    """A case's notices, oldest first, with their words; and what the patient wrote."""
    await _check_case(desk, principal, case_id)
    items = await usecases.notices_of(desk, case_id)
    return {"items": items, "messages": await usecases.messages_of(desk, case_id), "next_cursor": None}


@post("/v1/notices", status_code=200, guards=[requires("notices:write")])
async def post_notice(desk: Desk, principal: Principal, data: TypedText) -> dict[str, Any]:
    """Queue a typed text; it can be taken back for 30 seconds."""
    await _check_case(desk, principal, data.case_id)
    async with desk.engine.transaction() as tx:
        return await usecases.type_notice(desk, tx, data.case_id, data.text, principal.actor)


@delete("/v1/notices/{notice_id:uuid}", status_code=200, guards=[requires("notices:write")])
async def delete_notice(desk: Desk, principal: Principal, notice_id: UUID) -> dict[str, Any]:
    """Take a typed text back before it leaves."""
    async with desk.engine.transaction() as tx:
        taken = await usecases.take_back(desk, tx, notice_id, principal.actor)
        await _check_case(desk, principal, UUID(taken["case_id"]))
        return taken


@get("/v1/patients/{patient_ref:str}/consents", guards=[requires("notices:read")])
async def list_consents(desk: Desk, principal: Principal, patient_ref: str) -> dict[str, Any]:
    """Every word on consent with its proof, and whether the number has opted out."""
    return await usecases.consents_of(desk, await _patient(desk, principal, patient_ref))


@post("/v1/patients/{patient_ref:str}/consents", status_code=200, guards=[requires("notices:write")])
async def post_consent(desk: Desk, principal: Principal, patient_ref: str, data: ConsentGiven) -> dict[str, Any]:
    """Record what a patient agreed to or refused."""
    if data.at is not None and data.at.tzinfo is None:
        raise Rejected("invalid-input", "A time has its zone.", pointer="/at")
    patient = await _patient(desk, principal, patient_ref)
    async with desk.engine.transaction() as tx:
        return await usecases.record_consent(
            desk, tx, patient.patient_ref, data.purpose, data.granted, data.source, principal.actor, data.at
        )


async def _check_case(desk: Desk, principal: Principal, case_id: UUID) -> None:
    """Who may not see a case does not learn that it is there."""
    async with desk.engine.pool.acquire() as conn:
        case = await usecases.case_of(conn, case_id)
    if case is None or not principal.sees_case(str(case_id), case.location_id, case.region):
        raise Rejected("not-found", "There is no such case.")


async def _patient(desk: Desk, principal: Principal, patient_ref: str) -> Any:
    async with desk.engine.pool.acquire() as conn:
        patient = await usecases.patient_of(conn, patient_ref)
        places = await reference.locations(conn, [patient.location_id]) if patient else {}
    region = places[patient.location_id].region if patient and patient.location_id in places else None
    if patient is None or not principal.sees(patient.location_id, region):
        raise Rejected("not-found", "There is no such patient.")
    return patient
