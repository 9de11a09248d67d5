"""A store changed its hours: its live cases are counted anew, a few hundred in a transaction, the next few hundred by a timer of their own.

Invariant: the timer is set in the transaction that renews the copy of the store, so no case is forgotten however many there are and
whenever the process dies; each batch counts by the hours that are known then, so two changes in a row end at the last.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from services.escalation import store
from services.escalation.domain import anew
from services.escalation.usecases.desk import Changes, Desk
from services.escalation.usecases.stores import stores
from shared import reference, timers
from shared.calendars import Calendar
from shared.contracts.directory import LocationChanged
from shared.kernel.decision import Schedule
from shared.messaging import Transaction
from shared.timers import Due

KIND: Final = "recount"
CASES_AT_ONCE: Final = 200
# What of a location its calendar is made of.
HOURS: Final = {"timezone", "weekly", "closures", "overrides", "observe_holidays", "country", "subdivision"}


async def hours_told(desk: Desk, tx: Transaction, told: Sequence[LocationChanged]) -> None:
    """Before the copies are renewed: keep hours that are new, and set the timer that counts the cases of these stores anew."""
    known = await reference.locations(tx.conn, {event.location_id for event in told})
    rows = [(event, known.get(event.location_id), event.model_dump(mode="json", include=HOURS)) for event in told]
    changed = [
        (event, was, hours)
        for event, was, hours in rows
        if was is None or (was.version < event.version and was.calendar != Calendar.of(hours))
    ]
    await store.keep_hours(tx.conn, [(event.location_id, event.version, hours) for event, _, hours in changed])
    moved = [event for event, was, _ in changed if was is not None]
    if moved:
        version = max(event.version for event in moved)
        for event in moved:
            tx.audit("directory", "location.hours_changed", event.location_id, {"version": event.version})
        tx.timers.append(_next(tx, version, 0, {"locations": sorted(event.location_id for event in moved)}))


async def recount(desk: Desk, tx: Transaction, due: Sequence[Due]) -> None:
    """The next batch of the live cases of stores whose hours changed."""
    for d in await timers.fire(tx, due):
        after = (d.data.get("location", ""), UUID(d.data.get("case", str(UUID(int=0)))))
        found = await store.live_after(tx.conn, d.data["locations"], after, CASES_AT_ONCE)
        cases = await store.lock(tx.conn, [case_id for _, case_id in found])
        known = await stores(tx.conn, cases.values())
        changes = Changes(tx, known)
        for case in cases.values():
            changes.keep(case, anew.on_new_hours(case, known.at(case.location_id, tx.now), tx.now))
        await changes.write()
        if len(found) == CASES_AT_ONCE:
            location_id, case_id = found[-1]
            tx.timers.append(_next(tx, d.generation, int(d.name) + 1, {**d.data, "location": location_id, "case": str(case_id)}))


def _next(tx: Transaction, version: int, batch: int, data: dict[str, object]) -> Schedule:
    return Schedule(KIND, "hours", str(batch), version, tx.now, data)
