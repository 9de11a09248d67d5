"""Cases, incidents and people for the tests of restitution."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from services import restitution
from services.restitution import domain
from services.restitution.domain import CaseCopy, Policies, Restitution
from services.restitution.domain.policies import NAMES
from shared.contracts.incidents import Incident, Trip
from shared.contracts.restitutions import Kind
from shared.kernel.decision import Decision
from shared.kernel.ids import new_id

NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)
TABLES = Path(restitution.__file__).parent / "policy"


def policy_texts() -> dict[str, str]:
    """The tables as shipped."""
    return {name: (TABLES / f"{name}.toml").read_text("utf-8") for name in NAMES}


POLICIES = Policies.load(policy_texts())


@dataclass(frozen=True)
class Somebody:
    """A person, as far as deciding goes."""

    staff_id: str | None
    role: str | None


ANA = Somebody("ana", "store_manager")
RAJ = Somebody("raj", "regional_manager")
ADA, ALF = Somebody("ada", "admin"), Somebody("alf", "admin")
COM = Somebody("com", "compliance")


def a_case(**changes: Any) -> CaseCopy:
    values: dict[str, Any] = {
        "case_id": new_id(), "reference": "AM-0000-00", "location_id": "store-12", "region": "north", "patient_ref": "P-1",
        "root_order_id": "O-1", "payer_class": "self", "story_confirmed": False, "status": "open", "version": 1,
    }  # fmt: skip
    return CaseCopy(**(values | changes))


def trips(*days: str, miles: str | None = "9") -> tuple[Trip, ...]:
    return tuple(Trip(visit_id=new_id(), on=date.fromisoformat(day), miles=None if miles is None else Decimal(miles)) for day in days)


def an_incident(*made: Trip, **changes: Any) -> Incident:
    values: dict[str, Any] = {
        "incident_id": new_id(), "incident_type": "repeat_visit", "catalyst": "fit_adjustment", "location_id": "store-12",
        "patient_ref": "P-1", "root_order_id": "O-1", "occurred_at": NOW, "reported_at": NOW, "repeat_count": len(made), "trips": made,
        "payer_class": "self",
    }  # fmt: skip
    return Incident(**(values | changes))


def propose(incident: Incident, case: CaseCopy | None = None, *, month_total_minor: int = 0) -> Decision[Restitution]:
    """Gas money for all trips beyond the first."""
    found = domain.propose(
        case or a_case(), incident, domain.beyond_first(incident), POLICIES,
        restitution_id=new_id(), now=NOW, month="2026-11", month_total_minor=month_total_minor,
    )  # fmt: skip
    assert found is not None
    return found


def request(
    amount_minor: int, *, by: str = "ana", kind: Kind = "store_credit", case: CaseCopy | None = None, gifts_minor: int = 0, **more: Any
) -> Restitution:
    """What a person asked for."""
    return domain.request(
        case or a_case(), kind, amount_minor, "a reason", POLICIES,
        restitution_id=new_id(), by=by, now=NOW, month="2026-11", month_total_minor=0, gifts_minor=gifts_minor, **more,
    ).state  # fmt: skip


def approve(state: Restitution, who: Somebody, case: CaseCopy | None = None, **more: Any) -> Decision[Restitution]:
    """A person's yes."""
    values: dict[str, Any] = {"now": NOW, "month": "2026-11", "month_total_minor": 0} | more
    return domain.approve(state, case or a_case(case_id=state.case_id), who, POLICIES, **values)


def said(decision: Decision[Restitution]) -> list[str]:
    """The kinds of events a decision says, in order."""
    return [event.type_name.removeprefix("amends.restitution.") for event in decision.events]


def uuid(n: int) -> UUID:
    return UUID(int=n)
