"""The directory as a file, a request body and a row: one format for all three, with its rules.

Called by the use cases with what a person wrote: `read` for a file, `read_part` and `read_roster` for a body.
Invariant: a row that exists is right in itself (zone, hours, dates, phone); every fault is reported with its JSON pointer, all at once.
Hours are wall time of the store; a location without a zone is a configuration error, one without `weekly` never closes.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Annotated, Any, Final, TypeVar

import phonenumbers
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from shared.calendars import SHIFT_DAYS_MAX, BadCalendar, Calendar
from shared.contracts.directory import Role
from shared.kernel.errors import Rejected

SHIFTS_MAX: Final = 5_000  # of one location: its event stays below 512 KB
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ALWAYS: Final[dict[str, tuple[tuple[str, str], ...]]] = dict.fromkeys(DAYS, (("00:00", "24:00"),))
# An offset in disguise moves opening hours by an hour twice a year.
_OFFSET_ZONE: Final = re.compile(r"Etc/(GMT|UTC)[+-]?\d+|[A-Z]{3}(\d[A-Z]{3})?|Factory|localtime|posixrules")


def _hours(value: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """In order and without overlaps; that each interval ends after it begins is the calendar's to say."""
    ordered = tuple(sorted(value))
    for before, after in pairwise(ordered):
        if after[0] < before[1]:
            raise ValueError(f"{after[0]} to {after[1]} overlaps {before[0]} to {before[1]}")
    return ordered


def _clock(value: str) -> str:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d|24:00", value):
        raise ValueError("must be a time of day between 00:00 and 24:00, such as 09:00")
    return value


def _day(value: str) -> str:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        raise ValueError("must be a date such as 2026-12-24")
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise ValueError("is no day of the calendar") from None


def _wall(value: str) -> str:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:00)?", value):
        raise ValueError("must be wall time of the store, such as 2026-11-23T09:00")
    try:
        return datetime.fromisoformat(value).strftime("%Y-%m-%dT%H:%M")
    except ValueError:
        raise ValueError("is no moment of the calendar") from None


def _phone(value: str) -> str:
    try:
        number = phonenumbers.parse(value)
    except phonenumbers.NumberParseException:
        raise ValueError("must be a phone number with its country, such as +12125550112") from None
    if not phonenumbers.is_valid_number(number) or number.extension:
        raise ValueError("is no valid phone number; write it as +12125550112")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _latitude(value: Any) -> str:
    return _degrees(value, 90)


def _longitude(value: Any) -> str:
    return _degrees(value, 180)


def _degrees(value: Any, most: int) -> str:
    if isinstance(value, bool):
        raise ValueError("must be a number of degrees")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise ValueError("must be a number of degrees") from None
    if not number.is_finite() or abs(number) > most:
        raise ValueError(f"must lie between -{most} and {most} degrees")
    return format(number.normalize(), "f")


def _zone(value: str) -> str:
    if value != "UTC" and _OFFSET_ZONE.fullmatch(value):
        raise ValueError("must be an IANA zone of a place, such as America/New_York, not an offset")
    return value


