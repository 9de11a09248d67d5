"""Rosters: shifts, what is laid on top of them, and who is on duty at any moment.

Who may see a store may read its roster; writing needs `directory:write`. Shifts and overrides are wall time of the store, as the file has
them; what is answered about a moment or a span is in UTC.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from litestar import Request, delete, get, post, put
from litestar.params import QueryParameter

from services.directory import usecases
from services.directory.api.doors import GUARDS, View, id_of
from services.directory.domain import Import, Kind, Override, Shifts
from services.directory.usecases import Desk, Moment, Span
from shared.calendars import Stretch
from shared.kernel.errors import Rejected
from shared.web import RAW, Principal, requires_any

KINDS: Final[dict[str, Kind]] = {"text/csv": "csv", "text/calendar": "calendar"}
READERS: Final = [requires_any("directory:write", "cases:read")]
SPAN: Final = timedelta(days=14)
SPAN_MAX: Final = timedelta(days=92)
YEARS: Final = range(3, 9996)  # what a calendar covers, with room for a span and a zone on either side

At = Annotated[datetime | None, QueryParameter(required=False)]
From = Annotated[datetime | None, QueryParameter(name="from", required=False)]
To = Annotated[datetime | None, QueryParameter(name="to", required=False)]


@get("/v1/rosters/{location_id:str}", guards=READERS)
async def get_roster(desk: Desk, principal: Principal, location_id: str, at: At = None, start: From = None, end: To = None) -> View:
    """A location's shifts in wall time of the store. With `at`, any moment: who is on duty and who comes next; with `from` (and `to`, else
    14 days): who is on duty through the span, open hours with nobody, and people who are at two stores at one time.
    """
    await _check_sight(desk, principal, location_id)
    if at is not None and (start is not None or end is not None):
        raise Rejected("invalid-input", "A moment, or a span: not both.", pointer="/query/at")
    if at is not None:
        return moment_view(await usecases.duty_at(desk, location_id, _moment(at, "at")), at)
    if start is None and end is None:
        return roster_view(location_id, (await usecases.roster_of(desk, location_id))[1])
    if start is None:
        raise Rejected("invalid-input", "A span begins with `from`.", pointer="/query/from")
    first = _moment(start, "from")
    last = _moment(end, "to") if end is not None else first + SPAN
    if not first < last <= first + SPAN_MAX:
        raise Rejected("invalid-input", f"A span ends after it begins, and within {SPAN_MAX.days} days.", pointer="/query/to")
    return span_view(await usecases.duty_between(desk, location_id, first, last), first, last)


@put("/v1/rosters/{location_id:str}", guards=GUARDS)
async def put_roster(desk: Desk, principal: Principal, location_id: str, data: dict[str, Any] | list[Any]) -> View:
    """Replace a location's shifts: `{"shifts": [{"staff_id", "from", "to"}]}`, or the list alone. Overrides stay on top."""
    async with desk.engine.transaction() as tx:
        shifts = await usecases.put_roster(desk, tx, id_of(location_id, "unknown-location"), data, actor=principal.actor)
    return roster_view(location_id, shifts)


@post("/v1/rosters/{location_id:str}/import", guards=GUARDS, status_code=200, opt=RAW)
async def import_roster(request: Request[Any, Any, Any], desk: Desk, principal: Principal, location_id: str, dry_run: bool = False) -> View:
    """Take a roster from `text/csv` (columns staff_id or email, from, to) or `text/calendar`, for the days that the file covers.

    All or nothing: each fault is told with its line. Answers what was added, removed and left as it was; `dry_run` writes nothing.
    """
    kind = KINDS.get(request.headers.get("content-type", "").split(";", 1)[0].strip().lower())
    if kind is None:
        raise Rejected("unsupported-media-type", f"A roster comes as {' or '.join(KINDS)}.")
    where, raw = id_of(location_id, "unknown-location"), await request.body()
    async with desk.engine.transaction() as tx:
        taken = await usecases.import_roster(desk, tx, where, kind, raw, actor=principal.actor, is_dry_run=dry_run)
    return import_view(where, taken, is_dry_run=dry_run)


@get("/v1/rosters/{location_id:str}/overrides", guards=READERS)
async def list_overrides(desk: Desk, principal: Principal, location_id: str) -> View:
    """What is laid on top of a location's shifts, in that order, with who did it and why; at most 500."""
    await _check_sight(desk, principal, location_id)
    return {"items": [override_view(row) for row in await usecases.overrides_of(desk, location_id)], "next_cursor": None}


