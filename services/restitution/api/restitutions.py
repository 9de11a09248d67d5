"""`/v1/restitutions`: reading them, asking for one, deciding. Every change answers 200 with the object and its ETag."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

from litestar import Response, get, post
from litestar.params import HeaderParameter
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from services.restitution import store, usecases
from services.restitution.domain import CaseCopy, Restitution
from services.restitution.usecases import Desk
from shared.contracts.restitutions import Kind, RestitutionStatus
from shared.kernel.errors import Rejected
from shared.web import Principal, check_etag, etag, page, read_cursor, requires

PAGE: Final = 50
AMOUNT_MAX: Final = 100_000_000
IfMatch = Annotated[str | None, HeaderParameter(name="If-Match")]
Answer = Response[dict[str, Any]]


def _printable(text: str) -> str:
    if not text.strip():
        raise ValueError("a reason is needed")
    return text


def _whole(amount: object) -> object:
    """The framework bends text and truth values into numbers; money is not bent."""
    if amount is not None and (isinstance(amount, bool) or not isinstance(amount, int)):
        raise ValueError("an amount is a whole number of minor units")
    return amount


Amount = Annotated[int | None, Field(ge=0, le=AMOUNT_MAX), BeforeValidator(_whole)]
Reason = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_printable)]


class Wanted(BaseModel):
    """What a person asks for. An amount is needed for money's worth; a gesture may have a value."""

    model_config = ConfigDict(extra="ignore")

    case_id: UUID
    kind: Kind
    amount_minor: Amount = None
    reason: Reason


class Approval(BaseModel):
    """Nothing, or an amount where none could be computed (a trip without a distance or a rate)."""

    model_config = ConfigDict(extra="ignore")

    amount_minor: Amount = None


class Because(BaseModel):
    """A person's reason; it stays in this service."""

    model_config = ConfigDict(extra="ignore")

    reason: Reason


@get("/v1/restitutions", guards=[requires("restitutions:read", patient_too=True)])
async def list_restitutions(
    desk: Desk, principal: Principal, case_id: UUID | None = None, status: RestitutionStatus | None = None, cursor: str | None = None
) -> dict[str, Any]:
    """A case's restitutions, oldest first; without a case the newest of what the asker sees."""
    if case_id is None:
        return await _newest(desk, principal, status, cursor)
    async with desk.engine.pool.acquire() as conn:
        found = await store.of_case(conn, case_id)
    shown = [state for state in found if _sees(principal, state) and status in (None, state.status)]
    return {"items": [view(desk, principal, state) for state in shown], "next_cursor": None}


async def _newest(desk: Desk, principal: Principal, status: str | None, cursor: str | None) -> dict[str, Any]:
    before = read_cursor(cursor, UUID)
    if principal.kind == "patient":
        raise Rejected("forbidden", "A patient's link shows its one case: name it.")
    # Who sees a place that does not exist sees every place (a machine's key, compliance, admin).
    everything = principal.sees(None, None)
    async with desk.engine.pool.acquire() as conn:
        found = await store.newest(
            conn,
            locations=None if everything else principal.locations,
            regions=principal.regions,
            before=before[0] if before else None,
            status=status,
            limit=PAGE,
        )
    return dict(page(found, PAGE, partial(view, desk, principal), lambda state: (state.restitution_id,)))


@get("/v1/restitutions/{restitution_id:uuid}", guards=[requires("restitutions:read", patient_too=True)])
async def get_restitution(desk: Desk, principal: Principal, restitution_id: UUID) -> Answer:
    """One restitution."""
    return _answer(desk, principal, await _visible(desk, principal, restitution_id))


@get("/v1/restitutions/{restitution_id:uuid}/code", guards=[requires("restitutions:read", patient_too=True)])
async def get_code(desk: Desk, principal: Principal, restitution_id: UUID) -> Answer:
    """The code that a settled payout is redeemed by, to the patient of the case and to staff who see it; never to a bare key."""
    state = await _visible(desk, principal, restitution_id)
    if principal.kind == "key" and principal.staff_id is None:
        raise Rejected("forbidden", "A code is shown to the patient and to people only.")
    code = await store.find_code(desk.engine.pool, restitution_id) if state.status == "settled" else None
    if code is None:
        raise Rejected("not-found", "There is no code.")
    body = {"code": code, "amount_minor": state.amount_minor, "currency": state.currency}
    return Response(body, headers={"cache-control": "no-store"})


@post("/v1/restitutions", status_code=200, guards=[requires("restitutions:write")])
async def request_restitution(desk: Desk, principal: Principal, data: Wanted) -> Answer:
    """Ask for something for a patient; another person decides."""

    def admit(case: CaseCopy) -> None:
        if not principal.sees(case.location_id, case.region):
            raise Rejected("unknown-case", "There is no such case.", pointer="/case_id")

    async with desk.engine.transaction() as tx:
        state = await usecases.request(desk, tx, data.case_id, data.kind, data.amount_minor or 0, data.reason, principal, admit)
    return _answer(desk, principal, state)


@post("/v1/restitutions/{restitution_id:uuid}/approve", status_code=200, guards=[requires("restitutions:write")])
async def approve_restitution(
    desk: Desk, principal: Principal, restitution_id: UUID, data: Approval | None = None, if_match: IfMatch = None
) -> Answer:
    """One person's yes."""
    async with desk.engine.transaction() as tx:
        amount = data.amount_minor if data else None
        state = await usecases.approve(desk, tx, restitution_id, principal, _admit(principal, if_match), amount)
    return _answer(desk, principal, state)


