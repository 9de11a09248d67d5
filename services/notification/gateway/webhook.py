"""Webhooks for pages to staff, in the manner of Standard Webhooks: a signed POST with an id, a time and a signature.

At least once: one whose answer was lost is posted again under the same id, by which whoever hears it knows that it is the same. Redirects
are never followed, so what was set is the only place that is ever asked.
"""

import base64
import hashlib
import hmac
import json
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

import httpx

from services.notification.gateway.port import OUTCOMES, Accepted, Ambiguous, Answer, Look, NotFound, NotSent, Refused
from shared.kernel.clock import machine_now
from shared.telemetry import traces
from shared.telemetry.metrics import SEND_SECONDS, SENDS

CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 10.0
SECRET_PREFIX: Final = "whsec_"
TRY_AGAIN: Final = (408, 425, 429)


class Webhooks:
    """See `Gateway`. A body is the JSON that is posted, with its notice's id in `data`."""

    def __init__(self, secret: str, urls: dict[str, str], url: str | None, *, is_embedded: bool) -> None:
        """`secret` as Standard Webhooks spell it (`whsec_` and base64); `urls` by region, `url` for all others.

        Raises ValueError for a secret that is none, and for a URL that is not https (embedded, http will do).
        """
        self._key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
        if len(self._key) < 24:
            raise ValueError("a webhook secret is whsec_ and at least 24 bytes in base64")
        for one in (*urls.values(), *([url] if url else [])):
            parts = urlsplit(one)
            is_safe = parts.scheme == "https" or (is_embedded and parts.scheme == "http")
            if not is_safe or not parts.hostname or parts.username:
                raise ValueError("a webhook goes to an https address without a user in it")
        self._urls, self._url = urls, url
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS, pool=60.0),
            limits=httpx.Limits(max_connections=16, max_keepalive_connections=8),
            trust_env=False,
            follow_redirects=False,
        )

    def url_for(self, region: str) -> str | None:
        """Where pages about this region go; None where nowhere is set."""
        return self._urls.get(region, self._url)

    async def send(self, to: str, body: str, notice_id: UUID) -> Answer:
        """See `Gateway.send`."""
        with traces.span("webhook send", traces.CLIENT, **{"amends.notice_id": str(notice_id)}) as span:
            with SEND_SECONDS.labels("notification", "webhook").time():
                answer = await self._post(to, body, notice_id)
            span.set_attribute("amends.outcome", OUTCOMES[type(answer)])
        SENDS.labels("notification", "webhook", OUTCOMES[type(answer)]).inc()
        return answer

    async def look(self, to: str, body: str, since: datetime, known: frozenset[str]) -> Look:
        """See `Gateway.look`: nobody can be asked, so it is posted again, under the same id."""
        answer = await self.send(to, body, UUID(json.loads(body)["data"]["notice_id"]))
        if isinstance(answer, Accepted | Ambiguous):
            return answer
        return NotFound()

    async def close(self) -> None:
        """See `Gateway.close`."""
        await self._client.aclose()

    async def _post(self, to: str, body: str, notice_id: UUID) -> Answer:
        at = str(int(machine_now().timestamp()))
        signed = hmac.new(self._key, f"{notice_id}.{at}.{body}".encode(), hashlib.sha256).digest()
        headers = {
            "content-type": "application/json",
            "webhook-id": str(notice_id),
            "webhook-timestamp": at,
            "webhook-signature": "v1," + base64.b64encode(signed).decode(),
        }
        try:
            answer = await self._client.post(to, content=body.encode(), headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # It may have been heard: the same id says that it is the same.
            return NotSent(type(error).__name__)
        if answer.is_success:
            return Accepted(f"webhook:{notice_id}", "delivered")
        if answer.is_server_error or answer.status_code in TRY_AGAIN:
            return NotSent(f"status {answer.status_code}")
        return Refused(str(answer.status_code))
