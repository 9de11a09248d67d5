"""A store changed its hours or its roster: its live cases are counted anew, or handed over, a few hundred in a transaction, the next few
hundred by a timer of their own.

Invariant: the timer is set in the transaction that renews the copy of the store, so no case is forgotten however many there are and
whenever the process dies; each batch counts by the hours that are known then, so two changes in a row end at the last.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from services.escalation import store
from services.escalation.domain import anew
from services.escalation.usecases.desk import Changes, Desk
from services.escalation.usecases.stores import stores
from shared import reference, timers
from shared.calendars import Calendar, Duty
from shared.contracts.directory import LocationChanged
from shared.kernel.decision import Schedule
from shared.messaging import Transaction
from shared.timers import Due

KIND: Final = "recount"
CASES_AT_ONCE: Final = 200
# What of a location its calendar is made of.
HOURS: Final = {"timezone", "weekly", "closures", "overrides", "observe_holidays", "country", "subdivision"}


async def hours_told(desk: Desk, tx: Transaction, told: Sequence[LocationChanged]) -> None:
    """Before the copies are renewed: keep hours that are new, and set the timer that counts the cases of these stores anew.

    Where a roster changed, the timer knows who is on duty by the old one and by the new one.
    """
    known = await reference.locations(tx.conn, {event.location_id for event in told})
    rows = [(event, known.get(event.location_id), event.model_dump(mode="json", include=HOURS)) for event in told]
    changed = [
        (event, was, hours)
        for event, was, hours in rows
        if was is None or (was.version < event.version and was.calendar != Calendar.of(hours))
    ]
    await store.keep_hours(tx.conn, [(event.location_id, event.version, hours) for event, _, hours in changed])
    moved = [event for event, was, _ in changed if was is not None]
    for event in moved:
        tx.audit("directory", "location.hours_changed", event.location_id, {"version": event.version})
    redrawn = {event.location_id: (was.duty, _duty(event, hours)) for event, was, hours in rows if was and _is_redrawn(event, was)}
    if moved or redrawn:
        left = await reference.left(tx.conn, [duty for pair in redrawn.values() for duty in pair])
        turns = {name: [duty.on_duty(tx.now, left) for duty in pair] for name, pair in redrawn.items()}
        places = sorted({event.location_id for event in moved}.union(redrawn))
        version = max(event.version for event in told if event.location_id in places)
        tx.timers.append(_next(tx, version, 0, {"locations": places, "turns": turns}))


async def recount(desk: Desk, tx: Transaction, due: Sequence[Due]) -> None:
    """The next batch of the live cases of stores whose hours or rosters changed."""
    for d in await timers.fire(tx, due):
        after = (d.data.get("location", ""), UUID(d.data.get("case", str(UUID(int=0)))))
        found = await store.live_after(tx.conn, d.data["locations"], after, CASES_AT_ONCE)
        cases = await store.lock(tx.conn, [case_id for _, case_id in found])
        known = await stores(tx.conn, cases.values())
        changes = Changes(tx, known)
        for case in cases.values():
            place = known.at(case.location_id, tx.now)
            counted = anew.on_new_hours(case, place, tx.now)
            changes.keep(case, counted)
            if turns := d.data.get("turns", {}).get(case.location_id):
                were, are = turns
                changes.keep(counted.state, anew.on_new_roster(counted.state, place, were, are, tx.now))
        await changes.write()
        if len(found) == CASES_AT_ONCE:
            location_id, case_id = found[-1]
            tx.timers.append(_next(tx, d.generation, int(d.name) + 1, {**d.data, "location": location_id, "case": str(case_id)}))


def _duty(event: LocationChanged, hours: dict[str, Any]) -> Duty:
    return Duty(Calendar.of(hours), event.roster, event.roster_overrides)


def _is_redrawn(event: LocationChanged, was: reference.Location) -> bool:
    duty = (tuple(was.duty.shifts), tuple(was.duty.overrides))
    return was.version < event.version and duty != (event.roster, event.roster_overrides)


def _next(tx: Transaction, version: int, batch: int, data: dict[str, object]) -> Schedule:
    return Schedule(KIND, "hours", str(batch), version, tx.now, data)
