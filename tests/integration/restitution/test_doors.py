"""What people ask over HTTP, and races between them."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from tests.integration.restitution.conftest import World, trips


async def asked_for(world: World, amount_minor: int = 10_000, who: str = "lee", kind: str = "store_credit", **case: Any) -> dict[str, Any]:
    opened = world.case(**case)
    await world.hears(opened)
    body = {"case_id": str(opened.case_id), "kind": kind, "amount_minor": amount_minor, "reason": "twice remade"}
    answer = await world.asks(who, "POST", "/v1/restitutions", body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_fifty_approvals_at_once_are_one(world: World) -> None:
    """Goal: one approval, one pair of legs, one reservation. Method: 50 requests of two managers side by side on real connections."""
    found = await asked_for(world)
    before, _ = await world.budget("store-12")
    answers = await asyncio.gather(
        *(world.asks(("ana", "kim")[n % 2], "POST", f"/v1/restitutions/{found['id']}/approve") for n in range(50))
    )
    won = [answer for answer in answers if answer.status_code == 200]
    lost = [answer for answer in answers if answer.status_code == 409]
    assert (len(won), len(lost)) == (1, 49)
    assert {answer.json()["code"] for answer in lost} == {"already-decided"}
    assert await world.ledger(UUID(found["case_id"])) == [("goodwill", -10_000, "pending"), ("patient", 10_000, "pending")]
    assert (await world.budget("store-12"))[0] == before + 10_000
    assert [kind for kind, _ in await world.said(UUID(found["case_id"]))] == ["proposed", "referred", "approved"]


async def test_approvals_of_one_store_side_by_side_all_count_in_its_budget(world: World) -> None:
    made = [await asked_for(world, 1_000, location_id="store-13") for _ in range(20)]
    before, _ = await world.budget("store-13")
    answers = await asyncio.gather(*(world.asks("ana", "POST", f"/v1/restitutions/{item['id']}/approve") for item in made))
    assert {answer.status_code for answer in answers} == {200}
    assert (await world.budget("store-13"))[0] == before + 20_000


async def test_the_hard_budget_holds_against_approvals_side_by_side(world: World) -> None:
    """Goal: managers cannot together go over the month's 3,000.00. Method: 30 approvals of 150.00 at once in a store of its own."""
    made = [await asked_for(world, 15_000, who="ada", location_id="store-14") for _ in range(30)]
    answers = await asyncio.gather(*(world.asks("bob", "POST", f"/v1/restitutions/{item['id']}/approve") for item in made))
    assert sorted(answer.status_code for answer in answers) == [200] * 20 + [409] * 10
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"budget-exceeded"}
    assert await world.budget("store-14") == (300_000, 0)


async def test_nobody_approves_their_own_by_key_either(world: World) -> None:
    found = await asked_for(world, who="ana")
    refused = await world.asks("ana", "POST", f"/v1/restitutions/{found['id']}/approve")
    assert (refused.status_code, refused.json()["code"]) == (403, "own-approval")
    assert (await world.asks("kim", "POST", f"/v1/restitutions/{found['id']}/approve")).status_code == 200


async def test_a_machine_approves_nothing(world: World) -> None:
    found = await asked_for(world)
    refused = await world.asks("machine", "POST", f"/v1/restitutions/{found['id']}/approve")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def test_two_people_above_1000(world: World) -> None:
    found = await asked_for(world, 150_000, kind="refund")
    path = f"/v1/restitutions/{found['id']}/approve"
    first = await world.asks("ada", "POST", path)
    assert (first.json()["status"], first.json()["needs"]) == ("referred", {"role": "admin", "approvals": 1})
    again = await world.asks("ada", "POST", path)
    assert again.json()["code"] == "second-person-needed"
    second = await world.asks("alf", "POST", path)
    assert (second.json()["status"], second.json()["approved_by"]) == ("approved", ["ada", "alf"])


