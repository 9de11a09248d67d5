"""Who is outside: the services that listen to the directory, asked whether they have heard it.

Called by `amends directory load` and `amends keys create`, which return once everybody knows.
Invariant: the wait is bounded (machine time), and who has not heard is named.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import httpx

from shared.kernel.errors import AmendsError

WITHIN_SECONDS: Final = 20.0
POLL_SECONDS: Final = 0.1
ANSWER_SECONDS: Final = 6.0  # a service has five for its checks


class NotHeard(AmendsError):
    """Some services have not heard the directory in time."""


async def wait_until_heard(
    urls: Mapping[str, str],
    reached: Mapping[str, int],
    *,
    within_seconds: float = WITHIN_SECONDS,
    client: httpx.AsyncClient | None = None,
) -> None:
    """Return once every service (name → address; several may share one) has heard the versions `reached` (topic → version).

    Raises NotHeard with a sentence that names who has not. What was written stays written; they will hear it when they are back.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + within_seconds
    asking = client or httpx.AsyncClient(timeout=ANSWER_SECONDS)
    behind: dict[str, str] = {}
    try:
        while True:
            behind = await _behind(asking, urls, reached)
            if not behind:
                return
            if loop.time() >= until:
                break
            await asyncio.sleep(POLL_SECONDS)
    finally:
        if client is None:
            await asking.aclose()
    whom = "; ".join(f"{name} ({why})" for name, why in sorted(behind.items()))
    raise NotHeard(f"It is stored, but not everybody has heard it within {within_seconds:g} seconds: {whom}.")


async def _behind(asking: httpx.AsyncClient, urls: Mapping[str, str], reached: Mapping[str, int]) -> dict[str, str]:
    """Services that have not heard everything, and why."""
    addresses = sorted(set(urls.values()))
    answers = dict(zip(addresses, await asyncio.gather(*(_checks(asking, url) for url in addresses)), strict=True))
    found = {name: _missing(answers[url], name, reached) for name, url in urls.items()}
    return {name: why for name, why in found.items() if why}


async def _checks(asking: httpx.AsyncClient, url: str) -> Mapping[str, Any] | None:
    try:
        answer = await asking.get(f"{url.rstrip('/')}/readyz?verbose")
        checks = answer.json().get("checks")
    except (httpx.HTTPError, ValueError, AttributeError):
        return None
    return checks if isinstance(checks, Mapping) else None


def _missing(checks: Mapping[str, Any] | None, service: str, reached: Mapping[str, int]) -> str:
    """Why the service is behind, or nothing. A check of the local copy reads `topic=version,topic=version`."""
    if checks is None:
        return "does not answer"
    check = checks.get(f"{service}.reference")
    if not isinstance(check, Mapping):
        return "does not say what it has heard"
    told = (part.partition("=") for part in str(check.get("detail", "")).split(","))
    heard = {topic: int(version) for topic, _, version in told if version.isdigit()}
    late = [f"{topic} {heard.get(topic, 0)} of {version}" for topic, version in sorted(reached.items()) if heard.get(topic, 0) < version]
    return ", ".join(late)
