"""Escalation on a real Postgres: incidents become cases, the ladder climbs, people act, and the walls hold."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from services.escalation import usecases
from services.escalation.usecases import Desk
from shared.contracts.envelope import Event, Fact
from shared.contracts.incidents import IncidentReported
from shared.contracts.notices import NoticeDelivered, ReplyUnderstood
from shared.contracts.patients import PatientChanged
from shared.contracts.restitutions import RestitutionOffered
from shared.kernel.ids import is_reference, new_id
from shared.messaging import Transaction
from tests.integration.escalation.bench import MON_9, Bench, bench_on, incident
from tests.support.servers import fresh_database

pytestmark = pytest.mark.integration
STORY = {"verbatim": "They pinch behind my left ear.", "wished_outcome": "A frame that fits", "read_back_confirmed": True}
RESOLUTION = {"root_cause": "measurement_error", "action": "remake", "note": "Measured again."}


@pytest_asyncio.fixture(loop_scope="session")
async def bench(postgres_dsn: str) -> AsyncIterator[Bench]:
    async with fresh_database(postgres_dsn, "escalation") as database, bench_on(database) as made:
        yield made


def minutes(count: float) -> Any:
    return MON_9 + timedelta(minutes=count)


def iso(count: float) -> str:
    """A moment as the contract's JSON spells it."""
    return str(minutes(count).isoformat().replace("+00:00", "Z"))


def target(case: dict[str, Any], milestone: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in case["targets"] if one["milestone"] == milestone)
    return found


async def test_an_incident_opens_a_case_and_the_next_attaches(bench: Bench) -> None:
    await bench.report(incident())
    await bench.report(incident(kind="order_late"))
    case = await bench.only_case()
    assert is_reference(case["reference"])
    assert (case["status"], case["severity"], case["incidents"], case["owner"]) == ("open", 2, 2, {"staff_id": "ana"})
    assert [e["type"].rpartition(".")[2] for e in await bench.said()] == ["opened", "incident_attached"]
    assert [e["version"] for e in await bench.said()] == [1, 2]
    by_reference = await bench.get(f"/v1/cases/{case['reference'].lower()}")
    assert by_reference.json()["id"] == case["id"] and by_reference.headers["etag"] == '"2"'


async def test_two_incidents_of_one_patient_in_one_batch_are_one_case(bench: Bench) -> None:
    await bench.report(incident("P-1"), incident("P-2"), incident("P-1", "order_late"))
    items = (await bench.get("/v1/cases", "machine")).json()["items"]
    assert sorted((item["patient_ref"], item["incidents"]) for item in items) == [("P-1", 2), ("P-2", 1)]
    # Without a roster, whoever has the fewest open cases gets the next one.
    assert {item["owner"]["staff_id"] for item in items} == {"ana", "ben"}


async def test_two_batches_at_once_cannot_open_two_cases(bench: Bench) -> None:
    await asyncio.gather(*(bench.report(incident()) for _ in range(8)))
    assert (await bench.only_case())["incidents"] == 8


async def test_an_incident_delivered_again_in_another_event_counts_once(bench: Bench) -> None:
    same = incident()
    await bench.report(same, same)
    await bench.report(same)
    assert (await bench.only_case())["incidents"] == 1


async def test_an_incident_at_a_store_not_heard_of_yet_is_kept_and_nobody_else_waits(bench: Bench) -> None:
    await bench.report(incident("P-1", location_id="store-77"), incident("P-2"))
    assert (await bench.only_case())["patient_ref"] == "P-2"
    parked = await bench.engine.pool.fetchrow("select reason, detail, retry_at from parked")
    assert parked is not None
    assert (parked["reason"], parked["detail"]) == ("waiting", "waiting for location store-77") and parked["retry_at"] is not None


async def test_nobody_acknowledges_and_each_step_fires_once(bench: Bench) -> None:
    await bench.report(incident())
    await bench.advance(minutes(62))
    climbed = await bench.said("target_breached", "escalation_stepped")
    # Two come due in the same moment; which is told first does not matter.
    told = sorted((e["at"], e["type"].rpartition(".")[2], e["level"], e["page"]) for e in climbed)
    assert told == [
        (iso(15), "target_breached", 1, ["mia"]),
        (iso(30), "escalation_stepped", 2, ["rex"]),
        (iso(60), "escalation_stepped", 2, ["rex"]),
        (iso(60), "target_breached", 2, ["ana"]),
    ]
    case = await bench.only_case()
    assert (case["level"], target(case, "acknowledge")["state"], case["owner"]) == (2, "breached", {"staff_id": "ana"})
    twice = await bench.engine.pool.fetchval(
        "select count(*) from (select 1 from timers_done where outcome = 'fired' "
        "group by kind, subject, name, generation having count(*) > 1) t"
    )
    assert twice == 0


