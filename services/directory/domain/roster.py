"""A roster beyond its shifts: overrides, who is on duty, and who is on duty at two stores at one time.

Called by the use cases with a location's rows. Invariant: `duty_of` is the rule that paging goes by (`shared/calendars/duty.py`); what is
answered here is what the services do.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, NamedTuple
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from services.directory.domain.document import Id, Location, Row, Shift, Wall, check_span, checked
from shared.calendars import BadCalendar, Calendar, Duty, Stretch

OVERRIDES_MAX: Final = 500  # of one location, which rides whole on its event

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$")]


class OverrideWanted(Row):
    """`staff_id` comes on duty, `instead_of` goes off, `from` to `to` in wall time of the store; without either nobody is on duty."""

    staff_id: Id | None = None
    instead_of: Id | None = None
    starts: Annotated[Wall, Field(alias="from")]
    ends: Annotated[Wall, Field(alias="to")]
    reason: Reason

    @model_validator(mode="after")
    def check_sense(self) -> "OverrideWanted":
        check_span(self.starts, self.ends)
        if self.staff_id is not None and self.staff_id == self.instead_of:
            raise BadCalendar("somebody comes on duty instead of somebody else", "/instead_of")
        return self


class Override(NamedTuple):
    """An override as it is kept, with who made it and why."""

    id: UUID
    location_id: str
    starts: str
    ends: str
    staff_id: str | None
    instead_of: str | None
    reason: str
    made_by: str


class Doubled(NamedTuple):
    """Somebody on duty at two stores at one time."""

    staff_id: str
    starts_at: datetime
    ends_at: datetime
    other_location_id: str


def read_override(body: Any, location_id: str, override_id: UUID, made_by: str) -> Override:
    """An override as it was sent. Raises Rejected `invalid-data` with pointers into the body."""
    sent = checked(OverrideWanted, body)
    return Override(override_id, location_id, sent.starts, sent.ends, sent.staff_id, sent.instead_of, sent.reason, made_by)


def duty_of(location: Location, shifts: Iterable[Shift], overrides: Iterable[Override]) -> Duty:
    """Who is on duty at the location, ready to be asked."""
    return Duty(Calendar.of(location.model_dump()), shifts, overrides)


def doubled(here: Duty, elsewhere: Mapping[str, Duty], start: datetime, end: datetime, left: Collection[str]) -> list[Doubled]:
    """Who is on duty here and at one of the others at one time, within the span."""
    own = here.stretches(start, end, left)
    found = [
        Doubled(person, *span, name)
        for name, duty in elsewhere.items()
        for person, spans in _both(own, duty.stretches(start, end, left)).items()
        for span in spans
    ]
    return sorted(found, key=lambda two: (two.starts_at, two.staff_id, two.other_location_id))


def _both(own: list[Stretch], other: list[Stretch]) -> dict[str, list[tuple[datetime, datetime]]]:
    """Whoever is in both at one time, with when; what touches is one span."""
    found: dict[str, list[tuple[datetime, datetime]]] = {}
    for starts_at, ends_at, people in _overlaps(own, other):
        for person in people:
            spans = found.setdefault(person, [])
            if spans and spans[-1][1] == starts_at:
                spans[-1] = (spans[-1][0], ends_at)
            else:
                spans.append((starts_at, ends_at))
    return found


def _overlaps(own: list[Stretch], other: list[Stretch]) -> Iterator[tuple[datetime, datetime, set[str]]]:
    """Two cuts of one span laid on each other."""
    i = j = 0
    while i < len(own) and j < len(other):
        ends_at = min(own[i].ends_at, other[j].ends_at)
        yield max(own[i].starts_at, other[j].starts_at), ends_at, set(own[i].staff) & set(other[j].staff)
        i, j = i + (own[i].ends_at == ends_at), j + (other[j].ends_at == ends_at)


def walls_around(start: datetime, end: datetime) -> tuple[str, str]:
    """Wall times that are no later than the start and no earlier than the end in any zone."""
    day = timedelta(days=1)
    return (
        (start - day).replace(tzinfo=None).isoformat(timespec="minutes"),
        (end + day).replace(tzinfo=None).isoformat(timespec="minutes"),
    )
