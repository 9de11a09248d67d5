"""Many cases are taken in one act: locked, decided and saved together, each with its own answer."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.escalation.bench import MON_9, Bench, bench_on, incident
from tests.support.servers import fresh_database

pytestmark = pytest.mark.integration
PATH = "/v1/cases/acknowledge"


@pytest_asyncio.fixture(loop_scope="session")
async def bench(postgres_dsn: str) -> AsyncIterator[Bench]:
    async with fresh_database(postgres_dsn, "many") as database, bench_on(database) as made:
        yield made


async def cases_of(bench: Bench) -> dict[str, dict[str, Any]]:
    items = (await bench.get("/v1/cases", "machine")).json()["items"]
    return {item["patient_ref"]: item for item in items}


async def test_half_good_half_bad_gives_each_its_own_answer_and_holds_up_nobody(bench: Bench) -> None:
    """Goal: one refusal changes nothing for its neighbours. Method: good ones by id and reference, one of another store, one resolved,
    one that is not there, one that is no name, one twice, one that was taken before."""
    await bench.report(*(incident(f"P-{n}") for n in range(5)), incident("P-far", location_id="store-99"))
    cases = await cases_of(bench)
    ids = {patient: case["id"] for patient, case in cases.items()}
    await bench.post(f"/v1/cases/{ids['P-3']}/acknowledge", who="mia")
    await bench.post(f"/v1/cases/{ids['P-4']}/story", {"verbatim": "It pinches.", "read_back_confirmed": True})
    await bench.post(f"/v1/cases/{ids['P-4']}/resolve", {"root_cause": "lab_error"})
    nobody = "01900000-0000-7000-8000-000000000000"
    asked = [ids["P-0"], cases["P-1"]["reference"].lower(), ids["P-far"], ids["P-3"], ids["P-4"], nobody, "no name", ids["P-0"]]
    answer = await bench.post(PATH, {"ids": asked})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert [(r["id"], r["status"], r.get("changed"), r.get("problem", {}).get("code")) for r in body["results"]] == [
        (asked[0], "acknowledged", True, None),
        (asked[1], "acknowledged", True, None),
        (asked[2], "refused", None, "not-found"),
        (asked[3], "acknowledged", False, None),
        (asked[4], "refused", None, "case-resolved"),
        (asked[5], "refused", None, "not-found"),
        (asked[6], "refused", None, "not-found"),
        (asked[7], "acknowledged", True, None),
    ]
    assert body["acknowledged"] == 4
    after = await cases_of(bench)
    assert {patient: case["acknowledged_by"] for patient, case in after.items()} == {
        "P-0": "ana", "P-1": "ana", "P-2": None, "P-3": "mia", "P-4": None, "P-far": None,
    }  # fmt: skip
    said = [event["case_id"] for event in await bench.said("acknowledged")]
    assert sorted(said) == sorted([ids["P-0"], ids["P-1"], ids["P-3"]]), "each case is said to be taken once"
    acts = await bench.engine.pool.fetch("select subject from audit where action = 'case.acknowledge' and actor = 'staff:ana'")
    assert sorted(row["subject"] for row in acts) == sorted([ids["P-0"], ids["P-1"]])


async def test_the_ladder_of_each_stops_and_what_is_taken_is_one_transaction(bench: Bench) -> None:
    await bench.report(*(incident(f"P-{n}") for n in range(200)))
    ids = [row["case_id"] for row in await bench.engine.pool.fetch("select case_id::text from cases")]
    answer = await bench.post(PATH, {"ids": ids}, who="mia")
    assert answer.json()["acknowledged"] == 200
    (row,) = await bench.engine.pool.fetch(
        "select count(distinct xid)::int as transactions from outbox where type = 'amends.case.acknowledged'"
    )
    assert row["transactions"] == 1
    await bench.advance(MON_9 + timedelta(hours=1))
    assert await bench.said("escalation_stepped") == []


@pytest.mark.parametrize("body", [{"ids": []}, {"ids": ["x"] * 201}, {"ids": [1]}, {"ids": "x"}, {}, {"ids": ["x"], "more": 1}])
async def test_what_is_no_list_of_up_to_200_names_is_refused_with_a_sentence(bench: Bench, body: dict[str, Any]) -> None:
    answer = await bench.post(PATH, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-input")


async def test_who_may_only_read_takes_nothing(bench: Bench) -> None:
    await bench.report(incident())
    case = await bench.only_case()
    assert (await bench.post(PATH, {"ids": [case["id"]]}, who="reader")).status_code == 403
    assert (await bench.only_case())["status"] == "open"