async def test_another_store_does_not_learn_that_it_is_there(world: World) -> None:
    found = await asked_for(world)
    for method, path, body in (
        ("GET", "", None),
        ("POST", "/approve", None),
        ("POST", "/decline", {"reason": "x"}),
        ("POST", "/offer", None),
        ("POST", "/reverse", {"reason": "x"}),
    ):
        answer = await world.asks("bob", method, f"/v1/restitutions/{found['id']}{path}", body)
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found"), path
    assert (await world.asks("bob", "GET", f"/v1/restitutions?case_id={found['case_id']}")).json()["items"] == []
    assert (await world.asks("bob", "GET", f"/v1/ledger?case_id={found['case_id']}")).json()["items"] == []
    foreign = {"case_id": found["case_id"], "kind": "refund", "amount_minor": 1, "reason": "x"}
    assert (await world.asks("bob", "POST", "/v1/restitutions", foreign)).json()["code"] == "unknown-case"
    assert all(item["location_id"] == "store-14" for item in (await world.asks("bob", "GET", "/v1/restitutions")).json()["items"])


async def test_a_persons_reason_rests_as_ciphertext(world: World) -> None:
    """Goal: what staff write is told to who may read it, and stands nowhere in the database as it was typed."""
    found = await asked_for(world)
    path = f"/v1/restitutions/{found['id']}"
    await world.asks("ana", "POST", path + "/decline", {"reason": "paid at the till"})
    assert (await world.asks("ana", "GET", path)).json()["reason"] == "paid at the till"
    kept = await world.engine.pool.fetchval("select words from restitutions where restitution_id = $1", UUID(found["id"]))
    assert kept
    assert "till" not in kept
    rows = await world.engine.pool.fetch("select convert_from(body, 'UTF8') as said from outbox where key = $1", found["case_id"])
    assert rows
    assert not any("till" in row["said"] for row in rows)
    # A ciphertext that was moved to another restitution opens nothing.
    other = await asked_for(world)
    await world.engine.pool.execute("update restitutions set words = $1 where restitution_id = $2", kept, UUID(other["id"]))
    assert (await world.asks("ana", "GET", f"/v1/restitutions/{other['id']}")).json()["reason"] != "paid at the till"


async def test_if_match_holds_against_the_version(world: World) -> None:
    found = await asked_for(world)
    path = f"/v1/restitutions/{found['id']}"
    tag = (await world.asks("ana", "GET", path)).headers["etag"]
    stale = await world.asks("ana", "POST", path + "/approve", if_match='"1"')
    assert (stale.status_code, stale.json()["code"]) == (412, "changed-meanwhile")
    fresh = await world.asks("ana", "POST", path + "/approve", if_match=tag)
    assert fresh.status_code == 200
    assert fresh.headers["etag"] != tag


async def test_decline_releases_nothing_and_reverse_releases_what_was_reserved(world: World) -> None:
    declined = await asked_for(world)
    answer = await world.asks("ana", "POST", f"/v1/restitutions/{declined['id']}/decline", {"reason": "paid at the till"})
    assert (answer.json()["status"], answer.json()["reason"]) == ("declined", "paid at the till")
    assert await world.ledger(UUID(declined["case_id"])) == []

    found = await asked_for(world)
    before = await world.budget("store-12")
    await world.asks("ana", "POST", f"/v1/restitutions/{found['id']}/approve")
    answer = await world.asks("kim", "POST", f"/v1/restitutions/{found['id']}/reverse", {"reason": "wrong case"})
    assert answer.json()["status"] == "reversed"
    assert await world.ledger(UUID(found["case_id"])) == [("goodwill", -10_000, "voided"), ("patient", 10_000, "voided")]
    assert await world.budget("store-12") == before


async def test_reversing_what_was_paid_books_the_other_way_and_voids_the_code(world: World) -> None:
    opened = world.case(trips=trips(3))
    await world.hears(opened, world.confirmed(opened.case_id))
    await world.runs()
    found = await world.the_one(opened.case_id)
    before = await world.budget("store-12")
    answer = await world.asks("ana", "POST", f"/v1/restitutions/{found['id']}/reverse", {"reason": "wrong patient"})
    assert answer.json()["status"] == "reversed"
    legs = await world.ledger(opened.case_id)
    assert sum(amount for _, amount, _ in legs) == 0
    assert sorted(legs) == sorted(
        [("goodwill", -2610, "posted"), ("patient", 2610, "posted"), ("goodwill", 2610, "posted"), ("patient", -2610, "posted")]
    )
    assert (await world.budget("store-12"))[1] == before[1] - 2610
    assert (await world.asks("ana", "GET", f"/v1/restitutions/{found['id']}/code")).status_code == 404


