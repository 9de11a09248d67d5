"""What intake's use cases stand on."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from services.intake.domain import Rules
from shared.messaging import Engine
from shared.vault import Vault

if TYPE_CHECKING:
    from services.intake.usecases.commit import Waiting


@dataclass(slots=True)
class Queue:
    """Requests that wait for the next transaction. `is_working` while somebody is emptying it."""

    waiting: "list[Waiting]" = field(default_factory=list)
    is_working: bool = False


@dataclass(frozen=True)
class Desk:
    """One per service: the engine, the vault, the rules, and the queue of the group commit."""

    engine: Engine
    vault: Vault
    rules: Rules
    queue: Queue = field(default_factory=Queue)
