"""Pages to staff by e-mail and webhook over real sockets: signed, repeated under the same id, never sent twice where that would be seen,
and a text where another channel fails."""

import asyncio
import base64
import json
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from services.notification import timers as doors
from services.notification import usecases
from services.notification.gateway import Mail, Webhooks
from services.notification.gateway.mail import Account
from shared import reference, timers
from shared.contracts.cases import CaseAcknowledged, EscalationStepped, Storm, TargetBreached
from shared.contracts.directory import StaffChanged
from shared.embedded.inbox import Inbox
from shared.kernel.clock import machine_now
from shared.kernel.ids import new_id
from shared.web.signatures import standard
from tests.integration.notification.conftest import MANAGER, REGION, World

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
ADDRESS = "ana@example.org"
_VERSIONS = count(100)


@dataclass
class Listener:
    """Somebody who hears webhooks; `answers` are the statuses of the next ones (None: the line breaks after it was heard), then 204."""

    answers: deque[int | None] = field(default_factory=deque)
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        parts = [line.partition(": ") for line in head[1:] if line]
        headers = {name.lower(): value for name, _, value in parts}
        self.heard.append((headers, await reader.readexactly(int(headers["content-length"]))))
        status = self.answers.popleft() if self.answers else 204
        if status is not None:
            extra = f"location: {self.url}/elsewhere\r\n" if status == 302 else ""
            writer.write(f"HTTP/1.1 {status} x\r\n{extra}content-length: 0\r\nconnection: close\r\n\r\n".encode())
            await writer.drain()
        writer.close()


@dataclass
class Channels:
    """The service with an inbox and a listener."""

    world: World
    inbox: Inbox
    listener: Listener

    async def staffed(self, email: str | None = ADDRESS) -> None:
        ana = StaffChanged(
            staff_id="ana", name="Ana Example", role="store_manager", locations=("store-12",), phone=MANAGER, email=email,
            version=next(_VERSIONS),
        )  # fmt: skip
        async with self.world.engine.transaction() as tx:
            await reference.take_staff(tx, [self.world.fact(ana, new_id())])

    async def rows(self) -> list[tuple[str, str, str | None]]:
        rows = await self.world.engine.pool.fetch("select channel, status, reason from notices where audience = 'staff' order by seq")
        return [(row["channel"], row["status"], row["reason"]) for row in rows]

    async def minutes_pass(self, count: int = 3) -> None:
        for _ in range(count):
            await self.world.passes(timedelta(minutes=1))


@pytest_asyncio.fixture(loop_scope="session")
async def channels(world: World) -> AsyncIterator[Channels]:
    inbox, listener = Inbox(world.clock), Listener()
    await inbox.start()
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0)
    listener.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/pages"
    mail = Mail(Account("127.0.0.1", inbox.port, "pages@amends.example", "none"), "Amends Optical")
    webhooks = Webhooks(SECRET, {}, listener.url, is_embedded=True)
    world.desk = replace(world.desk, mail=mail, webhooks=webhooks)
    world.loop = timers.Loop(world.engine, doors.kinds(world.desk))
    found = Channels(world, inbox, listener)
    await found.staffed()
    yield found
    await webhooks.close()
    await inbox.close()
    server.close()


async def test_a_page_by_e_mail_says_where_to_take_the_case_on_and_is_sent_once(channels: Channels) -> None:
    world = channels.world
    await world.hears(world.case(page=("ana",), how=("email",)))
    await world.runs()
    (letter,) = channels.inbox.letters
    assert (letter.to, letter.subject) == (ADDRESS, "Case AM-7F3K-9X needs you")
    assert letter.sender == "Amends Optical <pages@amends.example>"
    assert "case AM-7F3K-9X at Elm Street" in letter.body and "Reply ACK" not in letter.body
    assert letter.body.endswith("Look at it and take it on: https://amends.example.org/cases/AM-7F3K-9X")
    assert await channels.rows() == [("email", "sent", None)] and world.sms.to(MANAGER) == []
    sent = next(event for event in await world.said("sent") if event["audience"] == "staff")
    assert (sent["channel"], sent["staff_id"]) == ("email", "ana")
    rest = str(await world.engine.pool.fetch("select n::text from notices n")) + str(await world.said())
    assert ADDRESS not in rest, "an address rests as ciphertext"