async def test_a_choice_is_accepted_and_then_paid(world: World) -> None:
    opened = world.case()
    await world.hears(opened, world.confirmed(opened.case_id))
    body = {"case_id": str(opened.case_id), "kind": "store_credit", "amount_minor": 5000, "reason": "late"}
    found = (await world.asks("lee", "POST", "/v1/restitutions", body)).json()
    offered = await world.asks("ana", "POST", f"/v1/restitutions/{found['id']}/approve")
    assert offered.json()["status"] == "offered"
    await world.runs()
    assert (await world.the_one(opened.case_id))["status"] == "offered"
    await world.asks("lee", "POST", f"/v1/restitutions/{found['id']}/accept")
    await world.runs()
    assert (await world.the_one(opened.case_id))["status"] == "settled"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"kind": "refund", "amount_minor": 1, "reason": "x"}, "/case_id"),
        ({"case_id": "no-uuid", "kind": "refund", "amount_minor": 1, "reason": "x"}, "/case_id"),
        ({"kind": "yacht", "amount_minor": 1, "reason": "x"}, "/kind"),
        ({"kind": "refund", "amount_minor": -1, "reason": "x"}, "/amount_minor"),
        ({"kind": "refund", "amount_minor": 1.5, "reason": "x"}, "/amount_minor"),
        ({"kind": "refund", "amount_minor": "7", "reason": "x"}, "/amount_minor"),
        ({"kind": "refund", "reason": "x"}, "/amount_minor"),
        ({"kind": "refund", "amount_minor": 1, "reason": " "}, "/reason"),
    ],
)
async def test_bad_input_says_where(world: World, body: dict[str, Any], pointer: str) -> None:
    opened = world.case()
    await world.hears(opened)
    full = body if pointer == "/case_id" else {"case_id": str(opened.case_id)} | body
    answer = await world.asks("ana", "POST", "/v1/restitutions", full)
    assert answer.status_code == 400, answer.text
    assert pointer in [error["pointer"] for error in answer.json()["errors"]], answer.text


async def test_scopes_and_unknown_ids(world: World) -> None:
    found = await asked_for(world)
    assert (await world.asks("reader", "POST", f"/v1/restitutions/{found['id']}/approve")).status_code == 403
    assert (await world.asks("stranger", "GET", "/v1/restitutions")).status_code == 401
    missing = "01900000-0000-7000-8000-000000000000"
    assert (await world.asks("ada", "POST", f"/v1/restitutions/{missing}/approve")).status_code == 404
    assert (await world.asks("ada", "GET", f"/v1/restitutions/{missing}")).status_code == 404


async def test_policies_are_shown_and_a_draft_is_proven(world: World) -> None:
    shown = (await world.asks("ana", "GET", "/v1/policies/goodwill")).json()
    assert (shown["name"], shown["version"]) == ("goodwill", 1)
    good = await world.asks("ana", "POST", "/v1/policies/goodwill/check", {"toml": shown["toml"]})
    assert good.json()["holds"] is True
    gap = shown["toml"].replace('budget = ["within", "soft"]', 'budget = ["within"]')
    found = (await world.asks("ana", "POST", "/v1/policies/goodwill/check", {"toml": gap})).json()
    assert found["holds"] is False and "budget = soft" in found["gaps"][0]
    broken = (await world.asks("ana", "POST", "/v1/policies/goodwill/check", {"toml": "name = "})).json()
    assert broken["holds"] is False and broken["problems"]
    assert (await world.asks("ana", "GET", "/v1/policies/yachts")).status_code == 404


async def test_every_command_leaves_an_audit_row(world: World) -> None:
    found = await asked_for(world)
    await world.asks("ana", "POST", f"/v1/restitutions/{found['id']}/approve")
    rows = await world.engine.pool.fetch("select actor, action from audit where subject = $1 order by seq", found["id"])
    assert [tuple(row) for row in rows] == [("staff:lee", "restitution.requested"), ("staff:ana", "restitution.approved")]
