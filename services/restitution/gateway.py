"""Who pays: the port, and its first adapter, which issues a redeemable code.

Called by the paying use case, never inside a transaction. What must stay true of every adapter: it pays at most once per payout id,
however often it is asked; `Refused` means that it clearly did not pay, and everything it cannot tell is `Unclear`.
"""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from shared.kernel.errors import Transient
from shared.kernel.ids import CROCKFORD

GROUPS, GROUP_LETTERS = 4, 4  # 16 characters of 5 bits: 80 random bits


@dataclass(frozen=True, slots=True)
class Paid:
    """The patient has it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Clearly not paid; asking again does no harm."""

    detail: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """It may have been paid."""

    detail: str


Answer = Paid | Refused | Unclear


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be paid."""

    payout_id: UUID
    amount_minor: int
    currency: str


class PayoutGateway(Protocol):
    """Whoever pays; raises nothing for what the other side or the network does."""

    async def pay(self, order: Order) -> Answer:
        """Pay, at most once per payout id."""
        ...

    async def look_up(self, order: Order) -> Answer:
        """Whether it was paid: `Refused` where it surely was not."""
        ...


Issue = Callable[[UUID, str, int, str], Awaitable[str]]
Find = Callable[[UUID], Awaitable[str | None]]

_WORDS: Final = "the book of codes does not answer"


class CodeGateway:
    """Pays by a code that the patient redeems at any store; the code leaves only through the API, to who may see it.

    `issue(payout_id, code, amount_minor, currency)` keeps the code unless the payout has one, and answers the one that is kept.
    """

    def __init__(self, issue: Issue, find: Find) -> None:
        self._issue, self._find = issue, find

    async def pay(self, order: Order) -> Answer:
        """One code for each payout id."""
        try:
            await self._issue(order.payout_id, new_code(), order.amount_minor, order.currency)
        except Transient:
            return Unclear(_WORDS)
        return Paid()

    async def look_up(self, order: Order) -> Answer:
        """The book says."""
        try:
            return Paid() if await self._find(order.payout_id) else Refused("no code was issued")
        except Transient:
            return Unclear(_WORDS)


def new_code() -> str:
    """A code as people type it, XXXX-XXXX-XXXX-XXXX, not to be guessed."""
    return "-".join("".join(secrets.choice(CROCKFORD) for _ in range(GROUP_LETTERS)) for _ in range(GROUPS))
