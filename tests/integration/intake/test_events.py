"""POS events through the doors of intake, on a real Postgres."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.intake import domain, usecases
from services.intake.usecases import commit
from services.intake.usecases.desk import Queue
from shared.contracts.incidents import INCIDENTS
from shared.contracts.patients import PATIENTS
from shared.kernel.ids import new_id
from shared.vault import DataKey
from tests.integration.intake.bench import NOON, Bench, event, running
from tests.support.eventually import eventually
from tests.support.servers import Database

pytestmark = pytest.mark.integration

ANA = {"ref": "P-1001", "name": "Ana Example", "phone": "+1 212 555 0143", "payer": "va", "postal_code": "10001"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bench(database: Database) -> AsyncIterator[Bench]:
    async with running(database) as made:
        yield made


def visit(order: str, days_ago: float = 0, **data: Any) -> dict[str, Any]:
    return event("pos.visit.checked_in", NOON - timedelta(days=days_ago), order_id=order, reason="problem", **data)


async def incidents_of(bench: Bench, root: str) -> list[dict[str, Any]]:
    told = [body["incident"] for body in await bench.said(INCIDENTS)]
    return [incident for incident in told if incident.get("root_order_id") == root]


async def test_each_event_has_its_own_result_and_a_bad_one_spares_its_neighbours(bench: Bench) -> None:
    good, again = visit("N-1"), visit("N-1")
    answer = await bench.post(
        good,
        {**again, "data": {**again["data"], "location_id": "store-404"}},
        good,
        {**visit("N-1"), "type": "amends.pos.unheard.of"},
        event("pos.visit.checked_in", NOON + timedelta(minutes=6), order_id="N-1", reason="problem"),
        {**visit("N-1"), "data": {"location_id": "store-12"}},
        {"id": "x"},
        7,  # type: ignore[arg-type]
        visit("N-1"),
    )
    assert answer.status_code == 202
    body = answer.json()
    assert (body["accepted"], body["duplicates"], body["rejected"]) == (2, 1, 6)
    assert [r.get("problem", {}).get("code", r["status"]) for r in body["results"]] == [
        "accepted",
        "unknown-location",
        "duplicate",
        "unknown-type",
        "future-time",
        "invalid-data",
        "invalid-event",
        "invalid-event",
        "accepted",
    ]
    assert body["results"][1]["problem"]["errors"][0]["pointer"] == "/data/location_id"
    assert (await bench.became(again))["problem"]["code"] == "unknown-location"


async def test_the_third_trip_is_one_incident_of_the_patient_and_a_repeat_changes_nothing(bench: Bench) -> None:
    trips = [visit("T-1", days, patient=ANA, distance_miles=9) for days in (20, 10, 0)]
    for trip in trips:
        assert (await bench.post(trip)).json()["accepted"] == 1
    assert (await bench.post(*trips)).json()["duplicates"] == 3
    (incident,) = await incidents_of(bench, "T-1")
    assert (incident["incident_type"], incident["patient_ref"], incident["payer_class"]) == ("repeat_visit", "P-1001", "federal")
    assert [(trip["on"], trip["miles"]) for trip in incident["trips"]] == [("2026-11-03", "9"), ("2026-11-13", "9"), ("2026-11-23", "9")]
    status = await bench.became(trips[2])
    assert status["incident"] == {"incident_id": incident["incident_id"], "type": "repeat_visit"} and status["case"] is None
    assert "Trip 2" in (await bench.became(trips[1]))["why"]
    await bench.post(visit("T-1", patient=ANA))
    assert [len(i["trips"]) for i in await incidents_of(bench, "T-1")] == [3, 4]


async def test_requests_at_once_share_transactions_and_count_each_trip_once(bench: Bench) -> None:
    answers = await asyncio.gather(*(bench.post(visit("C-1", n / 10)) for n in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert sorted(i["repeat_count"] for i in await incidents_of(bench, "C-1")) == list(range(3, 21))


async def test_processes_that_tell_of_a_new_order_at_once_count_each_trip_once(bench: Bench) -> None:
    """Goal: an order nobody told of has no row to lock, and still no trip is lost. Method: four queues, as of four processes, at once."""
    desks = [replace(bench.desk, queue=Queue()) for _ in range(4)]
    for n in range(5):
        trips = [domain.read_structured(visit(f"M-{n}", days)) for days in range(4)]
        outcomes = await asyncio.gather(*(usecases.submit(desk, [trip]) for desk, trip in zip(desks, trips, strict=True)))
        assert [outcome.status for (outcome,) in outcomes] == ["accepted"] * 4
        assert sorted(i["repeat_count"] for i in await incidents_of(bench, f"M-{n}")) == [3, 4]


async def test_an_ordinary_event_says_why_it_is_nothing_without_a_word_kept_of_it(bench: Bench) -> None:
    said = event("pos.order.received", order_id="O-1")
    await bench.post(said)
    assert (await bench.became(said))["why"] == domain.ORDINARY
    ((kept,),) = await bench.rows("select why from events_received where source = $1 and id = $2", said["source"], said["id"])
    assert kept is None


async def test_a_patient_is_told_once_as_ciphertext_and_only_when_something_changed(bench: Bench) -> None:
    who = {**ANA, "ref": "P-2"}
    await bench.post(visit("P-O", patient=who), visit("P-O", patient=who))
    await bench.post(event("pos.order.received", order_id="P-O", patient={"ref": "P-2"}))
    (told,) = [body for body in await bench.said(PATIENTS) if body["patient_ref"] == "P-2"]
    assert (told["version"], told["payer_class"], [c["purpose"] for c in told["consents"]]) == (1, "federal", ["care"])
    assert "Ana" not in json.dumps(told) and "555" not in json.dumps(told).replace(told["phone"], "")
    later = NOON + timedelta(seconds=1)
    await bench.post(event("pos.order.notified", later, order_id="P-O", patient={"ref": "P-2", "payer": "self"}))
    versions = [b["version"] for b in await bench.said(PATIENTS) if b["patient_ref"] == "P-2"]
    assert versions == [1, 2]
    for table in ("patients", "events_received", "words"):
        text = str([dict(row) for row in await bench.rows(f"select * from {table}")])
        assert "Ana Example" not in text and "2125550143" not in text


async def test_what_is_said_again_moves_its_times_and_opens_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: the row is as if it had been opened. Method: nothing can be opened while it is said again."""
    who = {**ANA, "ref": "P-3"}
    read = "select name, phone, version, said, heard from patients where patient_ref = 'P-3'"
    await bench.post(visit("P-A", patient=who))
    (before,) = await bench.rows(read)
    with monkeypatch.context() as shut:
        shut.setattr(DataKey, "open_bytes", None)
        later = NOON + timedelta(seconds=1)
        seen = event("pos.order.notified", later, order_id="P-A", patient={"ref": "P-3"})
        answer = await bench.post(event("pos.order.received", later, order_id="P-A", patient=who), seen)
    assert answer.json()["accepted"] == 2
    (after,) = await bench.rows(read)
    assert after["said"] == dict.fromkeys(before["said"], later.isoformat())
    assert [after[name] for name in ("name", "phone", "version", "heard")] == [
        before[name] for name in ("name", "phone", "version", "heard")
    ]


