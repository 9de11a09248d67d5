"""What a change of the directory does, and what it says.

Called by the use cases with the rows that the change touches. `change` covers a whole file, one PUT and everything between.
Invariant: only what differs is written and said; each event takes the next version of the one sequence, so that a listener that has
heard version n of a topic has heard everything of that topic up to n.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Generic, NamedTuple, TypeVar
from uuid import UUID

from services.directory.domain.document import SHIFTS_MAX, Document, Location, Region, Row, Shift, Staff, rejected
from services.directory.domain.roster import OVERRIDES_MAX, Override
from shared.contracts.directory import AccessChanged, LocationChanged, StaffChanged
from shared.contracts.directory import Override as SaidOverride
from shared.contracts.directory import Shift as SaidShift
from shared.contracts.envelope import Event
from shared.kernel.decision import Decision
from shared.kernel.errors import Rejected

SCOPES: Final = (
    "events:write", "cases:read", "cases:write", "restitutions:read", "restitutions:write",
    "notices:read", "notices:write", "directory:write", "policies:write", "parked:write",
)  # fmt: skip

Shifts = tuple[Shift, ...]
Overrides = tuple[Override, ...]
R = TypeVar("R", bound=Row)


class Put(NamedTuple, Generic[R]):
    """A row to be written, with the version its event carries."""

    version: int
    row: R


@dataclass(frozen=True, slots=True)
class Directory:
    """The part of the directory that a change touches or refers to; `version` is the last one given out."""

    version: int
    regions: Mapping[str, Region] = field(default_factory=dict)
    locations: Mapping[str, Location] = field(default_factory=dict)
    staff: Mapping[str, Staff] = field(default_factory=dict)
    rosters: Mapping[str, Shifts] = field(default_factory=dict)
    overrides: Mapping[str, Overrides] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be written. `rosters` and `overrides` replace all shifts, or all overrides, of each location they name."""

    version: int
    regions: tuple[Region, ...] = ()
    locations: tuple[Put[Location], ...] = ()
    staff: tuple[Put[Staff], ...] = ()
    rosters: Mapping[str, Shifts] = field(default_factory=dict)
    overrides: Mapping[str, Overrides] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Key:
    """An API key. `hash` is the SHA-256 (hex) of its secret; a revoked key stays as a row."""

    id: str
    name: str
    hash: str
    scopes: tuple[str, ...] = ()
    staff_id: str | None = None
    revoked: bool = False
    version: int = 0


class _Fault(NamedTuple):
    code: str
    pointer: str
    detail: str


def change(state: Directory, wanted: Document, cleared: Iterable[str] = ()) -> Decision[Change]:
    """Write `wanted` over `state`; `cleared` names locations whose roster becomes empty.

    Raises Rejected `unknown-region`, `unknown-location`, `unknown-staff` (or `invalid-data` where faults differ) with a pointer for
    each reference that leads nowhere and each id that stands twice.
    """
    regions = {**state.regions, **{row.id: row for row in wanted.regions}}
    locations = {**state.locations, **{row.id: row for row in wanted.locations}}
    staff = {**state.staff, **{row.id: row for row in wanted.staff}}
    wanted_rosters = _grouped(wanted, cleared)
    _refuse([*_doubles(wanted), *_strays(wanted, regions, locations, staff), *_floods(wanted_rosters)])
    rosters = {name: shifts for name, shifts in wanted_rosters.items() if shifts != state.rosters.get(name, ())}
    renamed = {row.id for row in wanted.regions if state.regions.get(row.id) != row}
    said_locations = sorted(
        name
        for name, row in locations.items()
        if state.locations.get(name) != row or name in rosters or (row.region in renamed and row.region in state.regions)
    )
    said_staff = sorted(name for name, row in staff.items() if state.staff.get(name) != row)
    versions = iter(range(state.version + 1, state.version + 1 + len(said_locations) + len(said_staff)))
    put_locations = tuple(Put(next(versions), locations[name]) for name in said_locations)
    put_staff = tuple(Put(next(versions), staff[name]) for name in said_staff)
    duties = {**state.rosters, **rosters}
    events: list[Event] = [
        say_location(p, regions[p.row.region], duties.get(p.row.id, ()), state.overrides.get(p.row.id, ())) for p in put_locations
    ]
    events += [say_staff(p) for p in put_staff]
    last = state.version + len(events)
    return Decision(
        Change(last, tuple(regions[name] for name in sorted(renamed)), put_locations, put_staff, rosters),
        tuple(events),
    )


