"""Notification's HTTP doors: the provider's webhooks by signature alone, people by their scope and their stores."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import httpx
import pytest
import pytest_asyncio

from services.notification import api
from services.notification.gateway import Accepted
from shared.embedded.phone import sign
from shared.web import Auth, make_app, service_router
from shared.web.app import Check
from shared.web.auth import Access, hash_secret
from tests.integration.notification.conftest import PATIENT, World

pytestmark = pytest.mark.integration
VECTORS = Path(__file__).parents[2] / "vectors"
PEOPLE = {
    "ana": Access("ana", hash_secret("s"), staff_id="ana", role="store_manager", locations=("store-12",)),
    "far": Access("far", hash_secret("s"), staff_id="far", role="store_manager", locations=("store-99",)),
    "pos": Access("pos", hash_secret("s"), scopes=frozenset({"events:write"})),
}
ANA, FAR, POS = ({"authorization": f"Bearer amk_{name}_s"} for name in ("ana", "far", "pos"))


@pytest_asyncio.fixture(loop_scope="session")
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async def lookup(key_id: str) -> Access | None:
        return PEOPLE.get(key_id)

    async def health() -> dict[str, Check]:
        return {}

    router = service_router(
        "notification", api.ROUTES, desk=world.desk, auth=Auth(audience="amends", lookup=lookup), pool=world.engine.pool
    )
    app = make_app([router], title="notification", health=health)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(cast("Any", app)), base_url="http://here") as opened:
        yield opened


async def posted(client: httpx.AsyncClient, path: str, form: dict[str, str], token: str = "secret") -> httpx.Response:
    headers = {"X-Twilio-Signature": sign(token, "https://amends.example.org" + path, form)}
    return await client.post(path, data=form, headers=headers)


async def test_an_inbound_text_with_its_signature_is_taken(client: httpx.AsyncClient, world: World) -> None:
    form = {"MessageSid": "SM1", "From": PATIENT, "To": "+12125550100", "Body": "STOP"}
    answer = await posted(client, api.INBOUND, form)
    assert answer.status_code == 200 and answer.text.endswith("<Response/>")
    await world.runs()
    assert len(world.sms.to(PATIENT)) == 1


async def test_a_forged_one_is_403_kept_aside_as_ciphertext_and_changes_nothing(client: httpx.AsyncClient, world: World) -> None:
    form = {"MessageSid": "SM1", "From": PATIENT, "Body": "STOP"}
    forged = await posted(client, api.INBOUND, form, token="guessed")
    nothing = await client.post(api.INBOUND, content=b"\xff\xfe", headers={"content-type": "text/plain"})
    by_json = await client.post(api.STATUS, json={"MessageSid": "SM1"}, headers={"X-Twilio-Signature": "x"})
    assert [r.status_code for r in (forged, nothing, by_json)] == [403, 403, 403]
    assert forged.json()["code"] == "bad-signature" and forged.headers["content-type"] == "application/problem+json"
    kept = await world.engine.pool.fetch("select body from quarantined")
    assert len(kept) == 3 and urlencode(form).encode() not in bytes(kept[0]["body"])
    assert await world.engine.pool.fetchval("select count(*) from messages") == 0


async def test_a_signed_form_that_lacks_its_fields_is_400(client: httpx.AsyncClient) -> None:
    for path, form in (
        (api.INBOUND, {"From": PATIENT, "Body": "hi"}),
        (api.INBOUND, {"MessageSid": "SM1", "From": "nobody", "Body": "hi"}),
        (api.STATUS, {"MessageSid": "SM1", "MessageStatus": "dancing"}),
    ):
        assert (await posted(client, path, form)).status_code == 400


async def test_a_report_finds_its_notice_by_the_address_that_was_called(client: httpx.AsyncClient, world: World) -> None:
    world.sms.answers = [Accepted("SM1", "queued")]
    await world.hears(world.case())
    await world.runs()
    path = f"{api.STATUS}?notice={world.sms.sent[0][2]}"
    assert (await posted(client, path, {"MessageSid": "SM1", "MessageStatus": "delivered"})).status_code == 200
    assert [status for _, status, _ in await world.statuses()] == ["delivered"]


async def test_a_typed_text_can_be_taken_back_for_thirty_seconds(client: httpx.AsyncClient, world: World) -> None:
    opened = world.case()
    await world.hears(opened)
    await world.runs()
    body = {"case_id": str(opened.case_id), "text": "We’ll call you at four – promised."}
    first, second = [(await client.post("/v1/notices", json=body, headers=ANA)).json() for _ in range(2)]
    assert (first["status"], first["typed_by"], first["body"]) == ("queued", "staff:ana", "We'll call you at four - promised.")
    taken = await client.delete(f"/v1/notices/{first['id']}", headers=ANA)
    assert (taken.status_code, taken.json()["status"], taken.json()["reason"]) == (200, "withheld", "taken-back")
    await world.passes(timedelta(seconds=29))
    assert len(world.sms.to(PATIENT)) == 1
    await world.passes(timedelta(seconds=1))
    assert world.sms.to(PATIENT)[1:] == ["Amends Optical: We'll call you at four - promised."]
    assert (await client.delete(f"/v1/notices/{second['id']}", headers=ANA)).json()["code"] == "left-already"
    (sent,) = [e for e in await world.said("sent") if e["template"] == "typed"]
    assert sent["typed_by"] == "staff:ana"


async def test_notices_are_read_by_who_sees_the_store(client: httpx.AsyncClient, world: World) -> None:
    opened = world.case(page=("ana",))
    await world.hears(opened)
    await world.runs()
    path = f"/v1/notices?case_id={opened.case_id}"
    items = (await client.get(path, headers=ANA)).json()["items"]
    assert [(i["template"], i["audience"], i["status"]) for i in items] == [("receipt", "patient", "sent"), ("page", "staff", "sent")]
    assert items[0]["segments"] == 2 and items[0]["channel"] == "text" and "/p/..." in items[0]["body"]
    codes = [(await client.get(path, headers=headers)).status_code for headers in (FAR, POS, {})]
    assert codes == [404, 403, 401]
    foreign = await client.post("/v1/notices", json={"case_id": str(opened.case_id), "text": "hello"}, headers=FAR)
    assert foreign.status_code == 404


async def test_consents_are_a_ledger_with_proof(client: httpx.AsyncClient, world: World) -> None:
    path = "/v1/patients/P-1/consents"
    given = {"purpose": "compensation", "granted": True, "source": "told Ana at the counter"}
    assert (await client.post(path, json=given, headers=ANA)).status_code == 200
    await world.texts("STOP")
    ledger = (await client.get(path, headers=ANA)).json()
    assert [(i["purpose"], i["granted"]) for i in ledger["items"]] == [("care", True), ("compensation", True), ("all", False)]
    assert ledger["opted_out"] is True
    late = given | {"at": (world.clock.now() + timedelta(hours=1)).isoformat()}
    assert (await client.post(path, json=late, headers=ANA)).json()["code"] == "future-time"
    assert (await client.get(path, headers=FAR)).status_code == 404


async def test_malformed_bodies_are_4xx_on_every_post(client: httpx.AsyncClient) -> None:
    for case in json.loads((VECTORS / "malformed_json.json").read_text())["cases"]:
        raw = _raw(case)
        for path in ("/v1/notices", "/v1/patients/P-1/consents", api.INBOUND, api.STATUS):
            answer = await client.post(path, content=raw, headers={**ANA, "content-type": "application/json"})
            assert 400 <= answer.status_code < 500, (case["name"], path, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"


def _raw(case: dict[str, Any]) -> bytes:
    """A vector is its bytes, or a text and how often it is repeated."""
    if "b64" in case:
        return base64.b64decode(case["b64"])
    text, times = case["repeat"]
    return str(text).encode() * int(times)
