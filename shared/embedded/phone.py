"""A phone to see texts on and answer them, behind an SMS provider that speaks Twilio's Messages API.

Mounted by the embedded stack: the real SMS adapter talks to it over HTTP, and it calls our webhooks back with real signatures. What
must stay true: a text it accepted is never lost (a line in a file of the data folder), and nothing of it runs outside embedded mode.
"""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx
import phonenumbers
from litestar import Request, Response, Router, get, post
from litestar.response import Stream
from pydantic import BaseModel, ConfigDict, Field

from shared.kernel.clock import Clock, machine_now
from shared.kernel.errors import Rejected
from shared.kernel.ids import new_id
from shared.telemetry import logs
from shared.web.body import FORMS, BodyMiddleware

INBOUND_PATH = "/v1/webhooks/twilio/inbound"
BODY_MAX = 1600
SHOWN_MAX = 2000
CALLBACK_TRIES = 5
# So many calls to our webhooks at once: httpx looks at every call that waits for each that ends, and hundreds make it crawl.
LINES = 32
_STATIC = Path(__file__).parent / "static" / "phone"
_log = logs.get("phone")

FaultKind = Literal["drop", "error", "busy", "stall", "refuse", "silent", "twice"]


class Answer(BaseModel):
    """A text typed on the phone. Without `to` it goes to the number that texted last."""

    model_config = ConfigDict(extra="forbid")

    sender: Annotated[str, Field(alias="from", max_length=30)]
    to: Annotated[str | None, Field(max_length=30)] = None
    body: Annotated[str, Field(max_length=BODY_MAX)]


class Fault(BaseModel):
    """What goes wrong with the next `times` sends: accepted, then the connection drops (`drop`), 500 after accepting (`error`), 429
    (`busy`), no answer for `seconds` (`stall`), refused with `code` (`refuse`), no delivery reports (`silent`), each report twice and in
    the wrong order (`twice`)."""

    model_config = ConfigDict(extra="forbid")

    kind: FaultKind
    times: Annotated[int, Field(ge=0, le=100_000)] = 1
    seconds: Annotated[int, Field(ge=0, le=600)] = 30
    code: Annotated[int, Field(ge=10_000, le=99_999)] = 21211


@dataclass
class Text:
    """One text on the phone. `at` is business time (what people see), `created_at` the machine's (what the API tells)."""

    sid: str
    sender: str
    to: str
    body: str
    direction: Literal["outbound-api", "inbound"]
    at: datetime
    created_at: datetime
    status: str = "queued"
    callback: str | None = None


