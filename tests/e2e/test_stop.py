"""STOP silences: one confirmation, then nothing, until the patient's own START."""

import pytest

from tests.support.builders import MIA, OAK, Patient, three_trips
from tests.support.stack import Amends

pytestmark = pytest.mark.e2e

STORY = {"verbatim": "They pinch behind the ears.", "wished_outcome": "A better fit.", "read_back_confirmed": True}


async def test_after_stop_nothing_is_texted_until_start(amends: Amends) -> None:
    now = await amends.open_hours(hours=3)
    olga = Patient("Olga Example")
    await amends.send(*three_trips(olga, "order-olga", now=now, store=OAK))
    case = await amends.case_of(olga.ref)
    assert len(await amends.texts(olga.phone)) == 1

    await amends.answer(olga.phone, "Stop.")
    after_stop = await amends.texts(olga.phone)
    assert len(after_stop) == 2
    assert "START" in after_stop[1]
    await amends.answer(olga.phone, "STOP")
    await amends.do(f"/v1/cases/{case['id']}/acknowledge", by=MIA)
    await amends.do(f"/v1/cases/{case['id']}/story", STORY, by=MIA)
    await amends.advance(30)
    assert await amends.texts(olga.phone) == after_stop
    notices = await amends.items("/v1/notices", case_id=case["id"])
    silenced = {n["template"] for n in notices if n["audience"] == "patient" and (n["status"], n["reason"]) == ("withheld", "opted-out")}
    assert {"acknowledged", "offer_settled"} <= silenced
    # Money is hers all the same: silence is no decline.
    (gas,) = await amends.items("/v1/restitutions", case_id=case["id"])
    assert gas["status"] == "settled"

    await amends.answer(olga.phone, "START")
    assert len(await amends.texts(olga.phone)) == 3
    await amends.do(f"/v1/cases/{case['id']}/resolve", {"root_cause": "frame_defect", "action": "adjustment"}, by=MIA)
    assert case["reference"] in (await amends.texts(olga.phone))[3]


async def test_a_question_with_the_word_stop_in_it_silences_nothing(amends: Amends) -> None:
    now = await amends.open_hours(hours=3)
    otto = Patient("Otto Example")
    await amends.send(*three_trips(otto, "order-otto", now=now, store=OAK))
    case = await amends.case_of(otto.ref)
    await amends.answer(otto.phone, "Did the lab stop my order?")
    await amends.do(f"/v1/cases/{case['id']}/acknowledge", by=MIA)
    texts = await amends.texts(otto.phone)
    assert len(texts) == 2
    assert "opted out" not in " ".join(texts)


async def test_stop_belongs_to_the_number_so_both_patients_who_share_it_are_silent(amends: Amends) -> None:
    now = await amends.open_hours(hours=3)
    mother, child = Patient("Opal Example"), Patient("Oscar Example")
    child.phone = mother.phone
    await amends.send(*three_trips(mother, "order-opal", now=now, store=OAK))
    await amends.answer(mother.phone, "please stop texting me")
    silent = await amends.texts(mother.phone)
    await amends.send(*three_trips(child, "order-oscar", now=now, store=OAK))
    case = await amends.case_of(child.ref)
    assert await amends.texts(child.phone) == silent
    for ref in (mother.ref, child.ref):
        found = await amends.case_of(ref)
        await amends.do(f"/v1/cases/{found['id']}/acknowledge", by=MIA)
    assert await amends.texts(child.phone) == silent
    assert case["reference"] not in " ".join(silent)
