"""What lies parked, asked of every service in the name of the person who looks, and tried again on their word."""

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import UUID

from services.console.usecases.desk import Asker, Desk
from shared.contracts.flow import ALL_SERVICES
from shared.kernel.errors import Rejected, Transient

ROWS = 50


@dataclass(frozen=True, slots=True)
class Park:
    """What lies parked in one service, oldest first; `items` None where it does not answer. `next_cursor` where there is more."""

    service: str
    items: list[dict[str, Any]] | None
    next_cursor: str | None

    @property
    def is_trying(self) -> bool:
        """Whether something is about to be tried again."""
        return any(item["retry_at"] for item in self.items or ())


async def parks(desk: Desk, asker: Asker, service: str | None, cursor: str | None) -> list[Park]:
    """Every service's park, side by side; or one service's, from `cursor` on. Raises Rejected for who may not see it."""
    names = ALL_SERVICES if service is None else (known(service),)
    return list(await asyncio.gather(*(_park(desk, asker, name, cursor if service else None) for name in names)))


async def parked_record(desk: Desk, asker: Asker, service: str, parked_id: UUID) -> dict[str, Any]:
    """One parked event with its record. Raises Rejected or Transient as its service says."""
    return await desk.services.get(known(service), f"/v1/parked/{service}/{parked_id}", asker)


async def redrive(desk: Desk, asker: Asker, service: str, parked_id: UUID | None, key: str | None) -> int:
    """Ask for another try, of one event with its followers or of all; how many events that is. `key`: asked twice, it is done once."""
    path = f"/v1/parked/{known(service)}/" + (f"{parked_id}/redrive" if parked_id else "redrive")
    return int((await desk.services.post(service, path, asker, {}, key=key))["redriven"])


def known(service: str) -> str:
    """The name becomes part of an address, so it is one of ours and nothing else."""
    if service not in ALL_SERVICES:
        raise Rejected("not-found", "There is no such service.")
    return service


async def _park(desk: Desk, asker: Asker, service: str, cursor: str | None) -> Park:
    path = f"/v1/parked/{service}?limit={ROWS}" + (f"&cursor={quote(cursor)}" if cursor else "")
    try:
        found = await desk.services.get(service, path, asker)
    except Transient:
        return Park(service, None, None)
    return Park(service, found["items"], found["next_cursor"])
