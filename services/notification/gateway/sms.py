"""The SMS provider: the adapter for Twilio's Messages API. `NotSent` only when no byte of the request can have reached the provider."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final
from uuid import UUID

import httpx

from services.notification.gateway.port import OUTCOMES, Accepted, Ambiguous, Answer, Gateway, Look, NotFound, NotSent, Refused
from shared.telemetry import traces
from shared.telemetry.metrics import SEND_SECONDS, SENDS

# Connecting may take this long, answering that long (seconds, machine time).
CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 15.0
_PAGE = 100
UNSET: Final = (
    "no SMS provider is set: texts wait (held, no-provider) until AMENDS_SMS__ACCOUNT_SID, AMENDS_SMS__AUTH_TOKEN and"
    " AMENDS_SMS__FROM_NUMBER name one"
)
_PAGES_MAX = 3


class NoProvider:
    """Where no provider is set: no byte ever leaves us."""

    async def send(self, to: str, body: str, notice_id: UUID) -> Answer:
        """See `Gateway.send`."""
        return NotSent("no-provider")

    async def look(self, to: str, body: str, since: datetime, known: frozenset[str]) -> Look:
        """See `Gateway.look`. Whoever sent it, before the provider was taken away, is not there to be asked."""
        return Ambiguous("no-provider")

    async def close(self) -> None:
        """See `Gateway.close`."""


class TwilioSms:
    """Twilio's Messages API, https://www.twilio.com/docs/messaging/api/message-resource."""

    def __init__(
        self, *, account_sid: str, auth_token: str, sender: str, callback_url: str, base_url: str = "https://api.twilio.com"
    ) -> None:
        """`sender` is a number in E.164 or a messaging service (`MG…`); `callback_url` gets the notice's id as a query."""
        self._path = f"/2010-04-01/Accounts/{account_sid}/Messages.json"
        self._sender = {"MessagingServiceSid": sender} if sender.startswith("MG") else {"From": sender}
        self._callback_url = callback_url
        self._client = httpx.AsyncClient(
            base_url=base_url,
            auth=(account_sid, auth_token),
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS, pool=60.0),
            limits=httpx.Limits(max_connections=32, max_keepalive_connections=16),
            trust_env=False,
        )

    async def send(self, to: str, body: str, notice_id: UUID) -> Answer:
        """See `Gateway.send`."""
        with traces.span("sms send", traces.CLIENT, **{"amends.notice_id": str(notice_id)}) as span:
            with SEND_SECONDS.labels("notification", "sms").time():
                answer = await self._send(to, body, notice_id)
            span.set_attribute("amends.outcome", OUTCOMES[type(answer)])
        SENDS.labels("notification", "sms", OUTCOMES[type(answer)]).inc()
        return answer

    async def _send(self, to: str, body: str, notice_id: UUID) -> Answer:
        form = {"To": to, "Body": body, "StatusCallback": f"{self._callback_url}?notice={notice_id}"} | self._sender
        try:
            response = await self._client.post(self._path, data=form)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            return NotSent(type(error).__name__)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Ambiguous(type(error).__name__)
        return _answer(response)

    async def look(self, to: str, body: str, since: datetime, known: frozenset[str]) -> Look:
        """See `Gateway.look`. The list has no filter by body: recipient and day narrow it, the body decides."""
        query: dict[str, Any] | None = {"To": to, "DateSent>": f"{since - timedelta(days=1):%Y-%m-%d}", "PageSize": _PAGE}
        path = self._path
        for _ in range(_PAGES_MAX):
            try:
                response = await self._client.get(path, params=query)
                page = response.json() if response.status_code == httpx.codes.OK else None
            except (httpx.HTTPError, ValueError) as error:
                return Ambiguous(type(error).__name__)
            if not isinstance(page, dict):
                return Ambiguous(f"status {response.status_code}")
            for message in page.get("messages") or ():
                if _is_it(message, body, since) and message["sid"] not in known:
                    return Accepted(message["sid"], message["status"])
            if not page.get("next_page_uri"):
                return NotFound()
            path, query = str(page["next_page_uri"]), None
        return Ambiguous("too many texts to that number")

    async def close(self) -> None:
        """See `Gateway.close`."""
        await self._client.aclose()


def provider(account_sid: str | None, auth_token: str | None, sender: str | None, callback_url: str, base_url: str) -> Gateway:
    """The provider's adapter, or the one that sends nothing. Raises ValueError where half of an account is named."""
    if account_sid is None and auth_token is None and sender is None:
        return NoProvider()
    if account_sid is None or auth_token is None or sender is None:
        raise ValueError("set all of AMENDS_SMS__ACCOUNT_SID, AMENDS_SMS__AUTH_TOKEN and AMENDS_SMS__FROM_NUMBER, or none of them")
    return TwilioSms(account_sid=account_sid, auth_token=auth_token, sender=sender, callback_url=callback_url, base_url=base_url)


def _answer(response: httpx.Response) -> Answer:
    said = _json(response)
    if response.status_code == httpx.codes.CREATED and isinstance(said.get("sid"), str):
        return Accepted(said["sid"], str(said.get("status") or "queued"))
    code = str(said.get("code") or response.status_code)
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return Refused(code, str(said.get("message", "")), is_busy=True)
    if 400 <= response.status_code < 500 and response.status_code != httpx.codes.REQUEST_TIMEOUT:
        return Refused(code, str(said.get("message", "")))
    return Ambiguous(f"status {response.status_code}")


def _json(response: httpx.Response) -> Mapping[str, Any]:
    try:
        said = response.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _is_it(message: Mapping[str, Any], body: str, since: datetime) -> bool:
    if message.get("body") != body or not str(message.get("direction", "outbound")).startswith("outbound"):
        return False
    try:
        created = parsedate_to_datetime(str(message.get("date_created")))
    except ValueError:
        return True
    # The provider writes whole seconds, and its clock is not ours.
    return created >= since - timedelta(minutes=5)
