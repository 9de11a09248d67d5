"""Reading foreign input: is it a CloudEvent 1.0, of a type we know, with data that holds?

Called by both doors (HTTP and Kafka) through the use cases. The check is ours alone: the `cloudevents` package accepts ten of eighteen
forbidden events (empty ids, nested extension values, times without an offset), so it would have to be done again behind it.
Invariant: whatever comes in, an `Arrival` comes out: either its event or the problem why there is none.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec
import phonenumbers
from msgspec import Struct
from msgspec.structs import replace
from pydantic import TypeAdapter, ValidationError

from shared.contracts.ingress import TYPES, OrderPlaced, OrderPromised, PosData, PosEvent

# How far ahead of business time an event may lie (contract).
AHEAD: Final = timedelta(minutes=5)
# Characters of `id` and of `source`: together with UTF-8's four bytes they stay below what a Postgres index row holds.
LONGEST_NAME: Final = 256
# Years a calendar can reckon with; what lies outside is a typing error.
YEARS: Final = range(1900, 2300)
DEFAULT_REGION: Final = "US"

_NAME = re.compile(r"[a-z0-9]+")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]")
_URI_REFERENCE = re.compile(r"""[^\s<>"{}|\\^`]+""")
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(\s*;.*)?")
_JSON_TYPE = re.compile(r"[\w!#$&^.+-]+/([\w!#$&^.-]+\+)?json(\s*;.*)?", re.IGNORECASE)
_REQUIRED = ("id", "source", "type")
_NO_TIME = datetime.min.replace(tzinfo=UTC)
_READERS: Final[dict[str, TypeAdapter[PosData]]] = {name: TypeAdapter(cls) for name, cls in TYPES.items()}
_ENCODER = msgspec.json.Encoder(decimal_format="number")


class Problem(Struct, frozen=True, gc=False):
    """Why an event was refused. `code` is part of the contract; `errors` are (RFC 6901 pointer into the event, detail)."""

    code: str
    detail: str
    errors: tuple[tuple[str, str], ...] = ()


class Arrival(Struct, frozen=True, gc=False):
    """One element of a request. `source` and `id` are as sent, None where not readable; exactly one of `event` and `problem` is set.

    `raw` is the event as JSON bytes, kept under seal; `has_time` is False where the sender named none (then it is the time of storing);
    `phone` is the patient's number in E.164; `traceparent` the trace of the request or record it came in.
    """

    source: str | None
    id: str | None
    event: PosEvent | None = None
    problem: Problem | None = None
    raw: bytes = b""
    has_time: bool = True
    phone: str | None = None
    traceparent: str | None = None

    def refused(self, problem: Problem) -> "Arrival":
        """The same element with a problem in the event's place."""
        return Arrival(self.source, self.id, problem=problem)


class _Bad(Exception):
    def __init__(self, problem: Problem) -> None:
        self.problem = problem


def read_structured(value: object) -> Arrival:
    """An event of the JSON format, as Python values from a strict JSON reader. Never raises."""
    if not isinstance(value, dict):
        return Arrival(None, None, problem=Problem("invalid-event", "A CloudEvent is a JSON object.", (("", "not an object"),)))
    try:
        attributes = {name: item for name, item in value.items() if name not in ("data", "data_base64") and item is not None}
        _check_attributes(attributes)
        return _arrival(attributes, _data_of(value))
    except _Bad as bad:
        return Arrival(_shown(value.get("source")), _shown(value.get("id")), problem=bad.problem)


def read_binary(attributes: Mapping[str, str], data: object) -> Arrival:
    """An event of binary mode: `attributes` by their CloudEvents names (percent-decoded), `data` as Python values. Never raises."""
    try:
        _check_attributes(attributes)
        return _arrival(attributes, data)
    except _Bad as bad:
        return Arrival(_shown(attributes.get("source")), _shown(attributes.get("id")), problem=bad.problem)


def judge(arrival: Arrival, now: datetime, known_locations: Mapping[str, object]) -> Arrival:
    """The arrival, refused where its time lies ahead of `now` (business time) or its location is not known."""
    event = arrival.event
    if event is None:
        return arrival
    if not arrival.has_time:
        event = replace(event, time=now)
        arrival = replace(arrival, event=event, has_time=True)
    if event.time > now + AHEAD:
        detail = f"The time lies more than {AHEAD.seconds // 60} minutes ahead of {now:%Y-%m-%dT%H:%M:%SZ}."
        return arrival.refused(Problem("future-time", detail, (("/time", detail),)))
    if event.data.location_id not in known_locations:
        detail = "The directory knows no such location."
        return arrival.refused(Problem("unknown-location", detail, (("/data/location_id", detail),)))
    return arrival


def _check_attributes(attributes: Mapping[str, object]) -> None:
    errors: list[tuple[str, str]] = []
    if attributes.get("specversion") != "1.0":
        errors.append(("/specversion", 'must be "1.0"'))
    errors += [(f"/{name}", "is required") for name in _REQUIRED if name not in attributes]
    for name, value in attributes.items():
        complaint = _complaint(name, value)
        if complaint:
            errors.append(("/" + name.replace("~", "~0").replace("/", "~1")[:64], complaint))
    if errors:
        raise _Bad(
            Problem("invalid-event", "This is no CloudEvent 1.0: " + "; ".join(f"{p[1:]} {d}" for p, d in errors[:3]) + ".", tuple(errors))
        )


