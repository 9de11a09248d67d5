"""Texts that come in: STOP and the way back, ACK, a patient's words (behaviours 32, 40)."""

from dataclasses import replace

import pytest

from services.notification.usecases import messages_of
from shared.contracts.cases import CaseAcknowledged
from tests.integration.notification.conftest import MANAGER, NOON, PATIENT, World

pytestmark = pytest.mark.integration


async def understood(world: World, kind: str) -> list[dict[str, object]]:
    return [event for event in await world.said("reply_understood") if event["kind"] == kind]


async def test_stop_silences_everybody_who_shares_the_number_and_is_confirmed_once(world: World) -> None:
    await world.hears(world.patient("P-2", PATIENT))
    world.provider_is(there=False)
    await world.hears(world.case())
    world.provider_is(there=True)
    await world.texts("STOP.")
    await world.texts("stop")
    assert world.sms.to(PATIENT) == ["Amends Optical: you are opted out and will get no more texts. Reply START to get them again."]
    before = len(world.sms.sent)
    await world.hears(world.case(), world.case(patient_ref="P-2"))
    await world.runs()
    assert len(world.sms.sent) == before
    assert {e["patient_ref"] for e in await world.said("consent_recorded")} == {"P-1", "P-2"}
    await world.texts("START")
    await world.hears(world.case())
    await world.runs()
    assert len(world.sms.sent) == before + 2


async def test_where_the_provider_confirms_we_do_not(world: World) -> None:
    world.desk = replace(world.desk, provider_confirms_stop=True)
    await world.texts("STOP")
    assert world.sms.sent == [] and len(await understood(world, "stop")) == 1


async def test_help_tells_who_we_are_how_to_stop_and_whom_to_call_also_after_stop(world: World) -> None:
    await world.texts("STOP")
    await world.texts("help")
    assert "+12125550112" in world.sms.to(PATIENT)[-1] and "STOP" in world.sms.to(PATIENT)[-1]


async def test_the_same_message_of_the_provider_twice_is_taken_once(world: World) -> None:
    for _ in range(2):
        await world.texts("help", sid="SM1")
    assert len(world.sms.sent) == 1


async def test_ack_takes_the_only_open_page(world: World) -> None:
    opened = world.case(page=("ana",))
    await world.hears(opened)
    await world.runs()
    await world.texts("Ack", MANAGER)
    (reply,) = await understood(world, "acknowledge")
    assert (reply["case_id"], reply["staff_id"]) == (str(opened.case_id), "ana")


async def test_with_two_open_pages_ack_asks_which_and_the_number_answers(world: World) -> None:
    first = world.case(page=("ana",), reference="AM-0001-00", patient_ref=None)
    second = world.case(page=("ana",), reference="AM-0002-00", patient_ref=None)
    for opened in (first, second):
        await world.hears(opened)
        await world.runs()
    await world.texts("YES", MANAGER)
    assert world.sms.to(MANAGER)[-1].endswith("which one? 1 AM-0002-00, 2 AM-0001-00. Reply with its number.")
    assert await understood(world, "acknowledge") == []
    await world.texts("2", MANAGER)
    (reply,) = await understood(world, "acknowledge")
    assert reply["case_id"] == str(first.case_id)


async def test_ack_with_nothing_open_says_so(world: World) -> None:
    opened = world.case(page=("ana",), patient_ref=None)
    await world.hears(opened)
    await world.runs()
    await world.hears(world.case(CaseAcknowledged, opened.case_id, status="acknowledged", generation=1, expires_at=NOON, patient_ref=None))
    await world.texts("ACK", MANAGER)
    assert world.sms.to(MANAGER)[-1].endswith("nothing is waiting for you now.") and await understood(world, "acknowledge") == []


async def test_a_patients_words_go_to_the_case_last_texted_and_rest_as_ciphertext(world: World) -> None:
    opened = world.case()
    await world.hears(opened)
    await world.runs()
    await world.texts("Did the lab stop my order?")
    (reply,) = await understood(world, "message")
    assert (reply["case_id"], reply["patient_ref"]) == (str(opened.case_id), "P-1")
    assert "lab" not in str(await world.said()) + str(await world.engine.pool.fetch("select m::text from messages m"))
    (shown,) = await messages_of(world.desk, opened.case_id)
    assert shown["body"] == "Did the lab stop my order?"


async def test_two_patients_behind_one_number_are_asked_which_case_is_meant(world: World) -> None:
    await world.hears(world.patient("P-2", PATIENT))
    first, second = world.case(reference="AM-0001-00"), world.case(reference="AM-0002-00", patient_ref="P-2")
    world.provider_is(there=False)
    await world.hears(first)
    await world.hears(second)
    world.provider_is(there=True)
    await world.texts("it still hurts")
    assert await understood(world, "message") == []
    await world.texts("2")
    (reply,) = await understood(world, "message")
    assert (reply["case_id"], reply["patient_ref"]) == (str(first.case_id), "P-1")
    assert [m["body"] for m in await messages_of(world.desk, first.case_id)] == ["it still hurts", "2"]


async def test_a_stranger_is_kept_and_belongs_to_no_case(world: World) -> None:
    await world.texts("hello?", "+12125550188")
    (reply,) = await understood(world, "message")
    assert "case_id" not in reply and await world.engine.pool.fetchval("select count(*) from messages") == 1
