"""What people look at: the queue, a case with everything about it, trends. Questions; nothing changes."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from services.console.domain import timeline
from services.console.domain.queue import QueueRow
from services.console.domain.timeline import Line, Reading
from services.console.store import queries
from services.console.store.queries import Wanted
from services.console.usecases.desk import Asker, Desk, Directory, directory, visible, walls_of
from shared import reference
from shared.kernel.errors import Rejected, Transient
from shared.reference import Location, Staff

WORDS_MAX = 5
# As many stores as a service answers at once.
PAGE_LIMIT = 200


@dataclass(frozen=True, slots=True)
class QueuePage:
    """Rows (one more than asked for where there is a next page) and the names for them."""

    rows: list[QueueRow]
    names: Directory


@dataclass(frozen=True, slots=True)
class Words:
    """What is fetched from the owning services for the person who looks; a part whose service did not answer is None."""

    case: dict[str, Any] | None = None
    clock: dict[str, Any] | None = None
    incidents: list[dict[str, Any]] = field(default_factory=list)
    restitutions: list[dict[str, Any]] | None = None
    texts: list[dict[str, Any]] | None = None
    messages: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CasePage:
    """Everything on a case's page."""

    row: QueueRow
    names: Directory
    lines: list[Line]
    incidents: list[dict[str, Any]]
    restitutions: list[dict[str, Any]]
    notices: list[dict[str, Any]]
    words: Words
    patient_name: str | None
    patient_phone: str | None
    team: list[Staff]

    @property
    def place(self) -> Location | None:
        """The case's location."""
        return self.names.places.get(self.row.location_id)


async def queue_page(desk: Desk, asker: Asker, wanted: Wanted) -> QueuePage:
    """A page of the queue inside the asker's walls."""
    async with desk.engine.pool.acquire() as conn:
        rows = await queries.queue(conn, walls_of(asker), wanted)
        names = await directory(conn, {row.location_id for row in rows}, {row.owner_staff_id or "" for row in rows})
    return QueuePage(rows, names)


async def places(desk: Desk, asker: Asker) -> list[Location]:
    """The locations that the asker sees, by name."""
    async with desk.engine.pool.acquire() as conn:
        known = await reference.locations(conn, await queries.location_ids(conn))
    return sorted((p for p in known.values() if asker.sees(p.location_id, p.region)), key=lambda p: (p.region, p.name))


async def people(desk: Desk) -> list[Staff]:
    """Everybody who works here now, by name."""
    async with desk.engine.pool.acquire() as conn:
        known = await reference.staff(conn, await queries.staff_ids(conn))
    return sorted((person for person in known.values() if person.active), key=lambda person: person.name)


async def lines_of(desk: Desk, asker: Asker, name: str) -> tuple[QueueRow, list[Line]]:
    """A case's timeline, newest first."""
    async with desk.engine.pool.acquire() as conn:
        row = await visible(conn, asker, name)
        entries = await queries.entries(conn, row.case_id)
        names = await directory(conn, [row.location_id], timeline.people_in(entries))
    return row, _lines(entries, names, row)


async def case_page(desk: Desk, asker: Asker, name: str) -> CasePage:
    """A case as a person sees it; words are fetched in that person's name."""
    async with desk.engine.pool.acquire() as conn:
        row = await visible(conn, asker, name)
        entries = await queries.entries(conn, row.case_id)
        incidents = await queries.incidents(conn, row.case_id)
        restitutions = await queries.restitutions(conn, row.case_id)
        notices = await queries.notices(conn, row.case_id)
        patient = (await queries.patients(conn, [row.patient_ref])).get(row.patient_ref or "")
        crew = (await reference.people_of(conn, [row.location_id])).get(row.location_id, reference.People())
        team = (*crew.associates, *crew.managers, *crew.regional_managers)
        told = {notice["staff_id"] or "" for notice in notices}
        names = await directory(conn, [row.location_id], {*timeline.people_in(entries), *team, *told, row.owner_staff_id or ""})
    words = await words_of(desk, asker, row.case_id, [i["incident_id"] for i in incidents if i["has_words"]])
    return CasePage(
        row=row,
        names=await _with_called(desk, names, words),
        lines=_lines(entries, names, row),
        incidents=incidents,
        restitutions=restitutions,
        notices=notices,
        words=words,
        patient_name=desk.open(patient, "name"),
        patient_phone=desk.open(patient, "phone"),
        team=[names.staff[staff_id] for staff_id in team if staff_id in names.staff],
    )


async def words_of(desk: Desk, asker: Asker, case_id: UUID, with_words: Sequence[UUID]) -> Words:
    """The words about a case, each part from its owner, side by side."""
    ask = desk.services.get
    case, clock, restitutions, texts, *incidents = await asyncio.gather(
        _or_none(ask("escalation", f"/v1/cases/{case_id}", asker)),
        _or_none(ask("escalation", f"/v1/cases/{case_id}/clock", asker)),
        _or_none(ask("restitution", f"/v1/restitutions?case_id={case_id}", asker)),
        _or_none(ask("notification", f"/v1/notices?case_id={case_id}", asker)),
        *(_or_none(ask("intake", f"/v1/incidents/{incident_id}", asker)) for incident_id in with_words[:WORDS_MAX]),
    )
    return Words(
        case=case,
        clock=clock,
        incidents=[incident for incident in incidents if incident is not None],
        restitutions=restitutions.get("items") if restitutions is not None else None,
        texts=texts.get("items") if texts is not None else None,
        messages=(texts or {}).get("messages") or [],
    )


async def _with_called(desk: Desk, names: Directory, words: Words) -> Directory:
    """The names with those of whoever the ladder calls from elsewhere."""
    steps = ((words.clock or {}).get("ladder") or {}).get("steps") or ()
    named = {word.removeprefix("staff:") for step in steps for word in step["who"] if word.startswith("staff:")}
    missing = (named | {person for step in steps for person in step["people"]}) - names.staff.keys()
    if not missing:
        return names
    async with desk.engine.pool.acquire() as conn:
        return replace(names, staff={**names.staff, **await reference.staff(conn, missing)})


async def trends(desk: Desk, asker: Asker) -> tuple[list[dict[str, Any]], Directory]:
    """Per location what is open and overdue, inside the asker's walls."""
    async with desk.engine.pool.acquire() as conn:
        rows = await queries.trends(conn, walls_of(asker), desk.now)
        return rows, await directory(conn, {row["location_id"] for row in rows}, [])


async def kept_promises(desk: Desk, asker: Asker) -> tuple[list[dict[str, Any]] | None, Directory]:
    """Per location what became of promises this month, as escalation counts it; None where it does not answer."""
    told = await _or_none(desk.services.get("escalation", f"/v1/promises/kept?limit={PAGE_LIMIT}", asker))
    rows: list[dict[str, Any]] | None = told.get("items") if told is not None else None
    async with desk.engine.pool.acquire() as conn:
        return rows, await directory(conn, {row["location_id"] for row in rows or ()}, [])


async def _or_none(asked: Awaitable[dict[str, Any]]) -> dict[str, Any] | None:
    """A part that could not be had leaves a gap on the page, not an error instead of it."""
    try:
        return await asked
    except (Rejected, Transient):
        return None


def _lines(entries: list[timeline.Entry], names: Directory, row: QueueRow) -> list[Line]:
    reading = Reading(names.names, names.zone(row.location_id))
    return [timeline.read(entry, reading) for entry in entries]