def _complaint(name: str, value: object) -> str | None:
    """What is wrong with one attribute, None where nothing is."""
    if not _NAME.fullmatch(name):
        return "is no attribute name: lower-case letters and digits only"
    if not isinstance(value, str):
        if name in _REQUIRED or name in ("time", "subject", "datacontenttype", "dataschema"):
            return "must be a string"
        if isinstance(value, bool) or (isinstance(value, int) and -(2**31) <= value < 2**31):
            return None
        return "must be a string, a boolean or a 32-bit integer"
    if _CONTROL.search(value):
        return "has a character that is not allowed"
    if name in (*_REQUIRED, "subject", "dataschema") and not value:
        return "must not be empty"
    if name in ("id", "source") and len(value) > LONGEST_NAME:
        return f"has more than {LONGEST_NAME} characters"
    if name in ("source", "dataschema") and not _URI_REFERENCE.fullmatch(value):
        return "must be a URI reference"
    if name == "time" and _time_of(value) is None:
        return "must be an RFC 3339 time with an offset"
    if name == "datacontenttype" and not _MEDIA_TYPE.fullmatch(value):
        return "must be a media type"
    return None


def _time_of(text: str) -> datetime | None:
    if not _TIME.fullmatch(text):
        return None
    try:
        at = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return at if at.year in YEARS else None


def _data_of(value: Mapping[str, Any]) -> object:
    """`data`, or what `data_base64` holds where that is JSON text."""
    packed = value.get("data_base64")
    if packed is None:
        return value.get("data")
    if "data" in value and value["data"] is not None:
        raise _Bad(_invalid_event("/data_base64", "stands beside data"))
    if not isinstance(packed, str):
        raise _Bad(_invalid_event("/data_base64", "must be a string"))
    try:
        return read_json(base64.b64decode(packed, validate=True))
    except (binascii.Error, ValueError):
        raise _Bad(_invalid_event("/data_base64", "is no base64 of a JSON text")) from None


def _invalid_event(pointer: str, detail: str) -> Problem:
    return Problem("invalid-event", f"This is no CloudEvent 1.0: {pointer[1:]} {detail}.", ((pointer, detail),))


def read_json(raw: bytes) -> object:
    """A JSON text that came inside something else (base64, a Kafka record). Raises ValueError for what could not be stored again."""
    if b"\\u0000" in raw or b"\x00" in raw:
        raise ValueError("U+0000 in a string")
    try:
        value: object = msgspec.json.decode(raw)
        # msgspec lets lone surrogates through; they cannot be written back.
        _ENCODER.encode(value).decode("utf-8")
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return value


def _arrival(attributes: Mapping[str, object], data: object) -> Arrival:
    source, event_id, event_type = (str(attributes[name]) for name in ("source", "id", "type"))
    reader = _READERS.get(event_type)
    if reader is None:
        detail = "This type of event is not known here."
        raise _Bad(Problem("unknown-type", detail, (("/type", detail),)))
    content_type = attributes.get("datacontenttype")
    if content_type is not None and not _JSON_TYPE.fullmatch(str(content_type)):
        raise _Bad(Problem("invalid-data", "The data of an event is JSON.", (("/datacontenttype", "must be a JSON media type"),)))
    if not isinstance(data, dict):
        raise _Bad(Problem("invalid-data", "The data of an event is a JSON object.", (("/data", "must be an object"),)))
    encoded = _ENCODER.encode(data)
    try:
        # Strict JSON: a number in quotes is no number, true is no 1.
        read = reader.validate_json(encoded, strict=True)
    except ValidationError as invalid:
        raise _Bad(_invalid_data(invalid)) from None
    said_at = attributes.get("time")
    at = _time_of(said_at) if isinstance(said_at, str) else None
    _check_years(read)
    event = PosEvent(event_id, source, event_type, at or _NO_TIME, read)
    raw = _ENCODER.encode({**attributes, "data": msgspec.Raw(encoded)})
    return Arrival(source, event_id, event, raw=raw, has_time=at is not None, phone=_phone_of(read))


def _invalid_data(invalid: ValidationError) -> Problem:
    """pydantic's complaints as pointers; its messages do not quote the input."""
    errors = tuple(
        ("/data" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in error["loc"]), error["msg"])
        for error in invalid.errors(include_input=False, include_url=False)
    )
    return Problem("invalid-data", f"The data does not hold at {', '.join(pointer for pointer, _ in errors[:3])}.", errors)


def _check_years(data: PosData) -> None:
    promised = data.promised_at if isinstance(data, OrderPlaced | OrderPromised) else None
    if promised is not None and promised.year not in YEARS:
        raise _Bad(Problem("invalid-data", "The promised date cannot be meant.", (("/data/promised_at", "lies too far away"),)))
    for index, consent in enumerate((data.patient.consents or ()) if data.patient else ()):
        if consent.at.year not in YEARS:
            raise _Bad(Problem("invalid-data", "A date cannot be meant.", ((f"/data/patient/consents/{index}/at", "lies too far away"),)))


def _phone_of(data: PosData) -> str | None:
    if data.patient is None or not data.patient.phone:
        return None
    number = e164(data.patient.phone)
    if number is None:
        raise _Bad(
            Problem("invalid-data", "The patient's phone number cannot be dialled.", (("/data/patient/phone", "is no phone number"),))
        )
    return number


@lru_cache(maxsize=8192)
def e164(text: str) -> str | None:
    """A phone number as typed in E.164, None where no such number can be dialled (libphonenumber's "possible", as numbering plans move
    faster than its tables)."""
    try:
        number = phonenumbers.parse(text, DEFAULT_REGION)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _shown(value: object) -> str | None:
    """An id or source for the result line: what was sent, if it is a string of sane length."""
    return value[:LONGEST_NAME] if isinstance(value, str) else None