@post("/v1/restitutions/{restitution_id:uuid}/decline", status_code=200, guards=[requires("restitutions:write")])
async def decline_restitution(desk: Desk, principal: Principal, restitution_id: UUID, data: Because, if_match: IfMatch = None) -> Answer:
    """One person's no, with the reason."""
    async with desk.engine.transaction() as tx:
        state = await usecases.decline(desk, tx, restitution_id, principal, _admit(principal, if_match), data.reason)
    return _answer(desk, principal, state)


@post("/v1/restitutions/{restitution_id:uuid}/offer", status_code=200, guards=[requires("restitutions:write")])
async def offer_restitution(desk: Desk, principal: Principal, restitution_id: UUID, if_match: IfMatch = None) -> Answer:
    """Tell the patient; 409 before the story is confirmed."""
    async with desk.engine.transaction() as tx:
        state = await usecases.offer(desk, tx, restitution_id, principal, _admit(principal, if_match))
    return _answer(desk, principal, state)


@post("/v1/restitutions/{restitution_id:uuid}/accept", status_code=200, guards=[requires("restitutions:read", patient_too=True)])
async def accept_restitution(desk: Desk, principal: Principal, restitution_id: UUID, if_match: IfMatch = None) -> Answer:
    """The patient's choice, by the patient or by a person for them."""
    if principal.kind != "patient" and not principal.may("restitutions:write"):
        raise Rejected("forbidden", "This key or person may not do that.", needs=["restitutions:write"])
    async with desk.engine.transaction() as tx:
        state = await usecases.accept(desk, tx, restitution_id, principal, _admit(principal, if_match))
    return _answer(desk, principal, state)


@post("/v1/restitutions/{restitution_id:uuid}/settle", status_code=200, guards=[requires("restitutions:write")])
async def settle_restitution(desk: Desk, principal: Principal, restitution_id: UUID, if_match: IfMatch = None) -> Answer:
    """An accepted gesture in kind was given."""
    async with desk.engine.transaction() as tx:
        state = await usecases.settle_in_kind(desk, tx, restitution_id, principal, _admit(principal, if_match))
    return _answer(desk, principal, state)


@post("/v1/restitutions/{restitution_id:uuid}/reverse", status_code=200, guards=[requires("restitutions:write")])
async def reverse_restitution(desk: Desk, principal: Principal, restitution_id: UUID, data: Because, if_match: IfMatch = None) -> Answer:
    """Take it back, with the reason."""
    async with desk.engine.transaction() as tx:
        state = await usecases.reverse(desk, tx, restitution_id, principal, _admit(principal, if_match), data.reason)
    return _answer(desk, principal, state)


def view(desk: Desk, principal: Principal, state: Restitution) -> dict[str, Any]:
    """A restitution as the contract shows it, and what else a person wants to know. What staff wrote is not for the patient."""
    words = None if principal.kind == "patient" else desk.words_of(state)
    return {
        "id": str(state.restitution_id),
        "case_id": str(state.case_id),
        "kind": state.kind,
        "amount_minor": state.amount_minor,
        "currency": state.currency,
        "status": state.status,
        "needs": state.needs.model_dump() if state.needs else None,
        "decision": state.decision.model_dump() if state.decision else None,
        "requested_by": state.requested_by,
        "approved_by": list(state.approved_by),
        "reason": words if state.status in ("declined", "reversed") else state.reason or words,
        "location_id": state.location_id,
        "patient_ref": state.patient_ref,
        "trips": [
            {"visit_id": str(t.visit_id), "on": t.on.isoformat(), "miles": _text(t.miles), "cents_per_mile": _text(t.cents_per_mile)}
            for t in state.trips
        ],
        "proposed_at": state.created_at.isoformat(),
        "offered_at": state.offered_at.isoformat() if state.offered_at else None,
        "settled_at": state.settled_at.isoformat() if state.settled_at else None,
        "version": state.version,
    }


def _text(number: object) -> str | None:
    return None if number is None else f"{number:f}"


def _sees(principal: Principal, state: Restitution) -> bool:
    return principal.sees_case(str(state.case_id), state.location_id, state.region)


def _admit(principal: Principal, if_match: str | None) -> Callable[[Restitution], None]:
    """Who may not see it does not learn that it is there; who read an older version is told."""

    def admit(state: Restitution) -> None:
        if not _sees(principal, state):
            raise Rejected("not-found", "There is no such restitution.")
        check_etag(if_match, state.version)

    return admit


async def _visible(desk: Desk, principal: Principal, restitution_id: UUID) -> Restitution:
    async with desk.engine.pool.acquire() as conn:
        state = await store.one(conn, restitution_id)
    if state is None or not _sees(principal, state):
        raise Rejected("not-found", "There is no such restitution.")
    return state


def _answer(desk: Desk, principal: Principal, state: Restitution) -> Answer:
    return Response(view(desk, principal, state), headers={"etag": etag(state.version)})


ROUTES: Final = [
    list_restitutions, get_restitution, get_code, request_restitution, approve_restitution, decline_restitution, offer_restitution,
    accept_restitution, settle_restitution, reverse_restitution,
]  # fmt: skip
