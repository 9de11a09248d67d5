"""Authority, and that nobody approves their own."""

from datetime import UTC, datetime

import pytest

from services.restitution import domain
from services.restitution.domain import IN_KIND
from shared.contracts.patients import PayerClass
from shared.contracts.restitutions import Kind
from shared.kernel.errors import Rejected
from tests.unit.restitution.making import (
    ADA,
    ALF,
    ANA,
    COM,
    NOW,
    POLICIES,
    RAJ,
    Somebody,
    a_case,
    an_incident,
    approve,
    propose,
    request,
    said,
    trips,
)


@pytest.mark.parametrize("role", ["associate", "store_manager", "regional_manager", "compliance", "admin"])
@pytest.mark.parametrize("amount_minor", [1, 100, 200_000])
def test_nobody_approves_their_own_at_any_amount_in_any_role(role: str, amount_minor: int) -> None:
    with pytest.raises(Rejected) as refusal:
        approve(request(amount_minor, by="ana"), Somebody("ana", role))
    assert refusal.value.code == "own-approval"


def test_what_a_person_asks_for_is_never_approved_by_the_system() -> None:
    state = request(100)
    assert (state.status, state.money, state.approved_by) == ("referred", "none", ())


def test_where_the_only_manager_asks_it_goes_one_level_up() -> None:
    assert request(10_000).needs is not None
    state = request(10_000, absent={"store_manager"})
    assert state.needs is not None and state.needs.role == "regional_manager"


def test_a_key_that_acts_for_nobody_approves_nothing() -> None:
    with pytest.raises(Rejected) as refusal:
        approve(request(100), Somebody(None, None))
    assert refusal.value.code == "forbidden"


@pytest.mark.parametrize(
    ("who", "covers"), [(ANA, 15_000), (RAJ, 50_000), (ADA, 200_000)], ids=["store_manager", "regional_manager", "admin"]
)
def test_a_limit_covers_its_amount_to_the_cent(who: Somebody, covers: int) -> None:
    assert approve(request(covers, by="kim"), who).state.approved_by == (who.staff_id,)
    with pytest.raises(Rejected) as refusal:
        approve(request(covers + 1, by="kim"), who)
    assert refusal.value.code == "above-authority"


def test_an_associate_approves_nothing_not_even_a_gesture_without_a_value() -> None:
    with pytest.raises(Rejected, match="Above your limit"):
        approve(request(0, kind="stay_late", by="kim"), Somebody("lee", "associate"))


def test_above_1000_two_different_people_are_needed() -> None:
    state = request(100_001, by="kim")
    assert state.needs is not None and (state.needs.role, state.needs.approvals) == ("admin", 2)
    first = approve(state, ADA)
    assert said(first) == ["referred"]
    assert first.state.money == "none"
    assert first.state.needs is not None and first.state.needs.approvals == 1
    with pytest.raises(Rejected) as refusal:
        approve(first.state, ADA)
    assert refusal.value.code == "second-person-needed"
    second = approve(first.state, ALF)
    assert said(second) == ["approved"]
    assert second.state.approved_by == ("ada", "alf")


def test_1000_itself_needs_one() -> None:
    assert approve(request(100_000, by="kim"), ADA).state.status == "approved"


def test_the_top_cannot_be_exceeded() -> None:
    with pytest.raises(Rejected) as refusal:
        approve(request(200_001, by="kim"), ADA)
    assert refusal.value.code == "above-authority"


def test_the_loser_finds_it_decided() -> None:
    approved = approve(request(100, by="kim"), ANA).state
    with pytest.raises(Rejected) as refusal:
        approve(approved, RAJ)
    assert refusal.value.code == "already-decided"
    with pytest.raises(Rejected) as refusal:
        domain.decline(approved, RAJ, POLICIES, by="raj", words="no", now=NOW)
    assert refusal.value.code == "already-decided"


def test_compliance_decides_what_was_referred_to_it_and_nothing_else() -> None:
    made = an_incident(*trips("2026-11-02", "2026-11-12"), payer_class="federal")
    review = propose(made, a_case(payer_class="federal")).state
    for who in (ANA, RAJ):
        with pytest.raises(Rejected, match="Compliance reviews"):
            approve(review, who)
    assert approve(review, COM).state.status == "approved"
    with pytest.raises(Rejected, match="only what was referred"):
        approve(request(100, by="kim"), COM)


def test_a_person_fills_in_the_amount_only_where_none_could_be_computed() -> None:
    unknown = propose(an_incident(*trips("2026-11-02", "2026-11-12", miles=None))).state
    with pytest.raises(Rejected) as refusal:
        approve(unknown, ANA)
    assert refusal.value.code == "amount-needed"
    assert approve(unknown, ANA, amount_minor=1305).state.amount_minor == 1305
    partly = propose(an_incident(*trips("2026-11-02", "2026-11-12"), *trips("2026-11-20", miles=None))).state
    assert approve(partly, ANA).state.amount_minor == 1305
    with pytest.raises(Rejected) as refusal:
        approve(partly, ANA, amount_minor=0)
    assert refusal.value.code == "amount-needed"
    with pytest.raises(Rejected) as refusal:
        approve(unknown, ANA, amount_minor=15_001)
    assert refusal.value.code == "above-authority"
    with pytest.raises(Rejected) as refusal:
        approve(request(100, by="kim"), ANA, amount_minor=101)
    assert refusal.value.code == "amount-fixed"