async def test_what_a_process_of_the_version_before_changed_is_said_anew(bench: Bench) -> None:
    """It writes no marks; the mark that it leaves behind is of a version that is gone."""
    who = {**ANA, "ref": "P-4", "language": "en"}
    await bench.post(visit("P-B", patient=who))
    await bench.rows("update patients set language = 'es', version = version + 1 where patient_ref = 'P-4'")
    await bench.post(event("pos.order.received", NOON + timedelta(seconds=1), order_id="P-B", patient=who))
    told = [(b["version"], b["language"]) for b in await bench.said(PATIENTS) if b["patient_ref"] == "P-4"]
    assert told == [(1, "en"), (3, "en")]


async def test_an_event_with_neither_patient_nor_order_is_kept_unattributed(bench: Bench) -> None:
    said = event("complaint.submitted", channel="web", text="Nobody calls back.")
    before = len(await bench.said(INCIDENTS))
    assert (await bench.post(said)).json()["accepted"] == 1
    assert (await bench.became(said))["status"] == "unattributed"
    assert len(await bench.said(INCIDENTS)) == before


async def test_orders_that_turn_out_to_have_one_root_have_one_history(bench: Bench) -> None:
    """Visits for a remake come before anybody said whose remake it is."""
    await bench.post(visit("R-2", 5), visit("R-1", 9))
    await bench.post(visit("R-2", 4))
    assert await incidents_of(bench, "R-1") == []
    await bench.post(event("pos.order.placed", NOON - timedelta(days=6), order_id="R-2", root_order_id="R-1"))
    (incident,) = await incidents_of(bench, "R-1")
    assert (incident["incident_type"], len(incident["trips"])) == ("repeat_visit", 3)
    await bench.post(visit("R-2"))
    assert [i["repeat_count"] for i in await incidents_of(bench, "R-1")] == [3, 4]


