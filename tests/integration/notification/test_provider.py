"""What the provider does to a text: lost answers, crashes, callbacks in any order. At most once, whatever comes (behaviours 37, 38)."""

import asyncio
from datetime import timedelta
from itertools import permutations
from uuid import UUID

import pytest

from services.notification import usecases
from services.notification.domain.notice import TRIES_MAX
from services.notification.gateway import Accepted, Ambiguous, NotSent, Refused
from services.notification.usecases import Report, look_at_silent
from services.notification.usecases.results import Given, record
from services.notification.usecases.send import send_due
from shared.kernel.clock import machine_now
from shared.timers import Due
from tests.integration.notification.conftest import PATIENT, World

pytestmark = pytest.mark.integration


async def reported(world: World, sid: str, status: str, notice_id: UUID | None = None, code: str | None = None) -> None:
    async with world.engine.transaction() as tx:
        await usecases.report(world.desk, tx, Report(sid, status, code, notice_id))


async def the_status(world: World) -> str:
    ((_, status, _),) = await world.statuses()
    return status


async def test_a_lost_answer_is_looked_up_and_never_sent_again(world: World) -> None:
    world.sms.answers = [Ambiguous("timeout")]
    world.sms.looks = [Ambiguous("timeout"), Accepted("SM1", "delivered")]
    await world.hears(world.case())
    await world.runs()
    assert await the_status(world) == "sending"
    for _ in range(2):
        await world.silence()
        assert await look_at_silent(world.desk) == 1
    await world.runs()
    assert len(world.sms.sent) == 1 and world.sms.looked == 2 and await the_status(world) == "delivered"


async def test_when_neither_answer_nor_looks_tell_a_person_looks(world: World) -> None:
    world.sms.answers = [Ambiguous("timeout")]
    await world.hears(world.case())
    await world.runs()
    for _ in range(4):
        await world.silence()
        await look_at_silent(world.desk)
        await world.runs()
    assert len(world.sms.sent) == 1 and world.sms.looked == 3 and await the_status(world) == "uncertain"
    assert len(await world.said("uncertain")) == 1
    await reported(world, "SM9", "delivered", world.sms.sent[0][2])
    assert await the_status(world) == "delivered"


async def test_a_crash_before_the_first_byte_sends_it_once_after_all(world: World) -> None:
    await world.hears_and_dies(world.case())
    assert world.sms.sent == [] and await the_status(world) == "sending"
    await world.silence()
    await look_at_silent(world.desk)
    await world.runs()
    assert len(world.sms.sent) == 1 and await the_status(world) == "sent"


async def test_what_a_process_left_unsent_is_taken_back_when_the_next_begins_and_counts_as_no_try(world: World) -> None:
    later = await world.hears_and_dies(world.case())
    for _ in range(TRIES_MAX + 1):
        assert await the_status(world) == "sending" and await look_at_silent(world.desk) == 0
        assert await look_at_silent(world.desk, machine_now()) == 1
        due = [Due(**row) for row in await world.engine.pool.fetch("select kind, subject, name, generation, due_at, data from timers")]
        async with world.engine.transaction() as tx:
            await send_due(world.desk, tx, due)
            later += tx.afterwards
            tx.afterwards.clear()
    for run in later:
        await run()
    assert len(world.sms.sent) == 1 and await the_status(world) == "sent"


async def test_what_may_have_left_keeps_its_lease_when_the_next_process_begins(world: World) -> None:
    world.sms.answers = [Ambiguous("timeout")]
    await world.hears(world.case())
    assert await look_at_silent(world.desk, machine_now()) == 0 and await the_status(world) == "sending"


async def test_a_stop_between_intent_and_call_keeps_the_text_back(world: World) -> None:
    later = await world.hears_and_dies(world.case())
    await world.texts("STOP")
    for run in later:
        await run()
    await world.silence()
    await look_at_silent(world.desk)
    await world.runs()
    assert [body for body in world.sms.to(PATIENT) if "opted out" not in body] == []
    assert ("receipt", "withheld", "opted-out") in await world.statuses()


