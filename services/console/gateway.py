"""The other services, as the console asks them: over HTTP, in the name of the person (or patient) who looks, never with power of its own.

`Services` is the port; `HttpServices` signs each request for 60 seconds. Raises `Rejected` with the service's own code and sentence
where it says no, `Transient` where it does not answer.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import httpx

from shared.kernel.errors import Rejected, Transient

TIMEOUT_SECONDS = 5.0
# Moving the demo's clock answers when all is quiet, 5 seconds at the latest.
CLOCK_TIMEOUT_SECONDS = 15.0

# Who asks; what the signer makes of it is no business of this room.
Asker = Any
Sign = Callable[[Asker], str]


class Services(Protocol):
    """What the console asks others."""

    async def get(self, service: str, path: str, asker: Asker) -> dict[str, Any]:
        """An object of `service` as `asker` may see it."""
        ...

    async def post(self, service: str, path: str, asker: Asker, body: Mapping[str, Any], *, key: str | None = None) -> dict[str, Any]:
        """A request of `asker` to `service`; answers the changed object. `key`: sent twice, it is done once."""
        ...

    async def move_clock(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Move the demo's clock."""
        ...


class HttpServices:
    """`Services` over HTTP."""

    def __init__(self, urls: Mapping[str, str], sign: Sign, client: httpx.AsyncClient | None = None) -> None:
        """`urls` by service, without a slash at the end; `sign` makes the assertion of an asker."""
        self._urls, self._sign = urls, sign
        self._client = client or httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False, follow_redirects=False)

    async def get(self, service: str, path: str, asker: Asker) -> dict[str, Any]:
        """See `Services`."""
        return await self._ask(service, "GET", path, headers=self._who(asker))

    async def post(self, service: str, path: str, asker: Asker, body: Mapping[str, Any], *, key: str | None = None) -> dict[str, Any]:
        """See `Services`."""
        headers = self._who(asker) | ({"idempotency-key": f'"{key}"'} if key else {})
        return await self._ask(service, "POST", path, headers=headers, json=dict(body))

    async def move_clock(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """See `Services`."""
        return await self._ask("console", "POST", "/dev/clock", json=dict(body), timeout=CLOCK_TIMEOUT_SECONDS)

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.aclose()

    def _who(self, asker: Asker) -> dict[str, str]:
        return {"authorization": f"Bearer {self._sign(asker)}"}

    async def _ask(self, service: str, method: str, path: str, **request: Any) -> dict[str, Any]:
        try:
            answer = await self._client.request(method, self._urls[service] + path, **request)
        except (httpx.TransportError, KeyError) as error:
            raise Transient(f"{service} does not answer") from error
        body = _object(answer)
        if answer.status_code >= 500 or body is None:
            raise Transient(f"{service} does not answer")
        if answer.status_code >= 400:
            detail = str(body.get("detail") or "The request was refused.")
            raise Rejected(str(body.get("code") or "refused"), detail, needs=body.get("needs"))
        return body


def _object(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        body = answer.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