async def test_the_work_of_a_case_from_acknowledgement_to_closing(bench: Bench) -> None:
    await bench.report(incident())
    case = await bench.only_case()
    path = f"/v1/cases/{case['id']}"
    refused = await bench.post(f"{path}/resolve", RESOLUTION)
    assert (refused.status_code, refused.json()["code"]) == (409, "story-not-confirmed")
    taken = (await bench.post(f"{path}/acknowledge")).json()
    assert (taken["status"], target(taken, "acknowledge")["state"], taken["acknowledged_by"]) == ("acknowledged", "met", "ana")
    heard = (await bench.post(f"{path}/story", STORY)).json()
    assert heard["story"] == {"confirmed": True, "verbatim": STORY["verbatim"], "wished_outcome": STORY["wished_outcome"]}
    called = (await bench.post(f"{path}/actions", {"kind": "call", "note": "Talked it over."})).json()
    assert target(called, "contact")["state"] == "met" and called["promises"][0]["state"] == "kept"
    solved = await bench.post(f"{path}/resolve", RESOLUTION)
    assert (solved.status_code, solved.json()["status"], solved.json()["root_cause"]) == (200, "resolved", "measurement_error")
    assert [t["state"] for t in solved.json()["targets"]] == ["met", "met", "cancelled", "cancelled", "met"]
    closed = (await bench.post(f"{path}/close")).json()
    assert closed["status"] == "closed"
    assert await bench.engine.pool.fetchval("select count(*) from timers") == 0
    whole = (await bench.get(path)).json()
    assert [(note["kind"], note["text"], note["by"]) for note in whole["notes"]] == [
        ("action", "Talked it over.", "ana"),
        ("resolution", "Measured again.", "ana"),
    ]
    acts = [row["action"] for row in await bench.engine.pool.fetch("select action from audit order by seq")]
    assert acts == ["case.acknowledge", "case.story", "case.action", "case.resolve", "case.close"]


async def test_repeats_answer_the_same_object_and_say_nothing(bench: Bench) -> None:
    await bench.report(incident())
    path = f"/v1/cases/{(await bench.only_case())['id']}"
    commands: list[tuple[str, object]] = [
        ("acknowledge", None), ("assign", {"staff_id": "ben"}), ("story", STORY), ("resolve", RESOLUTION), ("close", None),
    ]  # fmt: skip
    for name, body in commands:
        first = await bench.post(f"{path}/{name}", body)
        events = len(await bench.said())
        again = await bench.post(f"{path}/{name}", body)
        assert (first.status_code, again.status_code) == (200, 200), first.text
        assert (again.json(), again.headers["etag"]) == (first.json(), first.headers["etag"])
        assert len(await bench.said()) == events


async def test_an_if_match_of_another_version_changes_nothing(bench: Bench) -> None:
    await bench.report(incident())
    path = f"/v1/cases/{(await bench.only_case())['id']}"
    stale = await bench.post(f"{path}/acknowledge", **{"if-match": '"9"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "changed-meanwhile")
    assert (await bench.only_case())["status"] == "open"
    assert (await bench.post(f"{path}/acknowledge", **{"if-match": '"1"'})).status_code == 200


async def test_walls_between_stores_and_regions(bench: Bench) -> None:
    await bench.report(incident())
    path = f"/v1/cases/{(await bench.only_case())['id']}"
    for who, status in (("ana", 200), ("rex", 200), ("machine", 200), ("zoe", 404)):
        assert (await bench.get(path, who)).status_code == status
        assert len((await bench.get("/v1/cases", who)).json()["items"]) == (status == 200)
    assert (await bench.post(f"{path}/acknowledge", who="zoe")).status_code == 404
    assert (await bench.post(f"{path}/acknowledge", who="reader")).status_code == 403
    assert (await bench.client.post(f"{path}/acknowledge")).status_code == 401
    elsewhere = await bench.post(f"{path}/assign", {"staff_id": "zoe"})
    assert (elsewhere.status_code, elsewhere.json()["errors"][0]["pointer"]) == (400, "/staff_id")


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("actions", {"kind": "offer"}),
        ("actions", {}),
        ("resolve", {"root_cause": "bad luck"}),
        ("notes", {"text": "  "}),
        ("story", {"verbatim": 7}),
        ("reopen", None),
        ("assign", {"staff_id": "ana", "more": 1}),
    ],
)
async def test_bodies_that_are_not_what_a_command_takes_are_400(bench: Bench, name: str, body: object) -> None:
    await bench.report(incident())
    answer = await bench.post(f"/v1/cases/{(await bench.only_case())['id']}/{name}", body)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")


