"""Paid once: the claim, its token and lease, the look, and the books."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.restitution import domain
from services.restitution.domain import Payout, Restitution
from services.restitution.domain.payout import LEASE, LOOKS_MAX, REFUSALS_MAX
from services.restitution.domain.state import MoneyState
from shared.kernel.decision import Cancel, Schedule
from shared.kernel.errors import Rejected
from tests.unit.restitution.making import ANA, NOW, POLICIES, RAJ, Somebody, a_case, an_incident, propose, said, trips

LATER = NOW + LEASE


def a_due_payout() -> Restitution:
    return propose(an_incident(*trips("2026-11-02", "2026-11-12", "2026-11-20")), a_case(story_confirmed=True)).state


def claimed() -> Restitution:
    return domain.claim(a_due_payout(), due_at=NOW, generation=1, machine_now=NOW).state


def test_a_claim_takes_a_token_and_a_lease_and_sets_the_look() -> None:
    decision = domain.claim(a_due_payout(), due_at=NOW, generation=1, machine_now=NOW)
    assert decision.state.payout == Payout("paying", 1, NOW + LEASE, 0)
    assert decision.timers == (Schedule("payout", str(decision.state.restitution_id), "look-1", 1, NOW + LEASE),)


def test_a_lease_that_still_runs_is_left_alone_and_looked_at_again() -> None:
    state = claimed()
    decision = domain.claim(state, due_at=LATER, generation=1, machine_now=NOW + LEASE - timedelta(microseconds=1))
    assert decision.state == state
    (look,) = decision.timers
    assert isinstance(look, Schedule) and (look.name, look.generation) == ("look-1", 2)
    assert look.due_at is not None and look.due_at > LATER


def test_a_lease_that_ran_out_is_claimed_under_the_next_token() -> None:
    decision = domain.claim(claimed(), due_at=LATER, generation=1, machine_now=NOW + LEASE)
    assert (decision.state.payout.token, decision.state.payout.looks) == (2, 1)


def test_a_result_counts_only_under_the_current_token() -> None:
    state = domain.claim(claimed(), due_at=LATER, generation=1, machine_now=LATER).state
    for late in (domain.settled, domain.try_again, domain.give_up):
        assert late(state, token=1, now=LATER).is_empty
    decision = domain.settled(state, token=2, now=LATER)
    assert said(decision) == ["settled"]
    assert any(isinstance(timer, Cancel) for timer in decision.timers)


def test_paid_once_however_often_the_answer_comes() -> None:
    state = domain.settled(claimed(), token=1, now=NOW).state
    assert (state.status, state.money) == ("settled", "posted")
    assert domain.settled(state, token=1, now=NOW).is_empty
    assert domain.claim(state, due_at=LATER, generation=1, machine_now=LATER).is_empty


def test_nobody_can_tell_goes_to_a_person_after_three_looks_and_is_paid_no_more() -> None:
    state, token, at = claimed(), 1, NOW
    for _ in range(LOOKS_MAX):
        assert domain.look_again(state, token=token, now=at).is_empty
        at += LEASE
        state = domain.claim(state, due_at=at, generation=1, machine_now=at).state
        token = state.payout.token
    decision = domain.look_again(state, token=token, now=at)
    assert said(decision) == ["payout_uncertain"]
    assert domain.claim(decision.state, due_at=at + LEASE, generation=1, machine_now=at + LEASE).is_empty


def test_a_clear_refusal_is_tried_again_a_bounded_number_of_times() -> None:
    state, at = claimed(), NOW
    for _ in range(REFUSALS_MAX):
        decision = domain.try_again(state, token=state.payout.token, now=at)
        assert decision.state.payout.state == "due"
        at += timedelta(hours=1)
        state = domain.claim(decision.state, due_at=at, generation=1, machine_now=at).state
    assert said(domain.try_again(state, token=state.payout.token, now=at)) == ["payout_uncertain"]


def test_what_is_being_paid_cannot_be_reversed_and_what_is_only_due_is_not_paid_any_more() -> None:
    with pytest.raises(Rejected) as refusal:
        domain.reverse(claimed(), ANA, POLICIES, by="ana", words="no", now=NOW)
    assert refusal.value.code == "payout-in-progress"
    decision = domain.reverse(a_due_payout(), ANA, POLICIES, by="ana", words="no", now=NOW)
    assert (decision.state.status, decision.state.money, decision.state.payout.state) == ("reversed", "voided", "cancelled")
    assert domain.claim(decision.state, due_at=NOW, generation=1, machine_now=NOW).is_empty


def test_reversing_needs_authority_over_the_amount() -> None:
    with pytest.raises(Rejected) as refusal:
        domain.reverse(a_due_payout(), Somebody("lee", "associate"), POLICIES, by="lee", words="no", now=NOW)
    assert refusal.value.code == "above-authority"


def test_a_correction_is_an_entry_the_other_way() -> None:
    paid = domain.settled(claimed(), token=1, now=NOW).state
    back = domain.reverse(paid, RAJ, POLICIES, by="raj", words="wrong patient", now=NOW).state
    legs, becomes = domain.bookings("posted", back)
    assert becomes is None
    assert [(leg.purpose, leg.account, leg.amount_minor, leg.state) for leg in legs] == [
        ("reversal", "goodwill:store-12", 2610, "posted"),
        ("reversal", f"patient:{back.case_id}", -2610, "posted"),
    ]


PATHS: list[tuple[MoneyState, ...]] = [
    ("none", "pending", "posted", "reversed"),
    ("none", "pending", "voided"),
    ("none", "pending", "posted"),
    ("none",),
]


@given(st.lists(st.tuples(st.sampled_from(PATHS), st.integers(0, 10**7)), max_size=20))
def test_books_balance_on_every_path(walks: list[tuple[tuple[MoneyState, ...], int]]) -> None:
    """Goal: legs sum to zero, and budgets hold exactly what is pending and posted. Method: walk random restitutions through their money."""
    base = a_due_payout()
    reserved = posted = 0
    booked: dict[str, int] = {}
    for path, amount in walks:
        for was, money in pairwise(path):
            state = replace(base, amount_minor=amount, money=money)
            legs, _ = domain.bookings(was, state)
            assert sum(leg.amount_minor for leg in legs) == 0
            assert len(legs) in (0, 2)
            for leg in legs:
                booked[leg.account] = booked.get(leg.account, 0) + leg.amount_minor
            for move in domain.budget_moves([(was, state)]):
                reserved, posted = reserved + move.reserved_minor, posted + move.posted_minor
    assert reserved == sum(amount for path, amount in walks if path[-1] == "pending")
    assert posted == sum(amount for path, amount in walks if path[-1] == "posted")
    assert sum(booked.values()) == 0
