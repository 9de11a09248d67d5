"""From an event of a case to a text in a hand: queued, held, merged, withheld, sent once."""

import hashlib
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.notification.usecases import notices_of
from shared.contracts.cases import (
    AcknowledgementExpired,
    CaseAcknowledged,
    CaseEvent,
    CaseResolved,
    EscalationStepped,
    Storm,
    TargetBreached,
)
from shared.contracts.patients import Consent
from shared.contracts.restitutions import RestitutionSettled
from shared.kernel.ids import new_id
from tests.integration.notification.conftest import MANAGER, NOON, PATIENT, REGION, World

pytestmark = pytest.mark.integration


def acknowledged(world: World, case_id: UUID, generation: int = 1) -> CaseAcknowledged:
    event: CaseAcknowledged = world.case(
        CaseAcknowledged, case_id, status="acknowledged", generation=generation, expires_at=NOON + timedelta(hours=4)
    )
    return event


async def test_an_opened_case_is_a_receipt_with_a_link_and_a_page(world: World) -> None:
    opened = world.case(page=("ana",))
    await world.hears(opened)
    await world.runs()
    (receipt,), (page,) = world.sms.to(PATIENT), world.sms.to(MANAGER)
    assert receipt.startswith("Amends Optical: we have your case AM-7F3K-9X. The manager of Elm Street looks after it")
    assert "by Mon 1:00 PM" in receipt and receipt.endswith("Reply STOP to opt out.") and "Ana" not in receipt
    assert page.endswith("Acknowledge by Mon 12:15 PM. Reply ACK to take it.")
    secret = re.search(r"https://amends\.example\.org/p/(\S+)", receipt)
    (link,) = await world.said("link_issued")
    assert secret is not None and link["token_hash"] == hashlib.sha256(secret[1].encode()).hexdigest() and len(secret[1]) == 22
    assert [e["type"].rsplit(".", 1)[1] for e in await world.said()].count("sent") == 2
    assert await world.engine.pool.fetchval("select count(*) from timers") == 0


async def test_words_numbers_and_secrets_rest_as_ciphertext_and_the_link_is_not_shown(world: World) -> None:
    opened = world.case(page=("ana",))
    await world.hears(opened)
    await world.runs()
    (receipt,) = world.sms.to(PATIENT)
    secret = receipt.split("/p/")[1].split()[0]
    rows = str(await world.engine.pool.fetch("select n::text from notices n")) + str(await world.said())
    assert secret not in rows and PATIENT not in rows and receipt.encode().hex() not in rows
    shown = await notices_of(world.desk, opened.case_id)
    assert secret not in str(shown) and "we have your case" in shown[0]["body"]


async def test_the_same_cause_twice_is_one_text(world: World) -> None:
    opened, event_id = world.case(), new_id()
    await world.hears(opened, ids=(event_id,))
    await world.engine.pool.execute("delete from cases")
    await world.hears(opened, ids=(event_id,))
    await world.runs()
    assert len(world.sms.sent) == 1 and len(await world.said("queued")) == 1


async def test_a_case_whose_patient_is_not_here_yet_waits_and_withholds_nothing(world: World) -> None:
    opened = world.case(patient_ref="P-2")
    assert await world.hears(opened) == ["waiting"]
    assert await world.statuses() == [] and await world.engine.pool.fetchval("select count(*) from cases") == 0
    await world.hears(world.patient("P-2", "+12125550102"))
    assert await world.hears(opened) == []
    await world.runs()
    assert len(world.sms.to("+12125550102")) == 1


async def test_a_patient_without_a_number_and_one_who_refused_are_withheld_with_the_reason(world: World) -> None:
    await world.hears(world.patient("P-2", None))
    refusal = Consent(purpose="care", granted=False, at=NOON, source="web form")
    await world.hears(world.patient("P-3", "+12125550103", consents=(refusal,)))
    await world.hears(world.case(patient_ref="P-2"), world.case(patient_ref="P-3"))
    await world.runs()
    assert world.sms.sent == []
    assert [event["reason"] for event in await world.said("withheld")] == ["no-phone", "no-consent"]


