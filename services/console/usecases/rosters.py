"""Gaps before they happen: open hours of the next two weeks with nobody on duty, for the stores that the person who looks may see.

Answered from the local copy; nobody is asked.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from services.console.domain.rosters import Cover, cover_of
from services.console.usecases.desk import Asker, Desk
from services.console.usecases.look import places
from shared import reference
from shared.reference import Location

DAYS: Final = 14
STORES_MAX: Final = 200  # on one page; a calendar of a year is made for each the first time


@dataclass(frozen=True, slots=True)
class Covers:
    """What the rosters of some stores cover; `regions` are those there are to choose from, `more` that not all stores are shown."""

    covers: list[Cover]
    regions: list[tuple[str, str]]
    more: bool


async def covers(desk: Desk, asker: Asker, region: str) -> Covers:
    """The stores of a region, or of all that the asker sees where it is empty; the first two hundred."""
    seen = await places(desk, asker)
    chosen = [place for place in seen if region in ("", place.region)]
    shown = chosen[:STORES_MAX]
    async with desk.engine.pool.acquire() as conn:
        left = await reference.left(conn, [place.duty for place in shown])
    regions = {place.region: place.region_name or place.region for place in seen}
    found = await asyncio.to_thread(_covers, shown, left, desk.now)
    return Covers(found, sorted(regions.items(), key=lambda pair: pair[1]), len(chosen) > len(shown))


def _covers(shown: Sequence[Location], left: frozenset[str], now: datetime) -> list[Cover]:
    end = now + timedelta(days=DAYS)
    return [
        cover_of((place.location_id, place.name, place.region_name or place.region, place.timezone), place.duty, now, end, left)
        for place in shown
    ]
