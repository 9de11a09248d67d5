"""What intake's use cases stand on."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from services.intake.domain import Arrival, Rules
from shared.messaging import Engine
from shared.vault import Vault


@dataclass(slots=True, eq=False)
class Waiting:
    """A request and where its answer goes: one `Outcome` for each arrival. `is_taken` once it is in a transaction."""

    arrivals: Sequence[Arrival]
    answer: asyncio.Future[list[Any]]
    is_taken: bool = False


@dataclass(slots=True)
class Queue:
    """Requests that wait for the next transaction, `events` of them in all. `is_working` while somebody is emptying it."""

    waiting: list[Waiting] = field(default_factory=list)
    events: int = 0
    is_working: bool = False


@dataclass(frozen=True)
class Desk:
    """One per service: the engine, the vault, the rules, and the queue of the group commit."""

    engine: Engine
    vault: Vault
    rules: Rules
    queue: Queue = field(default_factory=Queue)
