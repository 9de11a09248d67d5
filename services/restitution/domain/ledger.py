"""The books: what each step of a restitution's money means for the ledger and for the store's budget.

Append-only: an entry has two legs that sum to zero; its legs go from pending to posted or voided once; a correction is a new entry.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from services.restitution.domain.state import MoneyState, Restitution

LegState = Literal["pending", "posted", "voided"]


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg of a new entry; `purpose` and the restitution name the entry, so that it is booked once."""

    purpose: Literal["grant", "reversal"]
    account: str
    amount_minor: int
    state: LegState


@dataclass(frozen=True, slots=True)
class BudgetMove:
    """What one store's month gains or loses, in minor units."""

    location_id: str
    month: str
    currency: str
    reserved_minor: int
    posted_minor: int


def bookings(was: MoneyState, now: Restitution) -> tuple[tuple[Leg, ...], LegState | None]:
    """The legs to append, and what the pending legs of the grant become (None: they stay)."""
    if was == now.money or now.amount_minor == 0:
        return (), None
    if now.money == "reversed":
        return _legs("reversal", now, -now.amount_minor, "posted"), None
    if was == "none":
        state: LegState = "posted" if now.money == "posted" else "pending"
        return (_legs("grant", now, now.amount_minor, state), None) if now.money in ("pending", "posted") else ((), None)
    return (), "posted" if now.money == "posted" else "voided"


def budget_moves(changes: Iterable[tuple[MoneyState, Restitution]]) -> list[BudgetMove]:
    """Every move of a batch, summed for each store and month, in a fixed order."""
    sums: dict[tuple[str, str, str], list[int]] = {}
    for was, now in changes:
        reserved, posted = _HELD[now.money][0] - _HELD[was][0], _HELD[now.money][1] - _HELD[was][1]
        if reserved or posted:
            total = sums.setdefault((now.location_id, now.month, now.currency), [0, 0])
            total[0] += reserved * now.amount_minor
            total[1] += posted * now.amount_minor
    return [BudgetMove(*key, *total) for key, total in sorted(sums.items())]


# For each state of the money: whether it is reserved, whether it is posted.
_HELD: dict[MoneyState, tuple[int, int]] = {"none": (0, 0), "pending": (1, 0), "posted": (0, 1), "voided": (0, 0), "reversed": (0, 0)}


def _legs(purpose: Literal["grant", "reversal"], state: Restitution, amount_minor: int, leg_state: LegState) -> tuple[Leg, ...]:
    # The case, not the patient, names the account: an erased patient leaves the books as they are.
    return (
        Leg(purpose, f"goodwill:{state.location_id}", -amount_minor, leg_state),
        Leg(purpose, f"patient:{state.case_id}", amount_minor, leg_state),
    )
