"""What the use cases stand on, and `Book`: the restitutions of one transaction and what became of them."""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from services.restitution import store
from services.restitution.domain import Policies, Restitution
from services.restitution.domain.state import MoneyState
from services.restitution.gateway import PayoutGateway
from shared.kernel.decision import Decision
from shared.messaging import Engine, Transaction
from shared.telemetry.traces import Traced
from shared.vault import Unreadable, Vault


@dataclass(frozen=True)
class Desk:
    """One per service."""

    engine: Engine
    policies: Policies
    gateway: PayoutGateway
    vault: Vault

    def seal(self, words: str, restitution_id: UUID) -> str:
        """What a person wrote, as it rests: ciphertext in base64, bound to its restitution."""
        return base64.b64encode(self.vault.seal(words, *_place(restitution_id))).decode()

    def words_of(self, state: Restitution) -> str | None:
        """What a person wrote, for who may read the restitution; None where nobody did, or where it cannot be opened."""
        if state.words is None:
            return None
        try:
            return self.vault.open(base64.b64decode(state.words, validate=True), *_place(state.restitution_id))
        except (Unreadable, binascii.Error):
            return None


class Asker(Protocol):
    """Who asks over HTTP, as far as this service minds."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def staff_id(self) -> str | None: ...
    @property
    def role(self) -> str | None: ...
    @property
    def actor(self) -> str: ...


@dataclass
class Book:
    """The restitutions a transaction holds the locks of, as they are now; `save` writes those that were decided about."""

    states: dict[UUID, Restitution] = field(default_factory=dict)
    _money_was: dict[UUID, MoneyState] = field(default_factory=dict)
    _touched: set[UUID] = field(default_factory=set)

    @classmethod
    def of(cls, states: Iterable[Restitution]) -> "Book":
        """A book of these, as read under their locks."""
        book = cls({state.restitution_id: state for state in states})
        book._money_was = {key: state.money for key, state in book.states.items()}
        return book

    def keep(self, tx: Transaction, decision: Decision[Restitution], *, cause: Traced | None = None) -> None:
        """The state after the decision, and what it says."""
        key = decision.state.restitution_id
        if decision.is_empty and decision.state == self.states.get(key):
            return
        tx.apply(decision, cause=cause)
        self.states[key] = decision.state
        self._money_was.setdefault(key, "none")
        self._touched.add(key)

    async def save(self, tx: Transaction) -> None:
        """Rows, ledger and budgets, set-based."""
        touched = [self.states[key] for key in sorted(self._touched)]
        await store.save(tx.conn, touched)
        await store.save_books(tx.conn, [(self._money_was[state.restitution_id], state) for state in touched], tx.now)


def _place(restitution_id: UUID) -> tuple[str, UUID, str]:
    return "restitutions", restitution_id, "words"


def by(asker: Asker) -> str:
    """How a restitution names who asked: a person by their staff id, anything else with its kind."""
    return asker.staff_id or f"{asker.kind}:{asker.id}"