async def test_acknowledgement_takes_back_pages_that_wait(world: World) -> None:
    opened = world.case(page=("ana",))
    world.provider_is(there=False)
    await world.hears(opened, world.case(EscalationStepped, opened.case_id, step=1, due_at=NOON, page=("rita",)))
    world.provider_is(there=True)
    await world.hears(acknowledged(world, opened.case_id))
    await world.runs()
    assert world.sms.to(MANAGER) == [] and world.sms.to(REGION) == []
    assert [event["reason"] for event in await world.said("withheld")] == ["acknowledged"] * 2
    expired = world.case(AcknowledgementExpired, opened.case_id, generation=2, page=("ana",))
    await world.hears(expired)
    await world.runs()
    assert len(world.sms.to(MANAGER)) == 1


async def test_a_page_and_its_acknowledgement_in_one_batch_leave_nobody_woken(world: World) -> None:
    opened = world.case(page=("ana",))
    await world.hears(opened, acknowledged(world, opened.case_id))
    await world.runs()
    assert world.sms.to(MANAGER) == [] and [event["reason"] for event in await world.said("withheld")] == ["acknowledged"]


async def test_what_is_due_at_once_leaves_with_its_batch_and_sets_no_timer(world: World) -> None:
    await world.hears(world.case(page=("ana",)))
    assert len(world.sms.to(PATIENT)) == len(world.sms.to(MANAGER)) == 1
    assert await world.engine.pool.fetchval("select count(*) from timers") == 0
    assert await world.engine.pool.fetchval("select count(*) from timers_done") == 0


async def test_what_is_due_takes_along_what_waits_for_the_same_number_and_is_due_too(world: World) -> None:
    first, second = world.case(reference="AM-0001-00", page=("ana",)), world.case(reference="AM-0002-00", page=("ana",))
    world.provider_is(there=False)
    await world.hears(first)
    world.provider_is(there=True)
    world.clock.jump_to(NOON + timedelta(minutes=20))
    await world.hears(second)
    (text,) = world.sms.to(MANAGER)
    assert "AM-0001-00" in text and "AM-0002-00" in text
    await world.runs()
    assert len(world.sms.to(MANAGER)) == 1 and await world.engine.pool.fetchval("select count(*) from timers") == 0


async def test_at_night_texts_wait_for_nine_and_become_one(world: World) -> None:
    world.clock.jump_to(NOON + timedelta(hours=9))
    opened = world.case(next_contact_by=NOON + timedelta(days=1))
    await world.hears(opened)
    await world.hears(acknowledged(world, opened.case_id))
    await world.runs()
    assert world.sms.sent == [] and {status for _, status, _ in await world.statuses()} == {"held"}
    await world.passes(timedelta(hours=12) - timedelta(seconds=1))
    assert world.sms.sent == []
    await world.passes(timedelta(seconds=1))
    (text,) = world.sms.to(PATIENT)
    assert "we have your case" in text and "has taken on your case" in text and text.count("/p/") == 1
    assert [(t, s) for t, s, _ in await world.statuses()] == [("receipt", "sent"), ("acknowledged", "sent")]


async def test_what_no_longer_holds_when_it_wakes_is_withheld(world: World) -> None:
    world.clock.jump_to(NOON + timedelta(hours=9))
    opened = world.case()
    await world.hears(opened)
    await world.hears(world.case(CaseResolved, opened.case_id, status="resolved", root_cause="other", action="fixed"))
    await world.passes(timedelta(hours=12))
    (text,) = world.sms.to(PATIENT)
    assert "we finished our work" in text and "we have your case" not in text
    assert ("receipt", "withheld", "case-resolved") in await world.statuses()


async def test_the_fourth_text_of_a_day_waits_for_the_next(world: World) -> None:
    opened = world.case()
    await world.hears(opened)
    await world.runs()
    for n in range(3):
        await world.passes(timedelta(minutes=1))
        await world.hears(acknowledged(world, opened.case_id, n + 1))
        await world.runs()
    assert len(world.sms.to(PATIENT)) == 3
    await world.passes(timedelta(days=1))
    assert len(world.sms.to(PATIENT)) == 4


async def test_an_offer_that_is_settled_at_once_is_one_text_without_the_amount_unless_agreed(world: World) -> None:
    opened = world.case()
    await world.hears(opened)
    settled = RestitutionSettled(
        restitution_id=new_id(), case_id=opened.case_id, at=NOON, location_id="store-12", patient_ref="P-1", kind="gas_money",
        amount_minor=2610, currency="USD", status="settled",
    )  # fmt: skip
    await world.runs()
    await world.hears(settled)
    await world.runs()
    assert "good news" in world.sms.to(PATIENT)[1] and "$" not in world.sms.to(PATIENT)[1]
    agreed = Consent(purpose="compensation", granted=True, at=NOON, source="web form")
    await world.hears(world.patient(version=2, consents=(agreed,)))
    await world.hears(settled.model_copy(update={"version": 2}))
    await world.runs()
    assert "$26.10 gas money" in world.sms.to(PATIENT)[2]