async def test_odd_queries_are_400(bench: Bench) -> None:
    odd = (
        {"patient_ref": "a\x00b"},
        {"location_id": "\x00"},
        {"limit": "0"},
        {"limit": "many"},
        {"cursor": "e30"},
        {"patient_ref": "x" * 201},
    )
    for params in odd:
        answer = await bench.get("/v1/cases", **params)
        assert answer.status_code == 400, params


async def test_unknown_cases_are_404(bench: Bench) -> None:
    for name in (str(new_id()), "AM-0000-00", "nonsense"):
        assert (await bench.get(f"/v1/cases/{name}")).status_code == 404
        assert (await bench.post(f"/v1/cases/{name}/acknowledge")).status_code == 404


async def test_words_are_ciphertext_at_rest_and_on_no_topic(bench: Bench) -> None:
    key, wrapped = bench.desk.vault.new_key()
    await bench.hear(
        usecases.take_patients,
        PatientChanged(patient_ref="P-1", wrapped_key=base64.b64encode(wrapped).decode(), location_id="store-12", version=2),
        PatientChanged(patient_ref="P-1", wrapped_key="b2xk", location_id="store-12", version=1),
    )
    await bench.report(incident("P-1"), incident("P-9"))
    for item in (await bench.get("/v1/cases")).json()["items"]:
        assert (await bench.post(f"/v1/cases/{item['id']}/story", STORY)).status_code == 200
        assert (await bench.post(f"/v1/cases/{item['id']}/reopen", {"reason": "pinch"})).status_code == 200
    rows = await bench.engine.pool.fetch("select sealed, patient_ref, word_id, field from case_words")
    assert {row["patient_ref"] for row in rows} == {"P-1", None}, "a patient not heard of yet is no reason to lose the words"
    own = next(row for row in rows if row["patient_ref"] and row["field"] == "verbatim")
    assert key.open(own["sealed"], "case_words", str(own["word_id"]), "verbatim") == STORY["verbatim"]
    told = "".join(str(event) for event in await bench.said())
    audited = str(await bench.engine.pool.fetch("select data from audit"))
    assert not any("pinch" in place for place in (told, audited, str([row["sealed"] for row in rows])))
    # The patient is erased: what was theirs cannot be read, what happened stays.
    await bench.engine.pool.execute("delete from patients")
    erased = (await bench.get("/v1/cases", patient_ref="P-1")).json()["items"][0]
    assert erased["story"] == {"confirmed": True, "verbatim": None, "wished_outcome": None}


async def test_what_others_tell_meets_milestones(bench: Bench) -> None:
    await bench.report(incident())
    case_id = UUID((await bench.only_case())["id"])
    notice: dict[str, Any] = {"notice_id": new_id(), "case_id": case_id, "at": MON_9, "audience": "patient", "template": "typed"}
    await bench.hear(usecases.take_notices, NoticeDelivered(**notice))
    assert target(await bench.only_case(), "contact")["state"] == "running", "an automatic text is no contact"
    await bench.hear(usecases.take_notices, NoticeDelivered(**notice, typed_by="ana"))
    await bench.hear(
        usecases.take_notices, ReplyUnderstood(reply_id=new_id(), at=MON_9, kind="acknowledge", case_id=case_id, staff_id="mia")
    )
    offer: dict[str, Any] = {
        "restitution_id": new_id(), "case_id": case_id, "at": MON_9, "location_id": "store-12", "kind": "gas_money",
        "amount_minor": 2610, "currency": "USD", "status": "offered",
    }  # fmt: skip
    await bench.hear(usecases.take_restitutions, RestitutionOffered(**offer))
    case = await bench.only_case()
    assert [t["state"] for t in case["targets"]] == ["met", "met", "met", "running", "running"]
    assert (case["status"], case["acknowledged_by"]) == ("acknowledged", "mia")


async def test_an_acknowledgement_for_a_case_that_is_over_is_kept_visible(bench: Bench) -> None:
    await bench.report(incident())
    case_id = (await bench.only_case())["id"]
    await bench.post(f"/v1/cases/{case_id}/story", STORY)
    await bench.post(f"/v1/cases/{case_id}/resolve", RESOLUTION)
    reply = ReplyUnderstood(reply_id=new_id(), at=MON_9, kind="acknowledge", case_id=UUID(case_id), staff_id="mia")
    await bench.hear(usecases.take_notices, reply)
    assert await bench.engine.pool.fetchval("select code from rejections") == "case-resolved"