async def test_both_channels_that_a_rung_names_leave_and_an_ack_takes_both_back(channels: Channels) -> None:
    world = channels.world
    world.provider_is(False)
    channels.listener.answers.extend([503] * 9)
    opened = world.case(page=("ana",), how=("text", "webhook"))
    await world.hears(opened)
    await world.runs()
    await world.hears(world.case(CaseAcknowledged, opened.case_id, status="acknowledged", generation=1, expires_at=world.clock.now()))
    await channels.minutes_pass()
    assert await channels.rows() == [("text", "withheld", "acknowledged"), ("webhook", "withheld", "acknowledged")]
    assert len(channels.listener.heard) == 1


async def test_a_webhook_is_signed_and_tells_the_case_and_no_patient(channels: Channels) -> None:
    world = channels.world
    opened = world.case(page=("ana",), how=("webhook",))
    await world.hears(opened)
    await world.runs()
    ((headers, body),) = channels.listener.heard
    assert standard([SECRET], headers, body, machine_now()) and not standard([SECRET], headers, body + b" ", machine_now())
    told = json.loads(body)
    assert told["type"] == "amends.page.page" and told["data"]["case_id"] == str(opened.case_id)
    assert {told["data"][name] for name in ("reference", "staff_id", "location_id")} == {"AM-7F3K-9X", "ana", "store-12"}
    assert told["data"]["notice_id"] == headers["webhook-id"] and "P-1" not in body.decode()
    assert await channels.rows() == [("webhook", "delivered", None)]


async def test_a_webhook_whose_answer_was_lost_is_repeated_under_the_same_id(channels: Channels) -> None:
    world = channels.world
    channels.listener.answers.extend([None, 503])
    await world.hears(world.case(page=("ana",), how=("webhook",)))
    await world.runs()
    await channels.minutes_pass()
    assert len({headers["webhook-id"] for headers, _ in channels.listener.heard}) == 1 and len(channels.listener.heard) == 3
    assert await channels.rows() == [("webhook", "delivered", None)] and world.sms.to(MANAGER) == []


async def test_a_webhook_that_was_cut_off_by_a_kill_is_posted_again(channels: Channels) -> None:
    """Method: the sender is gone after its first byte left; its lease ends."""
    world = channels.world
    channels.listener.answers.append(None)
    await world.hears(world.case(page=("ana",), how=("webhook",)))
    await world.runs()
    await world.engine.pool.execute(
        "update notices set status = 'sending', left_at = now(), lease_until = now() - interval '1 s', token = token + 1"
        " where channel = 'webhook'"
    )
    await usecases.look_at_silent(world.desk)
    assert len(channels.listener.heard) == 2 and (await channels.rows())[0] == ("webhook", "delivered", None)


@pytest.mark.parametrize(
    ("answers", "tries", "reason"), [([302], 1, "provider-302"), ([410], 1, "provider-410"), ([500] * 9, 4, "provider-unreachable")]
)
async def test_a_webhook_that_does_not_get_there_is_a_text_that_says_so_and_no_redirect_is_followed(
    channels: Channels, answers: list[int], tries: int, reason: str
) -> None:
    world = channels.world
    channels.listener.answers.extend(answers)
    await world.hears(world.case(page=("ana",), how=("webhook",)))
    await world.runs()
    await channels.minutes_pass()
    assert len(channels.listener.heard) == tries
    assert await channels.rows() == [("webhook", "failed", reason), ("text", "sent", None)]
    (text,) = world.sms.to(MANAGER)
    assert "Reply ACK to take it." in text and text.endswith("(Webhook did not work.)")


