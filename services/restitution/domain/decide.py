"""What people decide: asking, approving, declining, offering, accepting, reversing.

`by` is a staff id, `key:…` or `patient:…`; roles and visibility were read by the door, what a role may is decided here.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.restitution.domain.payout import cancel_payout, pay_now
from services.restitution.domain.policies import COMPLIANCE, Authority, Policies, money
from services.restitution.domain.state import CURRENCY, IN_KIND, PAID_KINDS, CaseCopy, Restitution, Teller
from shared.contracts.restitutions import (
    Kind,
    Needs,
    RestitutionAccepted,
    RestitutionApproved,
    RestitutionDeclined,
    RestitutionOffered,
    RestitutionProposed,
    RestitutionReferred,
    RestitutionReversed,
    RestitutionSettled,
)
from shared.kernel.decision import Decision
from shared.kernel.errors import Rejected

# What a patient of a federal programme may be given in kind: each, and in a calendar year (OIG, nominal value).
GIFT_EACH_MINOR, GIFT_YEAR_MINOR = 1_500, 7_500
OPEN = ("proposed", "referred")


class Person(Protocol):
    """Who decides; a machine that acts for nobody has neither a staff id nor a role."""

    @property
    def staff_id(self) -> str | None: ...
    @property
    def role(self) -> str | None: ...


def request(
    case: CaseCopy,
    kind: Kind,
    amount_minor: int,
    words: str,
    policies: Policies,
    *,
    restitution_id: UUID,
    by: str,
    now: datetime,
    month: str,
    month_total_minor: int,
    gifts_minor: int,
    absent: Collection[str] = (),
) -> Decision[Restitution]:
    """What a person asks for goes to another person. `gifts_minor`: in kind for this patient this year; `absent`: see `Policies.needs`."""
    if kind in PAID_KINDS and amount_minor <= 0:
        raise Rejected("invalid-input", "An amount is needed for this kind.", pointer="/amount_minor")
    if case.status == "closed":
        raise Rejected("case-closed", "The case is closed; reopen it first.")
    form = "refund" if kind == "refund" else "in_kind" if kind in IN_KIND else "cash"
    verdict = policies.verdict(
        "requests",
        {
            "payer_class": case.payer_class,
            "form": form,
            "gift_within": 0 < amount_minor <= GIFT_EACH_MINOR and gifts_minor + amount_minor <= GIFT_YEAR_MINOR,
        },
        amount=money(amount_minor),
        gifts_this_year=money(gifts_minor),
    )
    over = policies.budget(month_total_minor + amount_minor) == "hard"
    state = Restitution(
        restitution_id=restitution_id, case_id=case.case_id, kind=kind, amount_minor=amount_minor, currency=CURRENCY, status="proposed",
        version=0, location_id=case.location_id, region=case.region, patient_ref=case.patient_ref, requested_by=by, created_at=now,
        month=month, decision=verdict.decision, words=words,
    )  # fmt: skip
    teller = Teller(state, now, by)
    teller.tell(RestitutionProposed)
    needs = policies.needs(amount_minor, outcome=verdict.outcome, over_budget=over, absent=absent)
    teller.tell(RestitutionReferred, status="referred", reason=verdict.why, needs=needs)
    return teller.done()


def approve(
    state: Restitution,
    case: CaseCopy,
    approver: Person,
    policies: Policies,
    *,
    now: datetime,
    month: str,
    month_total_minor: int,
    amount_minor: int | None = None,
) -> Decision[Restitution]:
    """One person's yes. `amount_minor` only where none could be computed. Rejected: already-decided, own-approval, above-authority, …"""
    if state.status not in OPEN:
        raise Rejected("already-decided", f"It is {state.status} already.", status=state.status)
    if approver.staff_id is None or approver.role is None:
        raise Rejected("forbidden", "Only a person approves; this key acts for nobody.")
    if approver.staff_id == state.requested_by:
        raise Rejected("own-approval", "Nobody approves what they asked for themselves.")
    if approver.staff_id in state.approved_by:
        raise Rejected("second-person-needed", "Two different people are needed, and you are the first.")
    amount = _amount(state, amount_minor)
    authority = _covering(state, approver.role, amount, policies)
    if policies.budget(month_total_minor + amount) == "hard" and not authority.may_exceed_budget:
        needs = policies.needs(amount, outcome="refer", over_budget=True)
        raise Rejected("budget-exceeded", "The store's budget for the month is used up; it goes up a level.", needs=needs.model_dump())
    teller = Teller(state, now, approver.staff_id)
    approved_by = (*state.approved_by, approver.staff_id)
    still = policies.approvals(authority.role, amount) - len(approved_by)
    if still > 0:
        needs = Needs(role=state.needs.role if state.needs else authority.role, approvals=still)
        teller.tell(RestitutionReferred, status="referred", approved_by=approved_by, amount_minor=amount, needs=needs)
        return teller.done()
    teller.tell(
        RestitutionApproved, status="approved", approved_by=approved_by, amount_minor=amount, needs=None, money="pending", month=month
    )
    if case.story_confirmed:
        offer_now(teller, now)
    return teller.done()