async def test_pause_keeps_the_timers_rows_and_resume_moves_them(bench: Bench) -> None:
    await bench.report(incident())
    path = f"/v1/cases/{(await bench.only_case())['id']}"
    await bench.post(f"{path}/acknowledge")
    paused = (await bench.post(f"{path}/pause", {"reason": "waiting_for_lab"})).json()
    assert (target(paused, "resolve")["state"], target(paused, "resolve")["due_at"]) == ("paused", None)
    assert await bench.engine.pool.fetchval("select count(*) from timers where kind = 'target' and due_at is null") == 3
    await bench.advance(minutes(60))
    running = (await bench.post(f"{path}/resume")).json()
    assert target(running, "contact")["due_at"] == iso(120)
    assert (await bench.post(f"{path}/pause", {"reason": "lunch"})).status_code == 400


async def test_a_closed_case_is_reopened_unless_the_patient_has_another(bench: Bench) -> None:
    await bench.report(incident())
    first = (await bench.only_case())["id"]
    for name, body in (("story", STORY), ("resolve", RESOLUTION), ("close", None)):
        assert (await bench.post(f"/v1/cases/{first}/{name}", body)).status_code == 200
    again = (await bench.post(f"/v1/cases/{first}/reopen", {"reason": "It broke."})).json()
    assert (again["status"], target(again, "acknowledge")["state"]) == ("open", "running")
    for name, body in (("resolve", RESOLUTION), ("close", None)):
        assert (await bench.post(f"/v1/cases/{first}/{name}", body)).status_code == 200
    await bench.report(incident())
    refused = await bench.post(f"/v1/cases/{first}/reopen", {"reason": "It broke again."})
    assert (refused.status_code, refused.json()["code"]) == (409, "another-case-open")


async def test_pages_newest_first(bench: Bench) -> None:
    for n in range(5):
        bench.clock.jump_to(minutes(n))
        await bench.report(incident(f"P-{n}"))
    first = (await bench.get("/v1/cases", limit="3")).json()
    second = (await bench.get("/v1/cases", limit="3", cursor=first["next_cursor"])).json()
    assert [item["patient_ref"] for item in (*first["items"], *second["items"])] == ["P-4", "P-3", "P-2", "P-1", "P-0"]
    assert second["next_cursor"] is None
    assert (await bench.get("/v1/cases", cursor="nonsense")).status_code == 400
    assert len((await bench.get("/v1/cases", status="closed")).json()["items"]) == 0
    assert (await bench.get("/v1/cases", status="escalated")).status_code == 400


async def test_the_clock_of_a_case_in_words(bench: Bench) -> None:
    await bench.report(incident())
    await bench.advance(minutes(20))
    case = await bench.only_case()
    await bench.report(incident(kind="refund_or_return", is_dispute=True))
    await bench.post(f"/v1/cases/{case['id']}/acknowledge")
    told = (await bench.get(f"/v1/cases/{case['id']}/clock")).json()
    lines = {one["milestone"]: [row["what"] for row in one["history"]] for one in told["targets"]}
    assert lines["acknowledge"] == ["planned", "warned", "warned", "breached", "met late"]
    assert lines["contact"] == ["planned", "re-planned"]
    assert (told["timezone"], told["patient_clock_seconds"]) == ("America/New_York", 1200)


async def test_a_big_batch_takes_few_round_trips(bench: Bench) -> None:
    """Batch-native: 500 incidents are decided in one transaction with a number of statements that does not grow with them."""
    statements: list[str] = []

    async def counted(desk: Desk, tx: Transaction, facts: Sequence[Fact[Event]]) -> None:
        with tx.conn.query_logger(lambda query: statements.append(query.query)):
            await usecases.take_incidents(desk, tx, facts)

    await bench.hear(counted, *(IncidentReported(incident=incident(f"P-{n}")) for n in range(500)))
    assert await bench.engine.pool.fetchval("select count(*) from cases") == 500
    assert len(statements) <= 12


async def test_cases_that_are_written_together_keep_each_its_own_plan_and_targets(bench: Bench) -> None:
    """Goal: what cases share is sent once, and no case gets another's. Method: two plans in one batch, then all of them changed in one."""
    kinds = {"P-1": "repeat_visit", "P-2": "order_late", "P-3": "repeat_visit", "P-4": "refund_or_return"}

    async def kept() -> dict[str, tuple[int, int, int, str]]:
        rows = await bench.engine.pool.fetch("select belongs_to, plan, targets, incidents from cases")
        return {r["belongs_to"]: (r["incidents"], r["plan"]["severity"], len(r["targets"]), r["targets"][0]["due_at"]) for r in rows}

    await bench.report(*(incident(patient, kind) for patient, kind in kinds.items()))
    expected = {p: (2, 4, iso(15)) if kind == "repeat_visit" else (3, 4, iso(30)) for p, kind in kinds.items()}
    assert await kept() == {patient: (1, *told) for patient, told in expected.items()}
    await bench.report(*(incident(patient, kind) for patient, kind in kinds.items()))
    assert await kept() == {patient: (2, *told) for patient, told in expected.items()}
