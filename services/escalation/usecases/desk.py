"""What escalation's use cases stand on, and how the decisions of one transaction are kept together."""

from dataclasses import dataclass, field, replace
from typing import Protocol
from uuid import UUID

from services.escalation import store
from services.escalation.domain import promises, storms
from services.escalation.domain.case import Case
from services.escalation.domain.plan import Policies
from services.escalation.store import Count, Duration
from services.escalation.usecases.stores import Stores
from shared.calendars import local_date
from shared.contracts.cases import CaseEvent, Paging
from shared.kernel.decision import Decision
from shared.kernel.ids import new_id
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
    """The cases of one transaction as they are by now, and what is to be said; written together at the end."""

    tx: Transaction
    stores: Stores
    cases: dict[UUID, Case] = field(default_factory=dict)
    durations: list[Duration] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    decisions: list[tuple[Decision[Case], Traced | None]] = field(default_factory=list)

    def keep(self, before: Case | None, decision: Decision[Case], cause: Traced | None = None) -> None:
        """Note a decision. One that changed nothing leaves nothing to write."""
        self.decisions.append((decision, cause))
        for event in decision.events:
            if isinstance(event, Paging):
                self.stores.paged(event.page)
        if decision.state != before:
            self.cases[decision.state.case_id] = decision.state
        if decision.state.promises:
            self._count_promises(before, decision)

    def _count_promises(self, before: Case | None, decision: Decision[Case]) -> None:
        after = decision.state
        # A timer that fired late counts in the month of its due time.
        at = next((event.at for event in decision.events if isinstance(event, CaseEvent)), self.tx.now)
        month = local_date(self.stores.at(after.location_id, self.tx.now).calendar, at).replace(day=1)
        self.counts += [Count(after.location_id, month, what, outcome) for what, outcome in promises.outcomes(before, after)]
        self.durations += [
            Duration(after, one.number, one.what, seconds, one.fulfilled_at or self.tx.now)
            for one, seconds in promises.fulfilled(before, after)
        ]

    async def write(self) -> None:
        """One write for all of them. Pages that one person gets for several cases at once are told as belonging together."""
        told = storms.bundle([decision.events for decision, _ in self.decisions], new_id())
        events: list[CaseEvent] = []
        for (decision, cause), said in zip(self.decisions, told, strict=True):
            self.tx.apply(replace(decision, events=said), cause=cause)
            events += said
        await store.save(self.tx.conn, self.cases.values(), events)
        await store.add_durations(self.tx.conn, self.durations)
        await store.count(self.tx.conn, self.counts)
        await store.take_turns(self.tx.conn, {person: (self.stores.turns or {})[person] for person in sorted(self.stores.taken)})
