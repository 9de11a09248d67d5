"""Questions about cases: nothing changes. Each answers only what the asker's stores and regions cover."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.escalation import store
from services.escalation.domain import explain, steps
from services.escalation.domain.case import Case
from services.escalation.domain.explain import ClockOfTarget
from services.escalation.domain.steps import Step
from services.escalation.store import Wanted
from services.escalation.usecases import words
from services.escalation.usecases.act import CaseView, find
from services.escalation.usecases.desk import Asker, Desk
from services.escalation.usecases.stores import stores
from services.escalation.usecases.words import Note
from shared.calendars import Calendar


@dataclass(frozen=True, slots=True)
class Clock:
    """A case's clock as told; `patient_seconds` is elapsed time, which no pause stops."""

    case: Case
    timezone: str
    now: datetime
    patient_seconds: int
    targets: tuple[ClockOfTarget, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class WholeCase:
    """A case with its story and its notes."""

    view: CaseView
    notes: Sequence[Note]


async def case(desk: Desk, name: str, by: Asker) -> WholeCase:
    """One case. Raises Rejected(not-found)."""
    async with desk.engine.pool.acquire() as conn:
        found = await find(conn, name, by)
        told = (await words.stories(desk, conn, [found]))[found.case_id]
        return WholeCase(CaseView(found, told), await words.notes(desk, conn, found))


async def cases(desk: Desk, wanted: Wanted) -> list[CaseView]:
    """A page of cases, newest first, one more than its limit where there is a next page."""
    async with desk.engine.pool.acquire() as conn:
        found = await store.page(conn, wanted)
        told = await words.stories(desk, conn, found) if found else dict[UUID, words.Story]()
        return [CaseView(one, told[one.case_id]) for one in found]


async def clock(desk: Desk, name: str, by: Asker) -> Clock:
    """The clock of a case, explained. Raises Rejected(not-found)."""
    now = desk.engine.clock.now()
    async with desk.engine.pool.acquire() as conn:
        found = await find(conn, name, by)
        place = (await stores(conn, [found])).at(found.location_id, now)
        events = await store.history(conn, found.case_id)
        hours = await store.hours(conn, found.location_id, {target.hours for target in found.targets if target.hours})
    calendars = {version: Calendar.of(told) for version, told in hours.items()}
    waiting = explain.patients_clock_seconds(found, now)
    targets = explain.tell(found, events, place, now, calendars)
    return Clock(found, place.calendar.timezone, now, waiting, targets, steps.tell(found, events, place, now))
