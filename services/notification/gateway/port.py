"""Whoever takes a message from us and hands it to a person, as a port.

Called by the sending use case, never inside a transaction. What must stay true: an answer is `NotSent` only when the message may be handed
over again without harm, and `Refused` only when the other side said so; everything else is `Ambiguous` and is not sent again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took it, under its id `sid`."""

    sid: str
    status: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider said no; `code` is its own. `is_busy`: not this text, only not now."""

    code: str
    detail: str = ""
    is_busy: bool = False


@dataclass(frozen=True, slots=True)
class NotSent:
    """No byte left us."""

    detail: str = ""


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """It may have been taken."""

    detail: str = ""


@dataclass(frozen=True, slots=True)
class NotFound:
    """The provider knows no such text."""


Answer = Accepted | Refused | NotSent | Ambiguous
Look = Accepted | NotFound | Ambiguous
OUTCOMES: Final[Mapping[type, str]] = {Accepted: "accepted", Refused: "refused", NotSent: "not-sent", Ambiguous: "ambiguous"}


class Gateway(Protocol):
    """Whoever sends texts, e-mails or webhooks."""

    async def send(self, to: str, body: str, notice_id: UUID) -> Answer:
        """Hand over one message to `to` (E.164, an address, a URL); raises nothing for what the other side or the network does."""
        ...

    async def look(self, to: str, body: str, since: datetime, known: frozenset[str]) -> Look:
        """Whether a message of exactly `body` went to `to` since `since` (machine time) under an id that is not among `known`."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
