"""From the third trip to the code, on a real Postgres."""

from datetime import timedelta
from typing import Any

from services.restitution import usecases
from shared.contracts.cases import CaseAcknowledged
from shared.kernel.ids import new_id
from tests.integration.restitution.conftest import World, trips


async def test_the_third_trip_is_approved_then_offered_and_paid_once_the_story_is_confirmed(world: World) -> None:
    opened = world.case(trips=trips(3), location_id="store-13")
    reserved, posted = await world.budget("store-13")
    await world.hears(opened)
    await world.runs()
    found = await world.the_one(opened.case_id)
    assert (found["kind"], found["amount_minor"], found["currency"], found["status"]) == ("gas_money", 2610, "USD", "approved")
    assert (found["requested_by"], found["approved_by"]) == ("system", ["system"])
    assert found["decision"]["row"] == "within-authority"
    assert await world.ledger(opened.case_id) == [("goodwill", -2610, "pending"), ("patient", 2610, "pending")]
    assert await world.budget("store-13") == (reserved + 2610, posted)
    early = await world.asks("ana", "POST", f"/v1/restitutions/{found['id']}/offer")
    assert (early.status_code, early.json()["code"]) == (409, "story-not-confirmed")

    await world.hears(world.confirmed(opened.case_id, location_id="store-13"))
    await world.runs()
    found = await world.the_one(opened.case_id)
    assert found["status"] == "settled"
    assert await world.ledger(opened.case_id) == [("goodwill", -2610, "posted"), ("patient", 2610, "posted")]
    assert await world.budget("store-13") == (reserved, posted + 2610)
    assert await world.said(opened.case_id) == [("proposed", 1), ("approved", 2), ("offered", 3), ("settled", 4)]
    shown = await world.asks("ana", "GET", f"/v1/restitutions/{found['id']}/code")
    assert len(shown.json()["code"]) == 19
    assert (await world.asks("machine", "GET", f"/v1/restitutions/{found['id']}/code")).status_code == 403
    assert (await world.asks("bob", "GET", f"/v1/restitutions/{found['id']}/code")).status_code == 404


async def test_a_trip_is_paid_once_and_the_fourth_brings_only_the_new_one(world: World) -> None:
    four = trips(4)
    opened = world.case(trips=four[:3])
    await world.hears(opened)
    await world.hears(world.attached(opened.case_id, *four))
    await world.hears(world.attached(opened.case_id, *four))
    assert sorted(item["amount_minor"] for item in await world.of_case(opened.case_id)) == [1305, 2610]


async def test_one_batch_with_the_third_and_fourth_trip_and_the_story(world: World) -> None:
    """Goal: what a listener that was away hears all at once comes to the same. Method: three events of one case in one batch."""
    four = trips(4)
    opened = world.case(trips=four[:3])
    await world.hears(opened, world.attached(opened.case_id, *four), world.confirmed(opened.case_id))
    await world.runs()
    found = await world.of_case(opened.case_id)
    assert sorted((item["amount_minor"], item["status"]) for item in found) == [(1305, "settled"), (2610, "settled")]


async def test_an_older_version_does_not_take_the_story_back(world: World) -> None:
    opened = world.case(trips=trips(3))
    older = world.case(CaseAcknowledged, opened.case_id, status="acknowledged", generation=1, expires_at=world.clock.now())
    await world.hears(opened, world.confirmed(opened.case_id))
    await world.hears(older)
    more = world.attached(opened.case_id, *trips(3)).model_copy(update={"version": 2})
    await world.hears(more)
    assert [item["status"] for item in await world.of_case(opened.case_id)] == ["offered", "offered"]
    await world.runs()


async def test_a_location_that_is_not_known_yet_keeps_the_fact_and_its_followers_waiting(world: World) -> None:
    opened = world.case(trips=trips(3), location_id="store-99")
    other = world.case(trips=trips(3))
    reasons = await world.hears(opened, other, world.attached(opened.case_id, *trips(3), location_id="store-99"))
    assert reasons == ["waiting", "behind"]
    assert await world.of_case(opened.case_id) == []
    assert len(await world.of_case(other.case_id)) == 1


async def test_many_cases_in_one_batch_cost_a_fixed_number_of_queries(world: World) -> None:
    async def cost(cases: int) -> int:
        opened = [world.case(trips=trips(3, miles="0.5")) for _ in range(cases)]
        asked: list[str] = []

        def note(query: Any) -> None:
            asked.append(query.query)

        async with world.engine.transaction() as tx:
            conn: Any = tx.conn
            conn.add_query_logger(note)
            await usecases.take_cases(world.desk, tx, [world.fact(event) for event in opened])
            conn.remove_query_logger(note)
        return len(asked)

    assert await cost(40) == await cost(2) > 0


async def test_referred_gas_money_is_approved_by_a_person_and_paid(world: World) -> None:
    opened = world.case(trips=trips(3, miles="40"))
    await world.hears(opened, world.confirmed(opened.case_id))
    found = await world.the_one(opened.case_id)
    assert (found["status"], found["amount_minor"], found["needs"]) == ("referred", 11600, {"role": "store_manager", "approvals": 1})
    assert found["reason"] == "above the system's authority"
    answer = await world.asks("ana", "POST", f"/v1/restitutions/{found['id']}/approve")
    assert (answer.status_code, answer.json()["status"], answer.json()["approved_by"]) == (200, "offered", ["ana"])
    await world.passes(timedelta(seconds=1))
    assert (await world.the_one(opened.case_id))["status"] == "settled"


async def test_a_federal_payer_is_for_compliance(world: World) -> None:
    opened = world.case(trips=trips(3), payer_class="federal")
    await world.hears(opened)
    found = await world.the_one(opened.case_id)
    assert (found["status"], found["needs"]["role"]) == ("referred", "compliance")
    refused = await world.asks("ana", "POST", f"/v1/restitutions/{found['id']}/approve")
    assert (refused.status_code, refused.json()["code"]) == (403, "above-authority")
    assert (await world.asks("com", "POST", f"/v1/restitutions/{found['id']}/approve")).json()["status"] == "approved"


async def test_a_case_nobody_heard_of_has_nothing(world: World) -> None:
    assert await world.of_case(new_id()) == []