def add_override(state: Directory, wanted: Override) -> Decision[Change]:
    """Lay an override on top of those of its location. Raises Rejected `unknown-staff` with a pointer, `too-many-overrides`."""
    faults = [
        _Fault("unknown-staff", f"/{name}", f"there is nobody {who} who works here")
        for name, who in (("staff_id", wanted.staff_id), ("instead_of", wanted.instead_of))
        if who is not None and (who not in state.staff or (name == "staff_id" and not state.staff[who].active))
    ]
    _refuse(faults)
    there = state.overrides.get(wanted.location_id, ())
    if len(there) >= OVERRIDES_MAX:
        raise Rejected("too-many-overrides", f"A location has at most {OVERRIDES_MAX} overrides; remove those that are over.")
    return _override(state, wanted.location_id, (*there, wanted))


def drop_override(state: Directory, location_id: str, override_id: UUID) -> Decision[Change]:
    """Undo an override: the shifts, and the other overrides, hold again. Raises Rejected `unknown-override`."""
    there = state.overrides.get(location_id, ())
    kept = tuple(row for row in there if row.id != override_id)
    if len(kept) == len(there):
        raise Rejected("unknown-override", "There is no such override.")
    return _override(state, location_id, kept)


def _override(state: Directory, location_id: str, overrides: Overrides) -> Decision[Change]:
    put = Put(state.version + 1, state.locations[location_id])
    event = say_location(put, state.regions[put.row.region], state.rosters.get(location_id, ()), overrides)
    return Decision(Change(put.version, locations=(put,), overrides={location_id: overrides}), (event,))


def issue_key(last_version: int, key: Key, known_staff: Iterable[str]) -> Decision[Key]:
    """A new key with scopes of its own, a person it acts as, or both. Raises Rejected `invalid-data` or `unknown-staff`."""
    faults = [
        _Fault("invalid-data", f"/scopes/{n}", f"is no scope; the scopes are {', '.join(SCOPES)}")
        for n, scope in enumerate(key.scopes)
        if scope not in SCOPES
    ]
    if not key.name.strip():
        faults.append(_Fault("invalid-data", "/name", "is required"))
    if not key.scopes and key.staff_id is None:
        faults.append(_Fault("invalid-data", "/scopes", "a key needs a scope, or the member of staff it acts as"))
    if key.staff_id is not None and key.staff_id not in set(known_staff):
        faults.append(_Fault("unknown-staff", "/staff_id", "nobody of that id works here"))
    _refuse(faults)
    issued = replace(key, name=key.name.strip(), scopes=tuple(sorted(set(key.scopes))), version=last_version + 1)
    return Decision(issued, (say_key(issued),))


def revoke_key(last_version: int, key: Key | None) -> Decision[Key]:
    """The key opens nothing from now on; revoking it again changes nothing. Raises Rejected `unknown-key`."""
    if key is None:
        raise Rejected("unknown-key", "There is no such key.")
    if key.revoked:
        return Decision(key)
    revoked = replace(key, revoked=True, version=last_version + 1)
    return Decision(revoked, (say_key(revoked),))


