"""What escalation's use cases stand on, and how the decisions of one transaction are kept together."""

from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from services.escalation import store
from services.escalation.domain.case import Case
from services.escalation.domain.plan import Policies
from shared.contracts.cases import CaseEvent
from shared.kernel.decision import Decision
from shared.messaging import Engine, Transaction
from shared.telemetry.traces import Traced
from shared.vault import Vault


@dataclass(frozen=True)
class Desk:
    """One per service."""

    engine: Engine
    vault: Vault
    policies: Policies


class Asker(Protocol):
    """Who asks, as far as a use case needs to know."""

    @property
    def staff_id(self) -> str | None: ...

    @property
    def actor(self) -> str: ...

    @property
    def role(self) -> str | None: ...

    def sees(self, location_id: str | None, region: str | None) -> bool:
        """Whether a store of this location and region is this asker's to see."""
        ...


@dataclass
class Changes:
    """The cases of one transaction as they are by now, and what was said; written together at the end."""

    tx: Transaction
    cases: dict[UUID, Case] = field(default_factory=dict)
    events: list[CaseEvent] = field(default_factory=list)

    def keep(self, before: Case | None, decision: Decision[Case], cause: Traced | None = None) -> None:
        """Note a decision. One that changed nothing leaves nothing to write."""
        self.tx.apply(decision, cause=cause)
        self.events += decision.events
        if decision.state != before:
            self.cases[decision.state.case_id] = decision.state

    async def write(self) -> None:
        """One write for all of them."""
        await store.save(self.tx.conn, self.cases.values(), self.events)