async def test_a_restitution_of_a_case_not_heard_of_yet_waits(world: World) -> None:
    settled = RestitutionSettled(
        restitution_id=new_id(), case_id=new_id(), at=NOON, location_id="store-12", kind="gas_money", amount_minor=1, currency="USD",
        status="settled",
    )  # fmt: skip
    assert await world.hears(settled) == ["waiting"]


def storm_of(world: World, size: int) -> list[CaseEvent]:
    """So many cases that wake Ana at one moment, as escalation tells of them."""
    told: dict[str, Any] = {
        "milestone": "acknowledge",
        "due_at": NOON,
        "page": ("ana",),
        "storm": Storm(storm_id=new_id(), pages={"ana": size}),
    }
    return [world.case(TargetBreached, patient_ref=None, reference=f"AM-000{n}-00", **told) for n in range(size)]


async def test_18_a_storm_across_batches_is_one_page_with_a_list_once_its_last_case_is_heard(world: World) -> None:
    cases = storm_of(world, 5)
    for batch in (cases[:2], cases[2:4]):
        await world.hears(*batch)
        await world.runs()
        assert world.sms.to(MANAGER) == []
    await world.hears(cases[4])
    await world.runs()
    (page,) = world.sms.to(MANAGER)
    assert "5 cases need you: AM-0000-00, AM-0001-00, AM-0002-00, AM-0003-00 and 1 more." in page
    await world.passes(timedelta(minutes=5))
    assert len(world.sms.to(MANAGER)) == 1


async def test_18_a_storm_whose_last_case_never_comes_waits_a_minute(world: World) -> None:
    await world.hears(*storm_of(world, 3)[:2])
    await world.passes(timedelta(seconds=59))
    assert world.sms.to(MANAGER) == []
    await world.passes(timedelta(seconds=1))
    assert "2 cases need you" in world.sms.to(MANAGER)[0]


async def test_18_what_comes_within_the_minute_after_a_page_follows_as_one(world: World) -> None:
    breached = [
        world.case(TargetBreached, milestone="acknowledge", due_at=NOON, page=("ana",), patient_ref=None, reference=f"AM-000{n}-00")
        for n in range(4)
    ]
    for n, event in enumerate(breached):
        await world.passes(timedelta(seconds=10 if n else 0))
        await world.hears(event)
        await world.runs()
    assert len(world.sms.to(MANAGER)) == 1, "the first at once"
    await world.passes(timedelta(seconds=30))
    first, second = world.sms.to(MANAGER)
    assert "AM-0000-00" in first and "3 cases need you: AM-0001-00, AM-0002-00, AM-0003-00." in second
    assert world.clock.now() == NOON + timedelta(seconds=60)


async def test_18_an_owner_is_told_of_three_new_cases_one_by_one_and_of_more_together(world: World) -> None:
    for n in range(5):
        await world.hears(world.case(page=("ana",), patient_ref=None, reference=f"AM-000{n}-00"))
        await world.runs()
    assert len(world.sms.to(MANAGER)) == 3
    await world.passes(timedelta(seconds=60))
    assert "2 cases need you: AM-0003-00, AM-0004-00." in world.sms.to(MANAGER)[3]


async def test_16_an_acknowledgement_takes_its_case_out_of_a_storm_that_waits(world: World) -> None:
    first, second, third = storm_of(world, 3)
    await world.hears(first, second)
    await world.hears(acknowledged(world, first.case_id))
    await world.hears(third)
    await world.runs()
    (page,) = world.sms.to(MANAGER)
    assert "2 cases need you: AM-0001-00, AM-0002-00." in page


async def test_many_pages_to_one_person_are_one_with_a_list(world: World) -> None:
    await world.hears(*[world.case(page=("ana",), patient_ref=None, reference=f"AM-000{n}-00") for n in range(6)])
    await world.runs()
    (page,) = world.sms.to(MANAGER)
    assert "6 cases need you: AM-0000-00, AM-0001-00, AM-0002-00, AM-0003-00 and 2 more." in page
    assert {status for _, status, _ in await world.statuses()} == {"sent"}