def say_location(put: Put[Location], region: Region, shifts: Shifts, overrides: Overrides) -> LocationChanged:
    """The location whole, as everybody's copy keeps it. Why somebody stands in for somebody is nobody else's business."""
    row = put.row
    return LocationChanged(
        version=put.version, location_id=row.id, name=row.name, region=row.region, region_name=region.name, timezone=row.timezone,
        phone=row.phone, coordinates=row.coordinates, country=row.country, subdivision=row.subdivision, weekly=row.weekly,
        observe_holidays=row.observe_holidays, closures=row.closures, overrides=row.overrides,
        roster=tuple(SaidShift(staff_id=shift.staff_id, starts=shift.starts, ends=shift.ends) for shift in shifts),
        roster_overrides=tuple(
            SaidOverride(staff_id=o.staff_id, instead_of=o.instead_of, starts=o.starts, ends=o.ends) for o in overrides
        ),
    )  # fmt: skip


def say_staff(put: Put[Staff]) -> StaffChanged:
    """The member of staff whole."""
    row = put.row
    return StaffChanged(
        version=put.version, staff_id=row.id, name=row.name, role=row.role, locations=row.locations, regions=row.regions,
        phone=row.phone, email=row.email, active=row.active,
    )  # fmt: skip


def say_key(key: Key) -> AccessChanged:
    """The key without its secret, which nobody keeps."""
    return AccessChanged(
        version=key.version, key_id=key.id, name=key.name, hash=key.hash, scopes=key.scopes, staff_id=key.staff_id, revoked=key.revoked
    )


def _grouped(wanted: Document, cleared: Iterable[str]) -> dict[str, Shifts]:
    """Shifts by location, in order, each once."""
    found: dict[str, set[Shift]] = {name: set() for name in cleared}
    for shift in wanted.rosters:
        found.setdefault(shift.location_id, set()).add(shift)
    return {name: tuple(sorted(shifts, key=lambda s: (s.starts, s.ends, s.staff_id))) for name, shifts in found.items()}


def _doubles(wanted: Document) -> Iterator[_Fault]:
    ids = {"regions": [r.id for r in wanted.regions], "locations": [r.id for r in wanted.locations], "staff": [r.id for r in wanted.staff]}
    for part, names in ids.items():
        first = {name: n for n, name in reversed(list(enumerate(names)))}
        for n, name in enumerate(names):
            if first[name] != n:
                yield _Fault("invalid-data", f"/{part}/{n}/id", f"{name} stands twice")


def _strays(
    wanted: Document, regions: Mapping[str, Region], locations: Mapping[str, Location], staff: Mapping[str, Staff]
) -> Iterator[_Fault]:
    """References that lead nowhere."""
    for n, row in enumerate(wanted.locations):
        if row.region not in regions:
            yield _Fault("unknown-region", f"/locations/{n}/region", f"there is no region {row.region}")
    for n, person in enumerate(wanted.staff):
        for m, name in enumerate(person.locations):
            if name not in locations:
                yield _Fault("unknown-location", f"/staff/{n}/locations/{m}", f"there is no location {name}")
        for m, name in enumerate(person.regions):
            if name not in regions:
                yield _Fault("unknown-region", f"/staff/{n}/regions/{m}", f"there is no region {name}")
    for n, shift in enumerate(wanted.rosters):
        if shift.location_id not in locations:
            yield _Fault("unknown-location", f"/rosters/{n}/location_id", f"there is no location {shift.location_id}")
        if shift.staff_id not in staff:
            yield _Fault("unknown-staff", f"/rosters/{n}/staff_id", f"there is nobody {shift.staff_id}")


def _floods(rosters: Mapping[str, Shifts]) -> Iterator[_Fault]:
    for name, shifts in rosters.items():
        if len(shifts) > SHIFTS_MAX:
            yield _Fault(
                "invalid-data", "/rosters", f"{name} has {len(shifts)} shifts; {SHIFTS_MAX} are the most, keep the next weeks only"
            )


def _refuse(faults: list[_Fault]) -> None:
    if faults:
        codes = {fault.code for fault in faults}
        code = codes.pop() if len(codes) == 1 else "invalid-data"
        raise rejected([{"pointer": fault.pointer, "detail": fault.detail} for fault in faults], code)