async def test_a_promise_that_passes_at_closing_is_an_incident_once(bench: Bench) -> None:
    tonight = (NOON + timedelta(hours=2)).isoformat()
    await bench.post(
        event("pos.order.placed", order_id="L-1", promised_at=tonight, patient=ANA),
        event("pos.order.placed", order_id="L-2", promised_at=tonight),
    )
    await bench.post(event("pos.order.received", order_id="L-2"))
    await bench.passes(hours=5, minutes=59)
    assert await incidents_of(bench, "L-1") == []
    await bench.passes(minutes=2)
    (incident,) = await incidents_of(bench, "L-1")
    assert (incident["incident_type"], incident["occurred_at"], incident["patient_ref"]) == ("order_late", "2026-11-23T23:00:00Z", "P-1001")
    await bench.passes(days=2)
    assert len(await incidents_of(bench, "L-1")) == 1 and await incidents_of(bench, "L-2") == []
    outcomes = await bench.rows(
        "select subject, outcome, reason from timers_done where kind = 'order_late' and subject like 'L-%' order by subject"
    )
    assert [tuple(row) for row in outcomes] == [("L-1", "fired", "due"), ("L-2", "cancelled", "received")]


async def test_binary_and_structured_modes(bench: Bench) -> None:
    headers = {"authorization": "Bearer amk_writer_s", "content-type": "application/json", "ce-specversion": "1.0", "ce-id": "bin-%C3%A9"}
    headers |= {"ce-source": "pos/store-12", "ce-type": "amends.pos.order.received"}
    answer = await bench.http.post("/v1/events", headers=headers, json={"location_id": "store-12", "order_id": "B-1"})
    assert (answer.status_code, answer.json()["results"]) == (202, [{"source": "pos/store-12", "id": "bin-é", "status": "accepted"}])
    structured = {"authorization": "Bearer amk_writer_s", "content-type": "application/cloudevents+json; charset=utf-8"}
    answer = await bench.http.post("/v1/events", headers=structured, json=visit("B-1"))
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)


@pytest.mark.parametrize(
    ("kind", "body", "status", "code"),
    [
        ("application/cloudevents+json", b"{", 400, "malformed-json"),
        ("application/cloudevents+json", b"[]", 400, "invalid-event"),
        ("application/cloudevents+json", b'{"specversion":"1.0"}', 400, "invalid-event"),
        ("application/cloudevents-batch+json", b"{}", 400, "invalid-event"),
        ("application/cloudevents-batch+json", b"[" + b"{}," * 1000 + b"{}]", 413, "too-many-events"),
        ("application/cloudevents-batch+json", b" " * (1024 * 1024 + 1), 413, "too-large"),
        ("text/plain", b"hello", 415, "unsupported-media-type"),
        ("application/json", b"{}", 415, "unsupported-media-type"),
    ],
)
async def test_a_body_that_is_no_such_request_is_a_problem(bench: Bench, kind: str, body: bytes, status: int, code: str) -> None:
    headers = {"authorization": "Bearer amk_writer_s", "content-type": kind}
    answer = await bench.http.post("/v1/events", headers=headers, content=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_complaint_of_a_person_and_who_may_read_its_words(bench: Bench) -> None:
    body = {"location_id": "store-12", "channel": "phone", "text": "I came three times.", "wished_outcome": "A refund", "patient": ANA}
    auth = {"authorization": "Bearer amk_writer_s", "idempotency-key": '"c-1"'}
    first = await bench.http.post("/v1/complaints", json=body, headers=auth)
    assert first.status_code == 201
    assert (await bench.http.post("/v1/complaints", json=body, headers=auth)).json() == first.json()
    path = f"/v1/incidents/{first.json()['incident_id']}"
    seen = (await bench.get(path, "here")).json()
    assert (seen["text"], seen["wished_outcome"], seen["incident_type"]) == ("I came three times.", "A refund", "voice_of_patient")
    assert [(await bench.get(path, key)).status_code for key in ("reader", "writer", "elsewhere")] == [200, 403, 404]
    wrong = await bench.http.post(
        "/v1/complaints", json={**body, "location_id": "nowhere"}, headers={"authorization": "Bearer amk_writer_s"}
    )
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["errors"][0]["pointer"]) == (400, "unknown-location", "/location_id")


