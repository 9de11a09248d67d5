"""A roster as a file that somebody else's tool wrote: CSV or iCalendar, read into rows, and laid over what is there.

Called by the use case of the import. Invariant: nothing of a file is taken unless all of it can be; every fault has its line. What a file
does not cover stays: it speaks for the days from its first shift to its last. Read twice, a file changes nothing the second time.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from pydantic import ValidationError

from services.directory.domain.document import SHIFTS_MAX, Shift, Staff, rejected
from services.directory.domain.ical import read_events
from shared.kernel.errors import Rejected

Kind = Literal["csv", "calendar"]
Shifts = tuple[Shift, ...]
WHO: Final = ("staff_id", "email")
DELIMITERS: Final = (",", ";", "\t")


class Line(NamedTuple):
    """One shift as a file has it: who is meant, as it was written, in wall time of the store."""

    number: int
    who: str
    starts: str
    ends: str


class Fault(NamedTuple):
    """What is wrong with a line."""

    number: int
    detail: str


class Sheet(NamedTuple):
    """A file that was read. `left_out` counts events that by their own word are no shifts: cancelled, or declined by everybody."""

    lines: tuple[Line, ...]
    faults: tuple[Fault, ...]
    left_out: int = 0


class Import(NamedTuple):
    """What a file does to a roster: for the days `first` to `last`, as `roster` says afterwards."""

    first: str
    last: str
    added: Shifts
    removed: Shifts
    unchanged: int
    left_out: int
    roster: Shifts


def read_sheet(kind: Kind, raw: bytes, timezone: str, now: datetime) -> Sheet:
    """The lines of a file for a store of that zone; `now` bounds what recurs for ever. Raises Rejected `malformed-csv`, `-calendar`."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Rejected(f"malformed-{kind}", f"The file is not UTF-8 at byte {error.start}.") from None
    if kind == "csv":
        return _read_csv(text)
    lines, faults, left_out = read_events(text, timezone, now, SHIFTS_MAX)
    return Sheet(tuple(Line(*line) for line in lines), tuple(Fault(*fault) for fault in faults), left_out)


def named_in(sheet: Sheet) -> set[str]:
    """How people are named in it, in small letters: by id, e-mail or name. Nobody's has a NUL, which Postgres could not even compare."""
    return {line.who.lower() for line in sheet.lines if "\x00" not in line.who}


def plan_import(location_id: str, sheet: Sheet, people: Iterable[Staff], there: Shifts) -> Import:
    """Lay the lines over the shifts that are there; `people` are all that the file may mean.

    Raises Rejected `invalid-data` with each faulty line, `too-many-shifts`.
    """
    known = _by_name(people, location_id)
    faults, shifts = list(sheet.faults), set[Shift]()
    for line in sheet.lines:
        try:
            shifts.add(_shift(location_id, line, known))
        except ValueError as fault:
            faults.append(Fault(line.number, str(fault)))
    if faults:
        raise _refused(faults)
    if not shifts:
        raise rejected([{"pointer": "", "detail": "there is no shift in the file"}])
    first, last = min(s.starts for s in shifts)[:10], max(s.starts for s in shifts)[:10]
    covered = {shift for shift in there if first <= shift.starts[:10] <= last}
    roster = (set(there) - covered) | shifts
    if len(roster) > SHIFTS_MAX:
        raise Rejected("too-many-shifts", f"The location would have {len(roster)} shifts; {SHIFTS_MAX} are the most.")
    added, removed = _sorted(shifts - covered), _sorted(covered - shifts)
    return Import(first, last, added, removed, len(shifts & covered), sheet.left_out, _sorted(roster))


def _read_csv(text: str) -> Sheet:
    """Columns by their header, in any order; others are not looked at."""
    head = text.split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=head.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines: list[Line] = []
    faults: list[Fault] = []
    try:
        names = [name.strip().lower() for name in next(rows, [])]
        who = next((name for name in WHO if name in names), None)
        if who is None or not {"from", "to"} <= set(names):
            raise Rejected("malformed-csv", "The first line names the columns: staff_id (or email), from, to.")
        columns = [names.index(name) for name in (who, "from", "to")]
        number = rows.line_num + 1
        for row in rows:
            values = [row[column].strip() if column < len(row) else "" for column in columns]
            if any(values):
                if len(lines) + len(faults) == SHIFTS_MAX:
                    raise Rejected("too-many-shifts", f"A file has at most {SHIFTS_MAX} shifts.")
                if all(values):
                    lines.append(Line(number, *values))
                else:
                    faults.append(Fault(number, f"{(who, 'from', 'to')[values.index('')]} is required"))
            number = rows.line_num + 1
    except csv.Error as error:
        raise Rejected("malformed-csv", f"Line {rows.line_num}: {error}.") from error
    return Sheet(tuple(lines), tuple(faults))


def _by_name(people: Iterable[Staff], location_id: str) -> Mapping[str, Sequence[Staff]]:
    """Who is meant by a word, in small letters: who has that id or e-mail before who is called that, who works there before others."""
    found: dict[str, list[tuple[tuple[bool, bool], Staff]]] = {}
    for person in people:
        for word, is_called in ((person.id, False), (person.email, False), (person.name, True)):
            if word is not None:
                found.setdefault(word.lower(), []).append(((is_called, location_id not in person.locations), person))
    return {word: [p for rank, p in some if rank == min(rank for rank, _ in some)] for word, some in found.items()}


def _shift(location_id: str, line: Line, known: Mapping[str, Sequence[Staff]]) -> Shift:
    meant = {person.id: person for person in known.get(line.who.lower(), ())}
    if len(meant) != 1:
        raise ValueError("several people are called that; write the id" if meant else "there is nobody of that id, e-mail or name")
    (person,) = meant.values()
    if not person.active:
        raise ValueError(f"{person.id} works here no longer")
    try:
        return Shift.model_validate({"location_id": location_id, "staff_id": person.id, "from": line.starts, "to": line.ends})
    except ValidationError as invalid:
        error: Any = invalid.errors()[0]
        where = f"{error['loc'][0]} " if error["loc"] else ""
        raise ValueError(where + str(error["msg"]).removeprefix("Value error, ")) from invalid


def _refused(faults: Sequence[Fault]) -> Rejected:
    ordered = sorted(faults)
    more = f" (and {len(ordered) - 1} more)" if len(ordered) > 1 else ""
    errors = [{"pointer": f"/lines/{fault.number}", "line": fault.number, "detail": fault.detail} for fault in ordered[:100]]
    first = ordered[0]
    detail = f"Line {first.number}: {first.detail}{more}. Nothing of the file was taken."
    return Rejected("invalid-data", detail, pointer=f"/lines/{first.number}", errors=errors)


def _sorted(shifts: Iterable[Shift]) -> Shifts:
    return tuple(sorted(shifts, key=lambda s: (s.starts, s.ends, s.staff_id)))