def test_over_the_hard_budget_a_manager_is_not_enough() -> None:
    state = request(10_000, by="kim")
    with pytest.raises(Rejected) as refusal:
        approve(state, ANA, month_total_minor=290_001)
    assert refusal.value.code == "budget-exceeded"
    assert approve(state, RAJ, month_total_minor=290_001).state.status == "approved"


def test_an_associate_withdraws_what_they_asked_for_and_declines_nothing_else() -> None:
    lee = Somebody("lee", "associate")
    state = request(100, by="lee")
    assert said(domain.decline(state, lee, POLICIES, by="lee", words="a slip", now=NOW)) == ["declined"]
    with pytest.raises(Rejected) as refusal:
        domain.decline(request(100, by="kim"), lee, POLICIES, by="lee", words="no", now=NOW)
    assert refusal.value.code == "above-authority"


def test_a_persons_words_travel_on_no_event() -> None:
    state = request(100, by="kim")
    declined = domain.decline(state, ANA, POLICIES, by="ana", words="secret words", now=NOW)
    assert declined.state.words == "secret words"
    assert "secret words" not in declined.events[0].model_dump_json()


def test_an_offer_before_the_story_is_refused() -> None:
    state = approve(request(100, by="kim"), ANA).state
    with pytest.raises(Rejected) as refusal:
        domain.offer(state, a_case(), by="ana", now=NOW)
    assert refusal.value.code == "story-not-confirmed"
    decision = domain.offer(state, a_case(story_confirmed=True), by="ana", now=NOW)
    assert said(decision) == ["offered"]
    assert domain.offer(decision.state, a_case(story_confirmed=True), by="ana", now=NOW).is_empty


def test_what_needs_a_choice_is_paid_when_it_was_chosen() -> None:
    case = a_case(story_confirmed=True)
    offered = approve(request(100, by="kim", case=case), ANA, case).state
    assert (offered.status, offered.payout.state) == ("offered", "none")
    accepted = domain.accept(offered, by="patient:x", now=NOW)
    assert said(accepted) == ["accepted"]
    assert accepted.state.payout.state == "due"
    assert domain.accept(accepted.state, by="patient:x", now=NOW).is_empty


def test_a_gesture_in_kind_is_settled_when_it_was_given() -> None:
    case = a_case(story_confirmed=True)
    offered = approve(request(1000, by="kim", kind="care_kit", case=case), ANA, case).state
    accepted = domain.accept(offered, by="kim", now=NOW).state
    assert accepted.payout.state == "none"
    assert said(domain.settle_in_kind(accepted, by="kim", now=NOW)) == ["settled"]
    with pytest.raises(Rejected):
        domain.settle_in_kind(offered, by="kim", now=NOW)


@pytest.mark.parametrize(
    ("kind", "payer", "amount_minor", "gifts_minor", "role"),
    [
        ("refund", "federal", 10_000, 0, "store_manager"),
        ("store_credit", "federal", 100, 0, "compliance"),
        ("store_credit", "unknown", 100, 0, "compliance"),
        ("store_credit", "commercial", 100, 0, "store_manager"),
        ("care_kit", "federal", 1500, 6000, "store_manager"),
        ("care_kit", "federal", 1500, 6001, "compliance"),
        ("care_kit", "federal", 1501, 0, "compliance"),
        ("care_kit", "unknown", 0, 0, "compliance"),
        ("care_kit", "self", 5000, 90_000, "store_manager"),
    ],
)
def test_federally_insured_patients(kind: Kind, payer: PayerClass, amount_minor: int, gifts_minor: int, role: str) -> None:
    state = request(amount_minor, kind=kind, case=a_case(payer_class=payer), gifts_minor=gifts_minor)
    assert state.needs is not None and state.needs.role == role


def test_money_needs_an_amount_and_a_closed_case_gets_nothing() -> None:
    with pytest.raises(Rejected) as refusal:
        request(0)
    assert (refusal.value.code, refusal.value.pointer) == ("invalid-input", "/amount_minor")
    with pytest.raises(Rejected) as refusal:
        request(100, case=a_case(status="closed"))
    assert refusal.value.code == "case-closed"
    assert "care_kit" in IN_KIND


def test_the_month_is_the_stores() -> None:
    at = datetime(2026, 12, 1, 4, 30, tzinfo=UTC)
    assert domain.month_of(at, "America/New_York") == "2026-11"
    assert domain.month_of(at, "UTC") == "2026-12"