async def test_a_sender_that_slept_beyond_its_turn_neither_sends_nor_writes(world: World) -> None:
    world.sms.answers = [NotSent("refused")]
    await world.hears(world.case())
    await world.runs()
    notice_id, token = world.sms.sent[0][2], 1
    await world.passes(timedelta(minutes=1))
    assert len(world.sms.sent) == 2 and await the_status(world) == "sent"
    await record(world.desk, [Given(notice_id, token, Refused("30001"))])
    assert await the_status(world) == "sent"


async def test_busy_is_tried_again_and_a_clear_no_is_not(world: World) -> None:
    world.sms.answers = [Refused("20429", is_busy=True), Refused("21211")]
    await world.hears(world.case())
    await world.runs()
    await world.passes(timedelta(minutes=1))
    await world.passes(timedelta(hours=2))
    assert len(world.sms.sent) == 2 and await world.statuses() == [("receipt", "failed", "provider-21211")]
    assert [event["reason"] for event in await world.said("failed")] == ["provider-21211"]


async def test_the_provider_s_21610_writes_the_opt_out(world: World) -> None:
    world.sms.answers = [Refused("21610")]
    await world.hears(world.case())
    await world.runs()
    assert await world.statuses() == [("receipt", "failed", "opted-out")]
    await world.hears(world.case())
    await world.runs()
    assert len(world.sms.sent) == 1 and (await world.said("consent_recorded"))[0]["patient_ref"] == "P-1"


@pytest.mark.parametrize("order", list(permutations(["queued", "sent", "delivered"])))
async def test_reports_in_any_order_and_twice_end_delivered_once(world: World, order: tuple[str, ...]) -> None:
    world.sms.answers = [Accepted("SM1", "queued")]
    await world.hears(world.case())
    await world.runs()
    for status in (*order, *order):
        await reported(world, "SM1", status)
    assert await the_status(world) == "delivered"
    assert len(await world.said("delivered")) == 1 and len(await world.said("sent")) == 1


async def test_a_report_that_comes_before_the_answer_waits_for_it(world: World) -> None:
    await reported(world, "SM1", "delivered")
    world.sms.answers = [Accepted("SM1", "queued")]
    await world.hears(world.case())
    await world.runs()
    assert await the_status(world) == "delivered"


async def test_a_report_for_another_message_cannot_settle_a_notice(world: World) -> None:
    world.sms.answers = [Accepted("SM1", "queued")]
    await world.hears(world.case())
    await world.runs()
    await reported(world, "SM2", "delivered", world.sms.sent[0][2])
    assert await the_status(world) == "sent"


async def test_undelivered_is_told_with_its_reason(world: World) -> None:
    world.sms.answers = [Accepted("SM1", "queued")]
    await world.hears(world.case())
    await world.runs()
    await reported(world, "SM1", "undelivered", code="30003")
    assert await world.statuses() == [("receipt", "undelivered", "provider-30003")]


async def test_two_watchers_look_once(world: World) -> None:
    world.sms.answers = [Ambiguous("timeout")]
    world.sms.looks = [Accepted("SM1", "sent")]
    await world.hears(world.case())
    await world.runs()
    await world.silence()
    found = await asyncio.gather(*(look_at_silent(world.desk) for _ in range(4)))
    assert sum(found) == 1 and world.sms.looked == 1


async def test_without_a_provider_texts_wait_visibly_and_leave_once_there_is_one(world: World) -> None:
    """Goal: nothing is tried, nothing fails, and what waited is judged anew. Method: the same desk without and with its provider."""
    world.provider_is(False)
    await world.hears(world.case())
    await world.runs()
    assert {(status, reason) for _, status, reason in await world.statuses()} == {("held", "no-provider")}
    await world.passes(timedelta(minutes=15))
    assert world.sms.sent == []
    world.provider_is(True)
    await world.passes(timedelta(minutes=15))
    assert len(world.sms.sent) == 1
    assert await the_status(world) == "sent"
