"""The third trip for the same glasses earns gas money, once the story was heard."""

import pytest

from tests.support.builders import ANA, ELM, LEE, PHONES, RAJ, Patient, three_trips
from tests.support.stack import Amends

pytestmark = pytest.mark.e2e

STORY = {"verbatim": "The left side slides down when I read.", "wished_outcome": "Glasses that stay on.", "read_back_confirmed": True}
DONE = {"root_cause": "frame_defect", "action": "adjustment", "note": "New temple fitted."}


async def test_the_third_trip_opens_a_case_and_the_patient_is_told(amends: Amends) -> None:
    paula = Patient("Paula Example")
    await amends.send(*three_trips(paula, "order-paula"))

    case = await amends.case_of(paula.ref)
    assert (case["catalyst"], case["severity"], case["location_id"]) == ("fit_adjustment", 2, ELM)
    assert case["owner"] == {"staff_id": LEE}
    (receipt,) = await amends.texts(paula.phone)
    assert case["reference"] in receipt
    assert "STOP" in receipt
    assert any(case["reference"] in text for text in await amends.texts(PHONES[LEE]))


async def test_gas_money_waits_for_the_story_and_is_paid_once(amends: Amends) -> None:
    pablo = Patient("Pablo Example")
    await amends.send(*three_trips(pablo, "order-pablo"))
    case = await amends.case_of(pablo.ref)
    (gas,) = await amends.items("/v1/restitutions", case_id=case["id"])
    assert (gas["kind"], gas["amount_minor"], gas["currency"], gas["status"]) == ("gas_money", 2610, "USD", "approved")
    assert gas["decision"]["row"] == "within-authority"

    early = await amends.ask(f"/v1/restitutions/{gas['id']}/offer", by=ANA)
    assert (early.status_code, early.json()["code"]) == (409, "story-not-confirmed")
    early = await amends.ask(f"/v1/cases/{case['id']}/resolve", DONE, by=ANA)
    assert (early.status_code, early.json()["code"]) == (409, "story-not-confirmed")
    before = await amends.texts(pablo.phone)

    await amends.do(f"/v1/cases/{case['id']}/acknowledge", by=LEE)
    await amends.do(f"/v1/cases/{case['id']}/story", STORY, by=LEE)

    (gas,) = await amends.items("/v1/restitutions", case_id=case["id"])
    assert gas["status"] == "settled"
    told = (await amends.texts(pablo.phone))[len(before) :]
    offers = [text for text in told if "26.10" in text]
    assert len(offers) == 1, told
    assert "/p/" in offers[0]
    legs = await amends.items("/v1/ledger", case_id=case["id"])
    assert sum(leg["amount_minor"] for leg in legs) == 0
    posted = [leg for leg in legs if leg["state"] == "posted"]
    assert sum(leg["amount_minor"] for leg in posted if leg["amount_minor"] > 0) == 2610

    resolved = await amends.do(f"/v1/cases/{case['id']}/resolve", DONE, by=ANA)
    assert resolved["status"] == "resolved"

    # Three texts were hers today; the fourth waits for tomorrow and is not dropped.
    today = await amends.texts(pablo.phone)
    assert len(today) == 3
    await amends.advance(24 * 60)
    (news,) = (await amends.texts(pablo.phone))[3:]
    assert case["reference"] in news


async def test_without_a_distance_a_person_decides_and_nobody_decides_on_their_own_wish(amends: Amends) -> None:
    now = await amends.open_hours(hours=3)
    pilar = Patient("Pilar Example")
    await amends.send(*three_trips(pilar, "order-pilar", now=now, miles=None))
    case = await amends.case_of(pilar.ref)
    (gas,) = await amends.items("/v1/restitutions", case_id=case["id"])
    assert (gas["status"], gas["decision"]["row"]) == ("referred", "no-distance")

    wish = {"case_id": case["id"], "kind": "store_credit", "amount_minor": 4000, "reason": "Three trips for nothing."}
    asked = await amends.do("/v1/restitutions", wish, by=ANA)
    own = await amends.ask(f"/v1/restitutions/{asked['id']}/approve", by=ANA)
    assert (own.status_code, own.json()["code"]) == (403, "own-approval")
    approved = await amends.do(f"/v1/restitutions/{asked['id']}/approve", by=RAJ)
    assert (approved["status"], approved["approved_by"]) == ("approved", [RAJ])
