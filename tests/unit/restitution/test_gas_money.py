"""The third trip for the same glasses proposes gas money by itself."""

from decimal import Decimal

import pytest

from services.restitution import domain
from services.restitution.domain.state import TripLine
from shared.contracts.patients import PayerClass
from shared.kernel.decision import Schedule
from tests.unit.restitution.making import NOW, POLICIES, a_case, an_incident, propose, said, trips, uuid


def test_three_trips_of_nine_miles_in_2026_are_26_10_and_approved_by_the_system() -> None:
    decision = propose(an_incident(*trips("2026-11-02", "2026-11-12", "2026-11-20")))
    assert said(decision) == ["proposed", "approved"]
    state = decision.state
    assert (state.amount_minor, state.currency, state.status, state.approved_by) == (2610, "USD", "approved", ("system",))
    assert state.decision is not None
    assert (state.decision.table, state.decision.row) == ("goodwill", "within-authority")
    assert state.decision.inputs["trips"] == "2026-11-12: 2 x 9 mi x 72.5 cents a mile; 2026-11-20: 2 x 9 mi x 72.5 cents a mile"
    assert [event.version for event in decision.events] == [1, 2]


def test_each_trip_is_paid_at_the_rate_of_its_own_date() -> None:
    state = propose(an_incident(*trips("2025-12-01", "2025-12-31", "2026-01-02"))).state
    assert state.amount_minor == 18 * 70 + 1305
    assert [line.cents_per_mile for line in state.trips] == [Decimal(70), Decimal("72.5")]


def test_half_a_cent_goes_to_the_patient() -> None:
    state = propose(an_incident(*trips("2026-11-02", "2026-11-12", miles="4.1"))).state
    assert state.amount_minor == 595


def test_the_first_trip_is_found_by_its_date_and_never_paid() -> None:
    late, first, middle = trips("2026-11-20", "2026-11-02", "2026-11-12")
    assert domain.beyond_first(an_incident(late, first, middle)) == (middle, late)
    assert domain.beyond_first(an_incident(late, first, incident_type="order_late")) == ()


def test_a_date_without_a_rate_is_referred_with_that_reason() -> None:
    decision = propose(an_incident(*trips("2026-12-01", "2026-12-30", "2027-01-04")))
    assert said(decision) == ["proposed", "referred"]
    assert decision.state.reason == "out of policy: no mileage rate for the date of a trip (2027-01-04)"
    assert decision.state.needs is not None
    assert (decision.state.needs.role, decision.state.needs.approvals) == ("store_manager", 1)


def test_a_trip_without_a_distance_is_referred_with_that_reason() -> None:
    decision = propose(an_incident(*trips("2026-11-02", "2026-11-12"), *trips("2026-11-20", miles=None)))
    assert decision.state.status == "referred"
    assert decision.state.reason == "no distance is known for a trip (2026-11-20)"


@pytest.mark.parametrize(("payer", "row"), [("federal", "federal-payer"), ("unknown", "payer-unknown")])
def test_a_federal_or_unknown_payer_goes_to_compliance_with_its_reason(payer: PayerClass, row: str) -> None:
    made = trips("2026-11-02", "2026-11-12", "2026-11-20")
    state = propose(an_incident(*made, payer_class=payer), a_case(payer_class=payer)).state
    assert state.status == "referred"
    assert state.needs is not None and state.needs.role == "compliance"
    assert state.decision is not None and state.decision.row == row
    assert "compliance" in (state.reason or "")


def test_the_payer_may_have_been_learnt_with_the_case() -> None:
    made = trips("2026-11-02", "2026-11-12", "2026-11-20")
    assert propose(an_incident(*made, payer_class="unknown"), a_case(payer_class="commercial")).state.status == "approved"


@pytest.mark.parametrize(
    ("miles", "cents", "role"),
    [("34.4", 4988, None), ("34.5", 5003, "store_manager"), ("103.45", 15000, "store_manager"), ("200", 29000, "regional_manager"),
     ("344.9", 50011, "admin")],
)  # fmt: skip
def test_above_the_systems_authority_the_lowest_role_that_covers_it_is_asked(miles: str, cents: int, role: str | None) -> None:
    state = propose(an_incident(*trips("2026-11-02", "2026-11-12", miles=miles))).state
    assert state.amount_minor == cents
    assert (state.needs.role if state.needs else None) == role
    assert state.status == ("approved" if role is None else "referred")


def test_a_budget_that_is_used_up_goes_up_a_level() -> None:
    made = an_incident(*trips("2026-11-02", "2026-11-12", "2026-11-20"))
    assert propose(made, month_total_minor=300_000 - 2610).state.status == "approved"
    state = propose(made, month_total_minor=300_000 - 2609).state
    assert state.status == "referred"
    assert state.needs is not None and state.needs.role == "regional_manager"


def test_before_the_story_it_is_approved_and_neither_offered_nor_paid() -> None:
    decision = propose(an_incident(*trips("2026-11-02", "2026-11-12")))
    assert decision.state.payout.state == "none"
    assert decision.timers == ()


def test_once_the_story_is_confirmed_it_is_offered_and_the_payout_is_due_once() -> None:
    case = a_case()
    state = propose(an_incident(*trips("2026-11-02", "2026-11-12")), case).state
    assert domain.hear_case(state, case, NOW).is_empty
    confirmed = a_case(case_id=case.case_id, story_confirmed=True)
    decision = domain.hear_case(state, confirmed, NOW)
    assert said(decision) == ["offered"]
    assert [timer.name for timer in decision.timers if isinstance(timer, Schedule)] == ["send"]
    assert domain.hear_case(decision.state, confirmed, NOW).is_empty


def test_with_the_story_known_already_it_is_offered_at_once() -> None:
    decision = propose(an_incident(*trips("2026-11-02", "2026-11-12")), a_case(story_confirmed=True))
    assert said(decision) == ["proposed", "approved", "offered"]
    assert decision.state.payout.state == "due"


def test_nothing_is_proposed_where_all_is_known_and_comes_to_nothing() -> None:
    incident = an_incident(*trips("2026-11-02", "2026-11-12", miles="0"))
    found = domain.propose(
        a_case(), incident, incident.trips[1:], POLICIES, restitution_id=uuid(1), now=NOW, month="2026-11", month_total_minor=0
    )
    assert found is None


def test_a_line_says_what_is_missing() -> None:
    (trip,) = trips("2027-02-01", miles=None)
    assert TripLine(trip.visit_id, trip.on, None, None).words() == "2027-02-01: 2 x ? mi x no rate"
