"""What the auditors of timers found, asked of every service in the name of the person who looks, and noted on their word."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.console.domain.when import parse
from services.console.usecases.desk import Asker, Desk
from services.console.usecases.parked import known
from shared.contracts.flow import ALL_SERVICES
from shared.kernel.errors import Transient

# An auditor looks every ten seconds (machine time); one that has not for so long is not looking.
SILENT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Audited:
    """What is wrong with one service's timers, oldest first; `items` None where it does not answer. `seconds_ago`: since the last look."""

    service: str
    items: list[dict[str, Any]] | None
    seconds_ago: int | None

    @property
    def is_silent(self) -> bool:
        """It answers, but nobody has looked at its timers for a while. One that has just started has yet to look, and is not silent."""
        return self.items is not None and self.seconds_ago is not None and self.seconds_ago > SILENT_SECONDS

    @property
    def is_to_look(self) -> bool:
        """It answers, and has not looked since it started."""
        return self.items is not None and self.seconds_ago is None


async def audits(desk: Desk, asker: Asker, machine_now: datetime) -> list[Audited]:
    """Every service's findings, side by side. Raises Rejected for who may not see them."""
    return list(await asyncio.gather(*(_audited(desk, asker, name, machine_now) for name in ALL_SERVICES)))


async def note_finding(desk: Desk, asker: Asker, service: str, finding_id: UUID, reason: str, key: str | None) -> None:
    """Take note of what fired early or twice. Raises Rejected or Transient as its service says. `key`: asked twice, it is done once."""
    await desk.services.post(known(service), f"/v1/timers/{service}/{finding_id}/noted", asker, {"reason": reason}, key=key)


async def _audited(desk: Desk, asker: Asker, service: str, machine_now: datetime) -> Audited:
    try:
        found = await desk.services.get(service, f"/v1/timers/{service}", asker)
    except Transient:
        return Audited(service, None, None)
    checked = parse(found.get("checked_at"))
    return Audited(service, found["items"], max(int((machine_now - checked).total_seconds()), 0) if checked else None)