ID: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
Id = Annotated[str, StringConstraints(pattern=ID)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]*$")]
Day = Annotated[str, AfterValidator(_day)]
Wall = Annotated[str, AfterValidator(_wall)]
Phone = Annotated[str, StringConstraints(max_length=40), AfterValidator(_phone)]
Latitude = Annotated[str, BeforeValidator(_latitude)]
Longitude = Annotated[str, BeforeValidator(_longitude)]
Clock = Annotated[str, AfterValidator(_clock)]
Hours = Annotated[tuple[tuple[Clock, Clock], ...], Field(max_length=24), AfterValidator(_hours)]
Email = Annotated[str, StringConstraints(max_length=254, pattern=r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+\.[^@\s\x00-\x1f\x7f]+$")]


class Row(BaseModel):
    """Unknown fields are refused: a misspelt `timezone` would otherwise be found on the day it was needed."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Region(Row):
    id: Id
    name: Name


class Location(Row):
    """A shop or practice. `coordinates` are latitude and longitude in degrees, as decimal text."""

    id: Id
    name: Name
    region: Id
    timezone: Annotated[str, StringConstraints(max_length=64), AfterValidator(_zone)]
    phone: Phone | None = None
    coordinates: tuple[Latitude, Longitude] | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] = "US"
    subdivision: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,3}$")] | None = None
    weekly: dict[str, Hours] = _ALWAYS
    observe_holidays: bool = False
    closures: Annotated[tuple[Day, ...], Field(max_length=1000), AfterValidator(lambda days: tuple(sorted(set(days))))] = ()
    overrides: Annotated[dict[Day, Hours], Field(max_length=1000), AfterValidator(lambda days: dict(sorted(days.items())))] = {}

    @model_validator(mode="after")
    def check_hours(self) -> "Location":
        """The calendar itself is the judge of zone, times of day and holidays; what it refuses is refused here."""
        Calendar.of(self.model_dump())
        if not any(self.weekly.values()):
            raise BadCalendar("a location needs opening hours; leave weekly out where it never closes", "/weekly")
        return self


class Staff(Row):
    """A member of staff: at `locations` (associates and managers) or over `regions`. One who left stays as a row, inactive."""

    id: Id
    name: Name
    role: Role
    locations: Annotated[tuple[Id, ...], Field(max_length=1000)] = ()
    regions: Annotated[tuple[Id, ...], Field(max_length=100)] = ()
    phone: Phone | None = None
    email: Email | None = None
    active: bool = True


class Shift(Row):
    """Somebody is on duty at a location, `from` to `to` in wall time of the store, half-open; shifts may overlap."""

    location_id: Id
    staff_id: Id
    starts: Annotated[Wall, Field(alias="from")]
    ends: Annotated[Wall, Field(alias="to")]

    @model_validator(mode="after")
    def check_order(self) -> "Shift":
        check_span(self.starts, self.ends)
        return self


class Document(Row):
    """All of a directory, or a part of it: what is not named stays as it is; a roster replaces that location's roster whole."""

    regions: Annotated[tuple[Region, ...], Field(max_length=1_000)] = ()
    locations: Annotated[tuple[Location, ...], Field(max_length=20_000)] = ()
    staff: Annotated[tuple[Staff, ...], Field(max_length=100_000)] = ()
    rosters: Annotated[tuple[Shift, ...], Field(max_length=1_000_000)] = ()


R = TypeVar("R", bound=Row)


def check_span(starts: str, ends: str) -> None:
    """A span of a roster, in wall time, ends after it begins and is no longer than a year; BadCalendar otherwise."""
    if starts >= ends:
        raise BadCalendar("a shift ends after it begins", "/to")
    if date.fromisoformat(ends[:10]) - date.fromisoformat(starts[:10]) > timedelta(days=SHIFT_DAYS_MAX):
        raise BadCalendar(f"a shift is at most {SHIFT_DAYS_MAX} days long", "/to")


def read(value: Any) -> Document:
    """A whole directory file. Raises Rejected `invalid-data` with `errors`, one pointer each."""
    return checked(Document, value)


def read_part(part: str, row_id: str, body: Any) -> Document:
    """A document of one row whose id stands in the address. Raises Rejected `invalid-data` with pointers into the body."""
    row = _named(body, "id", row_id)
    row.pop("version", None)  # an answer of ours may be edited and sent back
    return _within(f"/{part}/0", "", {part: [row]})


def read_roster(location_id: str, body: Any) -> Document:
    """A document of one location's shifts: `{"shifts": [...]}` or the list alone. Raises like `read_part`."""
    shifts = body
    if isinstance(body, Mapping):
        _named(body, "location_id", location_id)
        strange = set(body) - {"location_id", "shifts"}
        if strange or "shifts" not in body:
            name = min(strange, default="shifts")
            raise rejected([{"pointer": f"/{name}", "detail": "is no field of a roster" if strange else "is required"}])
        shifts = body["shifts"]
    if not isinstance(shifts, list):
        raise rejected([{"pointer": "/shifts", "detail": "must be a list"}])
    rows = [_named(shift, "location_id", location_id, f"/shifts/{n}") for n, shift in enumerate(shifts)]
    return _within("/rosters", "/shifts", {"rosters": rows})


def moved(fault: Rejected, within: str, becomes: str) -> Rejected:
    """The same refusal with pointers as in the body that was sent, not in the document it was wrapped in."""
    errors = [{**e, "pointer": becomes + e["pointer"].removeprefix(within)} for e in fault.facts.get("errors", [])]
    return rejected(errors, fault.code) if errors else fault


def _within(within: str, becomes: str, document: Any) -> Document:
    try:
        return read(document)
    except Rejected as fault:
        raise moved(fault, within, becomes) from fault


def _named(body: Any, name: str, given: str, pointer: str = "") -> dict[str, Any]:
    """The body with what the address says of it, which it may repeat but not contradict."""
    if not isinstance(body, Mapping):
        raise rejected([{"pointer": pointer, "detail": "must be a JSON object"}])
    if body.get(name, given) != given:
        raise rejected([{"pointer": f"{pointer}/{name}", "detail": "differs from the address"}])
    return {**body, name: given}


def rejected(errors: Sequence[Mapping[str, str]], code: str = "invalid-data") -> Rejected:
    """All faults as one refusal; its sentence is the first one."""
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return Rejected(code, f"{first['pointer'] or '/'}: {first['detail']}{more}", pointer=first["pointer"], errors=list(errors[:100]))


def checked(kind: type[R], value: Any) -> R:
    """The value as a row of that kind. Raises Rejected `invalid-data` with `errors`, one pointer each."""
    try:
        return kind.model_validate(value)
    except ValidationError as invalid:
        raise rejected([_fault(dict(error)) for error in invalid.errors()]) from invalid


def _fault(error: Mapping[str, Any]) -> dict[str, str]:
    """A pydantic fault as pointer and sentence; a calendar's own pointer goes on where pydantic's ends."""
    parts = [str(part) for part in error["loc"] if part != "[key]"]
    pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, BadCalendar):
        return {"pointer": pointer + cause.pointer, "detail": cause.detail}
    detail = str(error["msg"]).removeprefix("Value error, ")
    return {"pointer": pointer, "detail": _PLAIN_WORDS.get(error["type"], detail)}


_PLAIN_WORDS: Final = {
    "missing": "is required",
    "extra_forbidden": "is no field of a directory",
    "string_type": "must be text; put it in quotes",
}