async def test_kafka_shares_the_row_with_http_and_parks_what_is_bad(bench: Bench) -> None:
    sent = visit("K-1")
    headers = {"ce_specversion": "1.0", "ce_id": sent["id"], "ce_source": sent["source"], "ce_type": sent["type"], "ce_time": sent["time"]}
    value = json.dumps(sent["data"]).encode()
    bad = bench.record({**headers, "ce_id": str(new_id()), "ce_type": "amends.pos.unheard.of"}, value, key="bad")
    await bench.consumes(bench.record(headers, value), bad, bench.record(headers, value))
    assert (await bench.post(sent)).json()["duplicates"] == 1
    assert [tuple(row) for row in await bench.rows("select key, reason from parked")] == [("bad", "unknown-type")]


async def test_when_nothing_can_be_stored_it_is_a_503_and_nothing_hangs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    class Away:
        def acquire(self, **_: object) -> Any:
            raise ConnectionRefusedError("no database")

    with monkeypatch.context() as patch:
        patch.setattr(bench.desk.engine, "pool", Away())
        answer = await bench.post(visit("D-1"))
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    assert (await bench.post(visit("D-1"))).status_code == 202


async def test_more_than_can_be_stored_is_a_429_that_says_when_to_come_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: a flood is told so at once, and what was let in is stored. Method: one row lock holds the commit up while two more come."""
    monkeypatch.setattr(commit, "WAITING_MAX", 2)
    async with bench.desk.engine.pool.acquire() as conn, conn.transaction():
        await conn.execute("lock table events_received in share row exclusive mode")
        let_in = [asyncio.create_task(bench.post(visit("F-0")))]
        await eventually(lambda: bench.desk.queue.is_working and not bench.desk.queue.waiting)
        let_in += [asyncio.create_task(bench.post(visit(f"F-{n}"))) for n in (1, 2)]
        await eventually(lambda: len(bench.desk.queue.waiting) == 2)
        refused = await bench.post(visit("F-3"))
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (429, "too-many-requests", "2")
    assert [(await answer).status_code for answer in let_in] == [202, 202, 202]
    assert (await bench.post(visit("F-3"))).status_code == 202


MALFORMED = json.loads((Path(__file__).parents[2] / "vectors" / "malformed_json.json").read_text("utf-8"))["cases"]


@pytest.mark.parametrize("path", ["/v1/events", "/v1/complaints"])
@pytest.mark.parametrize("kind", ["application/cloudevents+json", "application/cloudevents-batch+json", "application/json"])
async def test_no_malformed_body_is_a_5xx(bench: Bench, path: str, kind: str) -> None:
    """Every published malformed text under every media type: refused ones are 400, doubtful ones anything but a server error."""
    headers = {"authorization": "Bearer amk_writer_s", "content-type": kind}
    wrong = []
    for case in MALFORMED:
        raw = base64.b64decode(case["b64"]) if "b64" in case else (case["repeat"][0] * case["repeat"][1]).encode()
        answer = await bench.http.post(path, headers=headers, content=raw)
        refused = answer.status_code in (400, 413, 415) and answer.headers["content-type"] == "application/problem+json"
        if not (refused if case["expect"] == "reject" else answer.status_code < 500):
            wrong.append((case["name"], answer.status_code))
    assert wrong == []