@post("/v1/rosters/{location_id:str}/overrides", guards=GUARDS)
async def post_override(desk: Desk, principal: Principal, location_id: str, data: dict[str, Any]) -> View:
    """Another arrangement for a span: `staff_id` comes on duty, `instead_of` goes off, `from` `to` in wall time, with a `reason`.

    A `staff_id` alone comes beside the shifts, an `instead_of` alone goes without a stand-in, and without either nobody is on duty.
    """
    async with desk.engine.transaction() as tx:
        return override_view(await usecases.put_override(desk, tx, id_of(location_id, "unknown-location"), data, actor=principal.actor))


@delete("/v1/rosters/{location_id:str}/overrides/{override_id:uuid}", guards=GUARDS, status_code=200)
async def delete_override(desk: Desk, principal: Principal, location_id: str, override_id: UUID) -> View:
    """Undo an override; the shifts hold again. Answers what it was."""
    async with desk.engine.transaction() as tx:
        where = id_of(location_id, "unknown-location")
        return override_view(await usecases.drop_override(desk, tx, where, override_id, actor=principal.actor))


def roster_view(location_id: str, shifts: Shifts) -> View:
    """As it may be sent to PUT again."""
    return {"location_id": location_id, "shifts": shifts_view(shifts)}


def shifts_view(shifts: Shifts) -> list[View]:
    return [{"staff_id": s.staff_id, "from": s.starts, "to": s.ends} for s in shifts]


def import_view(location_id: str, taken: Import, *, is_dry_run: bool) -> View:
    return {
        "location_id": location_id, "dry_run": is_dry_run, "from": taken.first, "to": taken.last, "added": shifts_view(taken.added),
        "removed": shifts_view(taken.removed), "unchanged": taken.unchanged, "left_out": taken.left_out,
    }  # fmt: skip


def moment_view(found: Moment, at: datetime) -> View:
    def turn(stretch: Stretch, staff_id: str) -> View:
        return {"staff_id": staff_id, "name": found.people[staff_id].name, "from": _iso(stretch.starts_at), "to": _iso(stretch.ends_at)}

    following = found.next
    return {
        "location_id": found.location.id, "timezone": found.location.timezone, "at": _iso(at), "is_open": found.is_open,
        "on_duty": [turn(stretch, stretch.staff[0]) for stretch in found.on_duty],
        "next": following and {
            "at": _iso(following.starts_at),
            "on_duty": [{"staff_id": who, "name": found.people[who].name} for who in following.staff],
        },
    }  # fmt: skip


def span_view(found: Span, start: datetime, end: datetime) -> View:
    return {
        "location_id": found.location.id, "timezone": found.location.timezone, "from": _iso(start), "to": _iso(end),
        "has_roster": found.has_roster,
        "stretches": [{"from": _iso(s.starts_at), "to": _iso(s.ends_at), "on_duty": s.staff} for s in found.stretches],
        "gaps": [{"from": _iso(opens), "to": _iso(closes)} for opens, closes in found.gaps],
        "double_booked": [
            {"staff_id": two.staff_id, "from": _iso(two.starts_at), "to": _iso(two.ends_at), "also_at": two.other_location_id}
            for two in found.doubled
        ],
    }  # fmt: skip


def override_view(row: Override) -> View:
    return {
        "id": str(row.id), "location_id": row.location_id, "from": row.starts, "to": row.ends, "staff_id": row.staff_id,
        "instead_of": row.instead_of, "reason": row.reason, "made_by": row.made_by,
    }  # fmt: skip


async def _check_sight(desk: Desk, principal: Principal, location_id: str) -> None:
    """Who may not see a store does not learn that it is there."""
    location, _ = await usecases.roster_of(desk, id_of(location_id, "unknown-location"))
    if not principal.may("directory:write") and not principal.sees(location.id, location.region):
        raise Rejected("unknown-location", f"There is no location {location_id}.")


def _moment(given: datetime, name: str) -> datetime:
    if given.tzinfo is None:
        raise Rejected("invalid-input", "A time has its zone.", pointer=f"/query/{name}")
    if given.year not in YEARS:
        raise Rejected("invalid-input", f"A year between {YEARS[0]} and {YEARS[-1]}.", pointer=f"/query/{name}")
    return given.astimezone(UTC)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


ROUTES: Final = [get_roster, put_roster, import_roster, list_overrides, post_override, delete_override]