def decline(state: Restitution, person: Person, policies: Policies, *, by: str, words: str, now: datetime) -> Decision[Restitution]:
    """A person's no: whoever has authority of their own, or the one who asked. The loser of a race gets `already-decided`."""
    if state.status not in OPEN:
        raise Rejected("already-decided", f"It is {state.status} already.", status=state.status)
    authority = policies.of(person.role)
    if by != state.requested_by and (authority is None or authority.limit_minor == 0):
        raise Rejected("above-authority", "Declining needs a person with authority of their own.")
    teller = Teller(state, now, by)
    teller.tell(RestitutionDeclined, status="declined", reason=None, words=words, needs=None)
    return teller.done()


def offer(state: Restitution, case: CaseCopy, *, by: str, now: datetime) -> Decision[Restitution]:
    """The patient is told. Repeating it changes nothing."""
    if not case.story_confirmed:
        raise Rejected("story-not-confirmed", "Nothing is offered before the patient's story is heard and read back.")
    if state.status in ("offered", "accepted", "settled"):
        return Decision(state)
    if state.status != "approved":
        raise Rejected("not-approved", f"It is {state.status}; only what is approved is offered.", status=state.status)
    teller = Teller(state, now, by)
    offer_now(teller, now)
    return teller.done()


def hear_case(state: Restitution, case: CaseCopy, now: datetime) -> Decision[Restitution]:
    """The story is confirmed: what was approved is offered, and paid where nothing is left to choose."""
    if state.status != "approved" or not case.story_confirmed:
        return Decision(state)
    teller = Teller(state, now, None)
    offer_now(teller, now)
    return teller.done()


def accept(state: Restitution, *, by: str, now: datetime) -> Decision[Restitution]:
    """The patient chose it. Money's worth is paid now; a gesture in kind is settled when it was given."""
    if state.status in ("accepted", "settled"):
        return Decision(state)
    if state.status != "offered":
        raise Rejected("not-offered", f"It is {state.status}; only what is offered can be accepted.", status=state.status)
    if state.settles_at_once:
        raise Rejected("nothing-to-accept", "It is paid without being accepted.")
    teller = Teller(state, now, by)
    teller.tell(RestitutionAccepted, status="accepted")
    if state.kind in PAID_KINDS:
        pay_now(teller, now)
    return teller.done()


def settle_in_kind(state: Restitution, *, by: str, now: datetime) -> Decision[Restitution]:
    """The gesture was given."""
    if state.status == "settled":
        return Decision(state)
    if state.kind not in IN_KIND or state.status != "accepted":
        raise Rejected("not-accepted", "Only an accepted gesture in kind is settled by hand.", status=state.status)
    teller = Teller(state, now, by)
    teller.tell(RestitutionSettled, status="settled", money="posted", settled_at=now)
    return teller.done()


def reverse(state: Restitution, person: Person, policies: Policies, *, by: str, words: str, now: datetime) -> Decision[Restitution]:
    """Taken back: before the payout what was pending is voided, after it an entry the other way is booked.

    While a payout is under way, or nobody knows whether it happened, the answer waits: a reversal then could be of money that left.
    """
    if state.status == "reversed":
        return Decision(state)
    if state.payout.state == "paying":
        raise Rejected("payout-in-progress", "It is being paid at this moment; try again in a minute.")
    if state.status not in ("approved", "offered", "accepted", "settled", "payout_uncertain"):
        raise Rejected("nothing-to-reverse", f"It is {state.status}; decline it instead.", status=state.status)
    authority = policies.of(person.role)
    if authority is None or authority.limit_minor < max(state.amount_minor, 1):
        raise Rejected("above-authority", "Taking it back needs a person whose authority covers the amount.")
    teller = Teller(state, now, by)
    cancel_payout(teller)
    after = "reversed" if state.money == "posted" else "voided"
    teller.tell(RestitutionReversed, status="reversed", reason=None, words=words, money=after)
    return teller.done()


def offer_now(teller: Teller, now: datetime) -> None:
    """Offered; and where nothing is left to choose the payout is due in the same decision."""
    teller.tell(RestitutionOffered, status="offered", offered_at=now)
    if teller.state.settles_at_once:
        pay_now(teller, now)


def _amount(state: Restitution, given: int | None) -> int:
    """What is approved: as asked, unless a trip's distance or rate was missing and a person fills it in."""
    computed = all(line.amount is not None for line in state.trips)
    if given is not None and given != state.amount_minor:
        if computed or state.approved_by:
            raise Rejected("amount-fixed", "The amount is not the approver's to change.", pointer="/amount_minor")
        amount = given
    else:
        amount = state.amount_minor
    if amount == 0 and state.kind in PAID_KINDS:
        raise Rejected("amount-needed", "No amount could be computed; approve it with one.", pointer="/amount_minor")
    return amount


def _covering(state: Restitution, role: str, amount: int, policies: Policies) -> Authority:
    """The approver's authority where it covers the amount, else Rejected."""
    authority = policies.of(role)
    is_review = state.needs is not None and state.needs.role == COMPLIANCE
    if authority is None or (is_review and not authority.reviews_compliance):
        raise Rejected("above-authority", "Compliance reviews this one.", needs={"role": COMPLIANCE})
    if role == COMPLIANCE and not is_review:
        raise Rejected("above-authority", "Compliance decides only what was referred to it.")
    # An amount of nothing (a gesture without a value) still needs somebody with authority of their own.
    if authority.limit_minor < max(amount, 1):
        needs = policies.needs(amount, outcome="refer")
        raise Rejected("above-authority", f"Above your limit of {money(authority.limit_minor)}.", needs=needs.model_dump())
    return authority
