"""The SMS gateway against a provider that speaks Twilio's Messages API over real HTTP, faults included (behaviour 38).

Goal: each way a send can end is told apart. Method: the real adapter, the embedded provider, one server; the provider's own faults.
"""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import pytest
import pytest_asyncio
from litestar import Request, Response, post

from services.notification.gateway import Accepted, Ambiguous, NotFound, NotSent, Refused, TwilioSms
from shared.embedded.phone import Fault, Phone
from shared.kernel.clock import MachineClock, machine_now
from shared.kernel.ids import new_id
from shared.web import HttpServer, make_app
from shared.web.app import Check
from shared.web.signatures import twilio
from tests.support.eventually import eventually

pytestmark = pytest.mark.contract
CONTRACT = json.loads((Path(__file__).parents[1] / "vectors" / "twilio_create_message_contract.json").read_text())
ACCOUNT, TOKEN, US, PATIENT = "AC" + "0" * 32, "secret", "+12125550100", "+12125550101"


@dataclass
class Provider:
    """The provider, our adapter for it, and the webhooks it called."""

    phone: Phone
    gateway: TwilioSms
    calls: list[tuple[str, dict[str, str], bool]] = field(default_factory=list)

    async def send(self, body: str = "hello", to: str = PATIENT, notice_id: UUID | None = None) -> Any:
        return await self.gateway.send(to, body, notice_id or new_id())


@pytest_asyncio.fixture(loop_scope="session")
async def provider(tmp_path: Path) -> AsyncIterator[Provider]:
    phone = Phone("", ACCOUNT, TOKEN, US, MachineClock(), tmp_path)
    calls: list[tuple[str, dict[str, str], bool]] = []

    async def hear(request: Request[Any, Any, Any]) -> Response[str]:
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        query = request.scope["query_string"].decode()
        url = f"{phone.public_url}{request.url.path}" + (f"?{query}" if query else "")
        calls.append((str(request.url), form, twilio(TOKEN, url, form, None, request.headers.get("x-twilio-signature"))))
        return Response("")

    async def health() -> dict[str, Check]:
        return {}

    webhooks = post(["/v1/webhooks/twilio/status", "/v1/webhooks/twilio/inbound"], status_code=200)(hear)
    server = HttpServer(make_app([phone.router(), webhooks], title="provider", health=health), "127.0.0.1", 0)
    await server.start()
    phone.public_url = f"http://127.0.0.1:{server.port}"
    callback = f"{phone.public_url}/v1/webhooks/twilio/status"
    gateway = TwilioSms(account_sid=ACCOUNT, auth_token=TOKEN, sender=US, callback_url=callback, base_url=phone.public_url)
    yield Provider(phone, gateway, calls)
    await gateway.close()
    await phone.close()
    await server.stop()


async def test_a_text_is_accepted_under_an_id_and_its_fields_are_twilios(provider: Provider) -> None:
    answer = await provider.send("Grüße")
    assert isinstance(answer, Accepted)
    assert re.fullmatch(CONTRACT["response_fields"]["sid"]["pattern"], answer.sid)
    assert answer.status in CONTRACT["status_values"]
    (text,) = provider.phone.texts
    assert (text.to, text.sender, text.body) == (PATIENT, US, "Grüße")


async def test_delivery_reports_are_signed_and_carry_the_notice(provider: Provider) -> None:
    notice_id = new_id()
    await provider.send(notice_id=notice_id)

    async def told() -> bool:
        return [form["MessageStatus"] for _, form, _ in provider.calls] == ["sent", "delivered"]

    await eventually(told)
    assert all(signed and url.endswith(f"?notice={notice_id}") for url, _, signed in provider.calls)


@pytest.mark.parametrize("kind", ["drop", "error"])
async def test_what_may_have_been_taken_is_ambiguous_and_the_look_finds_it(provider: Provider, kind: Any) -> None:
    since = machine_now()
    provider.phone.faults = [Fault(kind=kind)]
    assert isinstance(await provider.send("lost answer"), Ambiguous)
    found = await provider.gateway.look(PATIENT, "lost answer", since, frozenset())
    assert isinstance(found, Accepted) and found.sid == provider.phone.texts[0].sid
    assert await provider.gateway.look(PATIENT, "lost answer", since, frozenset({found.sid})) == NotFound()
    assert await provider.gateway.look(PATIENT, "another body", since, frozenset()) == NotFound()
    assert await provider.gateway.look("+12125550199", "lost answer", since, frozenset()) == NotFound()
    assert await provider.gateway.look(PATIENT, "lost answer", since + timedelta(hours=1), frozenset()) == NotFound()


async def test_a_clear_no_is_refused_with_its_code_and_nothing_was_taken(provider: Provider) -> None:
    provider.phone.faults = [Fault(kind="refuse", code=21610)]
    assert (await provider.send()).code == "21610"
    provider.phone.faults = [Fault(kind="busy")]
    busy = await provider.send()
    assert isinstance(busy, Refused) and busy.is_busy
    assert isinstance(await provider.send(to="12"), Refused)
    assert (await provider.send("x" * 1601)).code == "21617"
    assert provider.phone.texts == []


async def test_a_wrong_password_is_refused(provider: Provider) -> None:
    stranger = TwilioSms(account_sid=ACCOUNT, auth_token="wrong", sender=US, callback_url="", base_url=provider.phone.public_url)
    assert await stranger.send(PATIENT, "hello", new_id()) == Refused("20003", "Authenticate")
    await stranger.close()


async def test_where_nobody_listens_nothing_was_sent() -> None:
    gateway = TwilioSms(account_sid=ACCOUNT, auth_token=TOKEN, sender=US, callback_url="", base_url="http://127.0.0.1:9")
    assert isinstance(await gateway.send(PATIENT, "hello", new_id()), NotSent)
    assert isinstance(await gateway.look(PATIENT, "hello", machine_now(), frozenset()), Ambiguous)
    await gateway.close()


async def test_the_look_reads_page_after_page(provider: Provider) -> None:
    since = machine_now()
    for n in range(120):
        provider.phone.accept(PATIENT, US, f"text {n}", None)
    assert isinstance(await provider.gateway.look(PATIENT, "text 0", since, frozenset()), Accepted)


async def test_an_answer_from_the_phone_is_a_signed_inbound_and_survives_a_restart(provider: Provider) -> None:
    await provider.send("first")
    text, status = await provider.phone.answer(PATIENT, None, "STOP")
    assert status == 200 and text.to == US
    inbound = [(form, signed) for url, form, signed in provider.calls if url.endswith("/inbound")]
    assert [(form["From"], form["Body"], signed) for form, signed in inbound] == [(PATIENT, "STOP", True)]
    again = Phone("", ACCOUNT, TOKEN, US, MachineClock(), provider.phone.folder)
    assert [(t.body, t.direction) for t in again.texts] == [("first", "outbound-api"), ("STOP", "inbound")]