@dataclass
class Phone:
    """The provider and the phone; `public_url` is how it reaches us, and what it signs. `busy` counts calls under way."""

    public_url: str
    account_sid: str
    auth_token: str
    number: str
    clock: Clock
    folder: Path | None = None
    texts: list[Text] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    busy: int = 0
    _by_sid: dict[str, Text] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _lines: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LINES))
    _client: httpx.AsyncClient | None = None

    def __post_init__(self) -> None:
        """Read what was there before the restart."""
        if self.folder is None or not self._file.exists():
            return
        for line in self._file.read_text("utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # the last line of a process that was killed while it wrote
            if "body" in row:
                at, created_at = datetime.fromisoformat(row.pop("at")), datetime.fromisoformat(row.pop("created_at"))
                self._add(Text(**row, at=at, created_at=created_at))
            elif row["sid"] in self._by_sid:
                self._by_sid[row["sid"]].status = row["status"]

    def router(self) -> Router:
        """The provider's API and the phone's pages."""
        return Router(
            "/",
            route_handlers=[*_api(self), *_pages(self)],
            middleware=[BodyMiddleware()],
            include_in_schema=False,
        )

    async def close(self) -> None:
        """Stop calling back; what was not delivered stays so."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def accept(self, to: str, sender: str, body: str, callback: str | None) -> Text:
        """Take a text to a phone."""
        text = Text(f"SM{new_id().hex}", sender, to, body, "outbound-api", self.clock.now(), machine_now(), callback=callback)
        self._add(text)
        self._write(_row(text))
        return text

    def next_fault(self) -> Fault | None:
        """The fault that hits this send, used up by one."""
        while self.faults and self.faults[0].times == 0:
            self.faults.pop(0)
        if not self.faults:
            return None
        fault = self.faults[0]
        self.faults[0] = fault.model_copy(update={"times": fault.times - 1})
        return fault

    def report(self, text: Text, statuses: list[str]) -> None:
        """Tell what became of a text, one status after the other, in the background."""
        self._spawn(self._report(text, statuses))

    async def answer(self, sender: str, to: str | None, body: str) -> tuple[Text, int]:
        """A text from a phone to us; with the HTTP status our webhook answered (0: not reached)."""
        last = next((t.sender for t in reversed(self.texts) if t.direction == "outbound-api" and t.to == sender), self.number)
        text = Text(f"SM{new_id().hex}", sender, to or last, body, "inbound", self.clock.now(), machine_now(), "received")
        self._add(text)
        self._write(_row(text))
        form = {
            "MessageSid": text.sid, "SmsSid": text.sid, "AccountSid": self.account_sid, "From": sender, "To": text.to, "Body": body,
            "NumMedia": "0", "NumSegments": "1", "SmsStatus": "received", "ApiVersion": "2010-04-01",
        }  # fmt: skip
        return text, await self._call(self.public_url + INBOUND_PATH, form)

    async def _report(self, text: Text, statuses: list[str]) -> None:
        for status in statuses:
            text.status = status
            self._write({"sid": text.sid, "status": status})
            if text.callback:
                form = {
                    "MessageSid": text.sid, "SmsSid": text.sid, "MessageStatus": status, "SmsStatus": status, "To": text.to,
                    "From": text.sender, "AccountSid": self.account_sid, "ApiVersion": "2010-04-01",
                }  # fmt: skip
                await self._call(text.callback, form)

    async def _call(self, url: str, form: dict[str, str]) -> int:
        """A signed form to our webhook; tried a few times while it is not there."""
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=10, trust_env=False)
        signature = sign(self.auth_token, url, form)
        for attempt in range(CALLBACK_TRIES):
            try:
                async with self._lines:
                    response = await self._client.post(url, data=form, headers={"X-Twilio-Signature": signature})
            except (httpx.HTTPError, httpx.InvalidURL):
                await asyncio.sleep(0.2 * 2**attempt)
                continue
            if response.status_code < 500:
                return response.status_code
            await asyncio.sleep(0.2 * 2**attempt)
        _log.warning("the phone was not heard")
        return 0

    def _spawn(self, run: Coroutine[Any, Any, None]) -> None:
        async def tracked() -> None:
            self.busy += 1
            try:
                await run
            finally:
                self.busy -= 1

        task = asyncio.create_task(tracked())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _add(self, text: Text) -> None:
        self.texts.append(text)
        self._by_sid[text.sid] = text

    @property
    def _file(self) -> Path:
        assert self.folder is not None
        return self.folder / "phone.jsonl"

    def _write(self, row: dict[str, Any]) -> None:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def sign(token: str, url: str, form: dict[str, str]) -> str:
    """Twilio's signature of a form post."""
    signed = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def _api(phone: Phone) -> list[Any]:
    """Twilio's Messages API, as far as anybody here calls it."""

    @post("/2010-04-01/Accounts/{account_sid:str}/Messages.json", opt=FORMS)
    async def phone_create_message(request: Request[Any, Any, Any], account_sid: str) -> Response[Any]:
        if (refusal := _unauthorized(phone, request, account_sid)) is not None:
            return refusal
        form = {name: str(value) for name, value in (await request.form()).items()}
        fault = phone.next_fault()
        kind = fault.kind if fault else None
        if kind == "busy":
            return _error(429, 20429, "Too Many Requests")
        if fault is not None and kind == "refuse":
            return _error(400, fault.code, "Refused as asked for")
        if (refusal := _invalid(form)) is not None:
            return refusal
        text = phone.accept(form["To"], form.get("From", phone.number), form["Body"], form.get("StatusCallback"))
        reports = {"silent": [], "twice": ["delivered", "delivered", "sent", "sent"]}.get(kind or "", ["sent", "delivered"])
        phone.report(text, reports)
        if fault is not None and kind == "stall":
            await asyncio.sleep(fault.seconds)
        if kind == "error":
            return _error(500, 20500, "Internal Server Error")
        if kind == "drop":
            # Fewer bytes than announced: the server closes the connection on its own client.
            return Stream(iter([b"{"]), status_code=201, headers={"content-length": "1000"}, media_type="application/json")
        return Response(_resource(phone, text) | {"status": "queued"}, status_code=201)

    @get("/2010-04-01/Accounts/{account_sid:str}/Messages.json")
    async def phone_list_messages(request: Request[Any, Any, Any], account_sid: str) -> Response[Any]:
        if (refusal := _unauthorized(phone, request, account_sid)) is not None:
            return refusal
        query = request.query_params
        to, sender, since = _number(query.get("To")), _number(query.get("From")), query.get("DateSent>")
        found = [
            _resource(phone, text)
            for text in reversed(phone.texts)
            if (to is None or text.to == to)
            and (sender is None or text.sender == sender)
            and (since is None or f"{text.created_at:%Y-%m-%d}" >= since)
        ]
        size, page = _whole(query.get("PageSize"), 50), _whole(query.get("Page"), 0)
        rest = f"{request.url.path}?{httpx.QueryParams({**query, 'Page': str(page + 1)})}" if len(found) > size * (page + 1) else None
        return Response({"messages": found[size * page : size * (page + 1)], "page": page, "page_size": size, "next_page_uri": rest})

    return [phone_create_message, phone_list_messages]


def _pages(phone: Phone) -> list[Any]:
    """The phone itself."""

    @get("/dev/phone/messages")
    async def phone_messages(to: str | None = None) -> dict[str, Any]:
        number = _number(to)
        found = [_shown(text) for text in phone.texts if number is None or text.to == number]
        return {"items": found[-SHOWN_MAX:], "next_cursor": None}

    @post("/dev/phone/messages", status_code=200)
    async def phone_answer(data: Answer) -> dict[str, Any]:
        sender = _number(data.sender)
        if sender is None or not sender.startswith("+"):
            raise Rejected("invalid-input", "A number in international form, please.", pointer="/from")
        text, status = await phone.answer(sender, _number(data.to), data.body)
        return _shown(text) | {"taken": 200 <= status < 300}

    @post("/dev/phone/faults", status_code=200)
    async def phone_faults(data: Fault) -> dict[str, Any]:
        phone.faults = [data] if data.times else []
        return data.model_dump()

    @get("/dev/phone")
    async def phone_page() -> Response[str]:
        return _static("phone.html", "text/html; charset=utf-8")

    @get("/dev/phone/phone.css")
    async def phone_style() -> Response[str]:
        return _static("phone.css", "text/css; charset=utf-8")

    @get("/dev/phone/phone.js")
    async def phone_script() -> Response[str]:
        return _static("phone.js", "text/javascript; charset=utf-8")

    return [phone_messages, phone_answer, phone_faults, phone_page, phone_style, phone_script]


def _static(name: str, media_type: str) -> Response[str]:
    return Response((_STATIC / name).read_text("utf-8"), media_type=media_type, headers={"cache-control": "no-cache"})


def _unauthorized(phone: Phone, request: Request[Any, Any, Any], account_sid: str) -> Response[Any] | None:
    pair = base64.b64encode(f"{phone.account_sid}:{phone.auth_token}".encode()).decode()
    fits = hmac.compare_digest(request.headers.get("authorization", "").encode(), f"Basic {pair}".encode())
    return None if fits and account_sid == phone.account_sid else _error(401, 20003, "Authenticate")


def _invalid(form: dict[str, str]) -> Response[Any] | None:
    """What Twilio refuses, with its own codes."""
    if not form.get("To"):
        return _error(400, 21604, "A 'To' phone number is required.")
    if not form.get("From") and not form.get("MessagingServiceSid"):
        return _error(400, 21603, "A 'From' phone number is required.")
    if not form.get("Body"):
        return _error(400, 21602, "Message body is required.")
    if len(form["Body"]) > BODY_MAX:
        return _error(400, 21617, "The concatenated message body exceeds the 1600 character limit.")
    try:
        possible = phonenumbers.is_possible_number(phonenumbers.parse(form["To"]))
    except phonenumbers.NumberParseException:
        possible = False
    return None if possible else _error(400, 21211, "Invalid 'To' Phone Number")


def _error(status: int, code: int, message: str) -> Response[Any]:
    return Response({"code": code, "message": message, "status": status}, status_code=status, media_type="application/json")


def _resource(phone: Phone, text: Text) -> dict[str, Any]:
    created = format_datetime(text.created_at)
    return {
        "sid": text.sid,
        "account_sid": phone.account_sid,
        "from": text.sender,
        "to": text.to,
        "body": text.body,
        "direction": text.direction,
        "status": text.status,
        "date_created": created,
        "date_updated": created,
        "date_sent": created,
        "num_segments": str(max(1, -(-len(text.body) // 153))),
        "num_media": "0",
        "error_code": None,
        "error_message": None,
        "api_version": "2010-04-01",
        "uri": f"/2010-04-01/Accounts/{phone.account_sid}/Messages/{text.sid}.json",
    }


def _shown(text: Text) -> dict[str, Any]:
    direction = "inbound" if text.direction == "inbound" else "outbound"
    return {
        "sid": text.sid, "from": text.sender, "to": text.to, "body": text.body, "sent_at": text.at.isoformat(), "direction": direction,
        "status": text.status,
    }  # fmt: skip


def _row(text: Text) -> dict[str, Any]:
    row = {name: getattr(text, name) for name in ("sid", "sender", "to", "body", "direction", "status", "callback")}
    return row | {"at": text.at.isoformat(), "created_at": text.created_at.isoformat()}


def _number(written: str | None) -> str | None:
    """A number from a query: a plus that nobody escaped arrives as a blank."""
    if not written:
        return None
    return "+" + written[1:] if written.startswith(" ") else written


def _whole(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isdigit() and len(text) < 6 else otherwise