@pytest.mark.parametrize(("answer", "status"), [("550 no such person", "failed"), (None, "uncertain")])
async def test_an_e_mail_that_was_refused_or_of_which_nobody_knows_is_a_text_and_never_sent_again(
    channels: Channels, answer: str | None, status: str
) -> None:
    world = channels.world
    channels.inbox.answers.append(answer)
    await world.hears(world.case(page=("ana",), how=("email",)))
    await world.runs()
    for _ in range(4):
        await world.silence()
        await usecases.look_at_silent(world.desk)
    await channels.minutes_pass()
    assert [row[:2] for row in await channels.rows()] == [("email", status), ("text", "sent")]
    assert len(world.sms.to(MANAGER)) == 1 and len(channels.inbox.letters) == (answer is None)


async def test_who_has_no_address_is_texted_at_once_and_once(channels: Channels) -> None:
    """Also where the ladder asks for a text anyway: one cause, one text."""
    world = channels.world
    await channels.staffed(email=None)
    await world.hears(world.case(page=("ana",), how=("email",)))
    await world.runs()
    await world.hears(world.case(page=("ana",), how=("text", "email"), reference="AM-0000-00"))
    await world.runs()
    assert sorted(await channels.rows()) == sorted([("email", "withheld", "no-email"), ("text", "sent", None)] * 2)
    first, second = world.sms.to(MANAGER)
    assert first.endswith("(E-mail did not work.)") and not second.endswith("(E-mail did not work.)")


async def test_a_mail_server_that_is_away_is_tried_again_and_takes_the_page_later(channels: Channels) -> None:
    world = channels.world
    channels.inbox.answers.extend(["451 later", "451 later"])
    await world.hears(world.case(page=("ana",), how=("email",)))
    await world.runs()
    await channels.minutes_pass()
    assert len(channels.inbox.letters) == 1 and await channels.rows() == [("email", "sent", None)]


async def test_18_a_storm_is_one_e_mail_with_a_list_and_a_webhook_for_each(channels: Channels) -> None:
    world = channels.world
    cases = [world.case(page=(), reference=f"AM-000{n}-00") for n in range(3)]
    for case in cases:
        await world.hears(case)
    storm = Storm(storm_id=new_id(), pages={"ana": 3})
    for case in cases:
        await world.hears(
            world.case(
                TargetBreached, case.case_id, reference=case.reference, milestone="acknowledge", due_at=world.clock.now(), page=("ana",),
                level=1, storm=storm, how=("email", "webhook"),
            )
        )  # fmt: skip
    await world.runs()
    await channels.minutes_pass()
    (letter,) = channels.inbox.letters
    assert letter.subject == "3 cases need you" and all(case.reference in letter.body for case in cases)
    assert len(channels.listener.heard) == 3


async def test_another_person_without_an_own_address_at_the_same_webhook_is_told_apart(channels: Channels) -> None:
    world = channels.world
    opened = world.case(page=())
    await world.hears(opened)
    stepped: Any = world.case(
        EscalationStepped, opened.case_id, due_at=world.clock.now(), step=1, page=("ana", "rita"), how=("webhook", "email")
    )
    await world.hears(stepped)
    await world.runs()
    assert {json.loads(body)["data"]["staff_id"] for _, body in channels.listener.heard} == {"ana", "rita"}
    assert len(world.sms.to(REGION)) == 1, "Rita has no address"


@pytest.mark.parametrize("url", ["http://example.org/x", "ftp://example.org", "https://", "https://ana@example.org/x", "nonsense"])
def test_a_webhook_goes_to_https_addresses_alone(url: str) -> None:
    with pytest.raises(ValueError, match="https address"):
        Webhooks(SECRET, {}, url, is_embedded=False)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "no base64!"])
def test_a_webhook_without_a_real_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Webhooks(secret, {}, "https://example.org", is_embedded=False)
