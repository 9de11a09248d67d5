"""Gas money: what a repeat visit proposes by itself.

Trips beyond the first x 2 x miles x the business rate of each trip's date, rounded once, half up. Who claims the trips (each at most once)
is the store's; this decides about those that were claimed.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.restitution.domain.decide import offer_now
from services.restitution.domain.policies import Policies, Verdict
from services.restitution.domain.state import CURRENCY, SYSTEM, CaseCopy, Restitution, Teller, TripLine, total
from shared.contracts.incidents import Incident, Trip
from shared.contracts.restitutions import RestitutionApproved, RestitutionProposed, RestitutionReferred
from shared.kernel.decision import Decision
from shared.kernel.money import minor

REPEAT_VISIT = "repeat_visit"


def beyond_first(incident: Incident) -> tuple[Trip, ...]:
    """The trips of a repeat visit that may be paid: all but the first, in the order they were made."""
    if incident.incident_type != REPEAT_VISIT:
        return ()
    return tuple(sorted(incident.trips, key=lambda trip: (trip.on, trip.visit_id)))[1:]


def propose(
    case: CaseCopy,
    incident: Incident,
    trips: Sequence[Trip],
    policies: Policies,
    *,
    restitution_id: UUID,
    now: datetime,
    month: str,
    month_total_minor: int,
) -> Decision[Restitution] | None:
    """Gas money for `trips` (claimed for this restitution), approved by the system or referred; offered where the story is known.

    `month_total_minor`: reserved and posted in the store's `month` so far. None where all is known and comes to nothing.
    """
    lines = tuple(TripLine(trip.visit_id, trip.on, trip.miles, policies.rate(trip.on)) for trip in trips)
    amount = minor(total(lines), CURRENCY)
    if amount == 0 and all(line.amount is not None for line in lines):
        return None
    payer = incident.payer_class if incident.payer_class != "unknown" else case.payer_class
    budget = policies.budget(month_total_minor + amount)
    verdict = policies.verdict(
        "goodwill",
        {
            "payer_class": payer,
            "distances_known": all(line.miles is not None for line in lines),
            "rates_known": all(line.cents_per_mile is not None for line in lines),
            "within_authority": policies.system_may(amount),
            "budget": budget,
        },
        trips="; ".join(line.words() for line in lines),
        mileage_version=str(policies.tables["mileage"].version),
    )
    state = Restitution(
        restitution_id=restitution_id, case_id=case.case_id, kind="gas_money", amount_minor=amount, currency=CURRENCY, status="proposed",
        version=0, location_id=case.location_id, region=case.region, patient_ref=case.patient_ref, requested_by=SYSTEM, created_at=now,
        month=month, decision=verdict.decision, trips=lines,
    )  # fmt: skip
    teller = Teller(state, now, None)
    teller.tell(RestitutionProposed)
    if verdict.outcome == "approve":
        teller.tell(RestitutionApproved, status="approved", approved_by=(SYSTEM,), money="pending", reason=verdict.why)
        if case.story_confirmed:
            offer_now(teller, now)
    else:
        needs = policies.needs(amount, outcome=verdict.outcome, over_budget=budget == "hard")
        teller.tell(RestitutionReferred, status="referred", reason=_why(verdict, lines), needs=needs)
    return teller.done()


def _why(verdict: Verdict, lines: Sequence[TripLine]) -> str:
    """The table's reason, with the dates it is about."""
    if verdict.decision.row == "no-distance":
        missing = [line.on.isoformat() for line in lines if line.miles is None]
    elif verdict.decision.row == "out-of-policy":
        missing = [line.on.isoformat() for line in lines if line.cents_per_mile is None]
    else:
        missing = []
    return f"{verdict.why} ({', '.join(missing)})" if missing else verdict.why
