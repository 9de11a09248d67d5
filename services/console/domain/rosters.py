"""Where rosters leave a store alone in the days to come. Pure.

Called by `usecases/rosters.py`. Invariant: a gap is open hours in which the rule that paging goes by puts nobody on duty; a store that uses
no roster has none, since there the owner is whoever has the fewest open cases.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from shared.calendars import Duty

Named = tuple[str, str, str, str]  # id, name, region and zone of a store


@dataclass(frozen=True, slots=True)
class Cover:
    """A store's open hours of a span that nobody keeps. `ends_at`: when its last shift ends, where that is within the span."""

    location_id: str
    name: str
    region_name: str
    zone: str
    has_roster: bool
    gaps: tuple[tuple[datetime, datetime], ...] = ()
    ends_at: datetime | None = None
    goes_on: bool = False

    @property
    def seconds(self) -> int:
        """Open time without anybody."""
        return int(sum((closes - opens).total_seconds() for opens, closes in self.gaps))


def cover_of(named: Named, duty: Duty, start: datetime, end: datetime, left: Collection[str]) -> Cover:
    """How a roster covers a span."""
    kept = [stretch.ends_at for stretch in duty.stretches(start, end, left) if stretch.staff]
    goes_on = duty.changes_at(end) is not None
    ends_at = kept[-1] if kept and not goes_on else None
    return Cover(*named, bool(duty), tuple(duty.gaps(start, end, left)), ends_at, goes_on)


def most_alone_first(covers: Collection[Cover]) -> list[Cover]:
    """Those with gaps, the longest first."""
    return sorted((cover for cover in covers if cover.gaps), key=lambda cover: (-cover.seconds, cover.name, cover.location_id))
