"""Waiting until everybody has heard."""

from typing import Any

import httpx
import pytest

from services.directory.gateway import NotHeard, wait_until_heard
from shared.contracts.directory import ACCESS, LOCATIONS

pytestmark = pytest.mark.unit

URLS = {"intake": "http://one", "console": "http://two"}


def checks(**heard: str) -> dict[str, Any]:
    return {"status": "ready", "checks": {f"{name}.reference": {"ok": True, "detail": detail} for name, detail in heard.items()}}


def client(*answers: Any) -> httpx.AsyncClient:
    """Each address gives these answers one after another, the last for ever; None does not answer."""
    asked: dict[str, int] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        assert (request.url.path, request.url.query) == ("/readyz", b"verbose")
        n = asked[request.url.host] = asked.get(request.url.host, -1) + 1
        body = answers[min(n, len(answers) - 1)]
        if body is None:
            raise httpx.ConnectError("refused")
        return httpx.Response(503, json=body)

    return httpx.AsyncClient(transport=httpx.MockTransport(answer))


async def test_it_returns_once_everybody_has_heard_every_topic() -> None:
    behind = checks(intake=f"{LOCATIONS}=12,{ACCESS}=3", console=f"{LOCATIONS}=12")
    there = checks(intake=f"{LOCATIONS}=12,{ACCESS}=14", console=f"{LOCATIONS}=13,{ACCESS}=14")
    async with client(None, behind, there) as asking:
        await wait_until_heard(URLS, {LOCATIONS: 12, ACCESS: 14}, within_seconds=5, client=asking)


async def test_who_has_not_heard_is_named() -> None:
    async with client(checks(intake=f"{LOCATIONS}=12")) as asking:
        with pytest.raises(NotHeard) as late:
            await wait_until_heard(URLS, {LOCATIONS: 12}, within_seconds=0.2, client=asking)
    assert "console (does not say what it has heard)" in str(late.value) and "intake" not in str(late.value)
    async with client(checks(intake="", console=f"{LOCATIONS}=11")) as asking:
        with pytest.raises(NotHeard, match=r"console \(amends.locations.v1 11 of 12\); intake \(amends.locations.v1 0 of 12\)"):
            await wait_until_heard(URLS, {LOCATIONS: 12}, within_seconds=0.2, client=asking)
    async with client(None) as asking:
        with pytest.raises(NotHeard, match="does not answer"):
            await wait_until_heard(URLS, {}, within_seconds=0, client=asking)
