"""Rosters for the demo group: dated, so made around the day the demo starts.

Called by the use case that reads the demo's file. Invariant: whenever a store is open somebody of that store is on duty, and the same
document with the same day gives the same rosters.
"""

from datetime import date, timedelta
from itertools import groupby

from services.directory.domain.document import Document, Location, Shift, Staff
from shared.calendars import Calendar


def demo_rosters(document: Document, start: date, days: int = 35) -> tuple[Shift, ...]:
    """Shifts for `days` days from the day before `start` on (further west it is still yesterday).

    Each day's hours of each store are covered by one of its associates in turn, and on weekdays by its manager too.
    """
    people = {store.id: [person for person in document.staff if store.id in person.locations] for store in document.locations}
    return tuple(
        shift
        for number, store in enumerate(document.locations)
        for offset in range(-1, days)
        for shift in _day(store, people[store.id], start + timedelta(days=offset), number)
    )


def _day(store: Location, people: list[Staff], day: date, number: int) -> list[Shift]:
    hours = Calendar.of(store.model_dump()).hours_on(day)
    turns = {role: list(group) for role, group in groupby(sorted(people, key=lambda p: (p.role, p.id)), key=lambda p: p.role)}
    associates, managers = turns.get("associate", []), turns.get("store_manager", [])
    on_duty = [associates[(day.toordinal() + number) % len(associates)]] if associates else managers
    if associates and day.weekday() < 5:
        on_duty = on_duty + managers
    return [
        Shift(location_id=store.id, staff_id=person.id, starts=_wall(day, opens), ends=_wall(day, closes))
        for opens, closes in hours
        for person in on_duty
    ]


def _wall(day: date, seconds: int) -> str:
    day, seconds = day + timedelta(days=seconds // 86_400), seconds % 86_400
    return f"{day.isoformat()}T{seconds // 3600:02}:{seconds // 60 % 60:02}"
