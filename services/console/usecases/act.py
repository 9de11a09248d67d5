"""What people do on the console, asked of the owning service in their name."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

from services.console.domain.queue import QueueRow
from services.console.store import queries
from services.console.usecases.desk import Asker, Desk, visible
from services.console.usecases.look import places
from shared import reference
from shared.calendars import NeverOpens, next_closing, next_opening, wall_to_utc
from shared.kernel.errors import Rejected
from shared.reference import Location

# What a form of a case's page becomes: (service, path), the fields that are sent along, and the sentence once it is done.
CASE: Final = "/v1/cases/{case_id}/"
CATCH_UP_LOOKS: Final = 8
CATCH_UP_SECONDS: Final = 0.2
GIFT: Final = "/v1/restitutions/{restitution_id}/"
COMMANDS: Final[Mapping[str, tuple[str, str, tuple[str, ...], str]]] = {
    "acknowledge": ("escalation", CASE + "acknowledge", (), "It is yours now. The ladder has stopped."),
    "assign": ("escalation", CASE + "assign", ("staff_id",), "The new owner was told."),
    "story": ("escalation", CASE + "story", ("verbatim", "wished_outcome", "read_back_confirmed"), "The story was saved."),
    "actions": ("escalation", CASE + "actions", ("kind", "note", "then_pause"), "It was recorded."),
    "promises": ("escalation", CASE + "promises", ("what", "estimate_at"), "It is promised. The patient will be told."),
    "keep-promise": ("escalation", CASE + "keep-promise", ("what",), "It is done. The patient will be told."),
    "pause": ("escalation", CASE + "pause", ("reason",), "The clock stands still."),
    "resume": ("escalation", CASE + "resume", (), "The clock runs again."),
    "re-plan": ("escalation", CASE + "re-plan", ("reason",), "The deadlines follow the policy of today."),
    "notes": ("escalation", CASE + "notes", ("text",), "The note was added."),
    "resolve": ("escalation", CASE + "resolve", ("root_cause", "action", "note"), "The case is resolved. The patient will be told."),
    "close": ("escalation", CASE + "close", (), "The case is closed."),
    "reopen": ("escalation", CASE + "reopen", ("reason",), "The case is open again."),
    "approve": ("restitution", GIFT + "approve", ("amount_minor",), "Approved."),
    "decline": ("restitution", GIFT + "decline", ("reason",), "Declined."),
    "request": (
        "restitution",
        "/v1/restitutions",
        ("case_id", "kind", "amount_minor", "reason"),
        "It was asked for; another person decides.",
    ),
    "text": ("notification", "/v1/notices", ("case_id", "text"), "The text leaves in 30 seconds."),
}


async def ask(desk: Desk, asker: Asker, case_name: str, command: str, fields: Mapping[str, Any], key: str | None = None) -> QueueRow:
    """Send a command about a case to its owner; the case as this console knew it before. `fields` are the form's, typed.

    Raises Rejected as the owner said it, `not-found` for a case or a command that is not there, Transient where the owner is away.
    """
    if command not in COMMANDS:
        raise Rejected("not-found", "There is nothing at this address.")
    async with desk.engine.pool.acquire() as conn:
        row = await visible(conn, asker, case_name)
        place = (await reference.locations(conn, [row.location_id])).get(row.location_id) if fields.get("estimate") else None
    service, path, names, _ = COMMANDS[command]
    known = {**fields, "case_id": str(row.case_id), "estimate_at": _instant(fields.get("estimate"), place)}
    where = path.format(case_id=row.case_id, restitution_id=_restitution(fields) if path.startswith(GIFT) else None)
    done = await desk.services.post(service, where, asker, {name: known[name] for name in names if known.get(name) is not None}, key=key)
    await catch_up(desk, row, done)
    return row


def _restitution(fields: Mapping[str, Any]) -> UUID:
    """The id as a form names it: it becomes part of an address, so it is an id and nothing else."""
    try:
        return UUID(str(fields.get("restitution_id")))
    except ValueError:
        raise Rejected("invalid-input", "There is no such restitution.", pointer="/restitution_id") from None


def _instant(typed: str | None, place: Location | None) -> str | None:
    """A day and time as a form has it, on the wall of the store; None where nothing was typed."""
    if not typed:
        return None
    day, _, at = typed.partition("T")
    try:
        return wall_to_utc(place.timezone if place else "UTC", date.fromisoformat(day), at[:5]).isoformat()
    except ValueError:
        raise Rejected("invalid-input", "Write the day and the time at which you expect it.", pointer="/estimate_at") from None


async def catch_up(desk: Desk, row: QueueRow, done: Mapping[str, Any]) -> None:
    """Wait a moment until the projection shows what was just done, so that the page that follows does not show the time before."""
    wanted = done.get("version")
    for _ in range(CATCH_UP_LOOKS):
        async with desk.engine.pool.acquire() as conn:
            seen = await queries.version_of(conn, row.case_id, str(done.get("id")))
        if not isinstance(wanted, int) or seen is None or seen >= wanted:
            return
        await desk.bell.wait(CATCH_UP_SECONDS)


async def next_opening_in(desk: Desk, asker: Asker) -> timedelta | None:
    """How far off the next moment is at which one of the asker's stores opens; None where none ever does."""
    now = desk.now
    found = [at for place in await places(desk, asker) if (at := _opens(place, desk)) is not None]
    return min(found) - now if found else None


def _opens(place: Location, desk: Desk) -> Any:
    try:
        at = next_closing(place.calendar, desk.now) if place.calendar.is_open(desk.now) else desk.now
        return next_opening(place.calendar, at)
    except NeverOpens:
        return None
