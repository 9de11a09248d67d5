"""What is right about money: proposing, deciding, paying and booking. Pure; money is Decimal in and whole minor units out."""

from services.restitution.domain.decide import accept, approve, decline, hear_case, offer, request, reverse, settle_in_kind
from services.restitution.domain.ledger import BudgetMove, Leg, bookings, budget_moves
from services.restitution.domain.payout import claim, give_up, look_again, settled, try_again
from services.restitution.domain.policies import Policies
from services.restitution.domain.propose import beyond_first, propose
from services.restitution.domain.state import (
    CHOICE_KINDS,
    CURRENCY,
    IN_KIND,
    PAID_KINDS,
    SYSTEM,
    CaseCopy,
    Payout,
    Restitution,
    Teller,
    TripLine,
    month_of,
)

__all__ = [
    "CHOICE_KINDS",
    "CURRENCY",
    "IN_KIND",
    "PAID_KINDS",
    "SYSTEM",
    "BudgetMove",
    "CaseCopy",
    "Leg",
    "Payout",
    "Policies",
    "Restitution",
    "Teller",
    "TripLine",
    "accept",
    "approve",
    "beyond_first",
    "bookings",
    "budget_moves",
    "claim",
    "decline",
    "give_up",
    "hear_case",
    "look_again",
    "month_of",
    "offer",
    "propose",
    "request",
    "reverse",
    "settle_in_kind",
    "settled",
    "try_again",
]
