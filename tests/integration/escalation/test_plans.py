"""Plans on a real Postgres: the row that decided is kept, the update recurs, and a case is planned anew by a recorded act."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from services.escalation import usecases
from shared.contracts.notices import NoticeDelivered
from shared.kernel.ids import new_id
from tests.integration.escalation.bench import MON_9, SERVICE, Bench, bench_on, incident
from tests.support.servers import fresh_database

pytestmark = pytest.mark.integration
DAY = timedelta(days=1)
# From Tuesday on, what is not done within two hours is late, and the resolution is due in a business day.
FROM_TUESDAY = (
    (SERVICE / "policy" / "sla" / "0001.toml")
    .read_text()
    .replace("version = 1", "version = 2")
    .replace("2020-01-01", "2026-11-24")
    .replace("action_minutes = 240", "action_minutes = 120")
    .replace("resolve_minutes = 1080", "resolve_minutes = 540")
    .replace("warn_minutes_before = []", "warn_minutes_before = [20]")
)


@pytest_asyncio.fixture(loop_scope="session")
async def bench(postgres_dsn: str) -> AsyncIterator[Bench]:
    async with fresh_database(postgres_dsn, "escalation") as database, bench_on(database, FROM_TUESDAY) as made:
        yield made


def iso(at: Any) -> str:
    return str(at.isoformat().replace("+00:00", "Z"))


def states(case: dict[str, Any]) -> dict[str, str]:
    return {target["milestone"]: target["state"] for target in case["targets"]}


def dues(case: dict[str, Any]) -> dict[str, str]:
    return {target["milestone"]: target["due_at"] for target in case["targets"]}


async def opened(bench: Bench, **fields: Any) -> str:
    """A case that somebody has taken; its path."""
    await bench.report(incident(**fields))
    path = f"/v1/cases/{(await bench.only_case())['id']}"
    assert (await bench.post(f"{path}/acknowledge")).status_code == 200
    return path


async def test_26_a_case_keeps_table_version_row_and_inputs_and_shows_them(bench: Bench) -> None:
    path = await opened(bench, repeat_count=4, payer_class="federal")
    case, clock = (await bench.get(path)).json(), (await bench.get(f"{path}/clock")).json()
    for shown in (case, clock):
        assert shown["policy"] == {"name": "sla", "version": 1}
        assert shown["decision"] == {
            "table": "sla", "version": 1, "row": "severity-2",
            "inputs": {
                "incident_type": "repeat_visit", "severity": 2, "catalyst": "fit_adjustment", "channel": None, "payer": "federal",
                "repeat_count": 4,
            },
        }  # fmt: skip
        assert (shown["severity_decision"]["table"], shown["severity_decision"]["row"]) == ("severity", "repeat-visit")
    assert clock["warnings"] == {"percents": [50, 80], "minutes_before": []}
    assert {(target["counts"], target["seconds"] == target["open_seconds"]) for target in clock["targets"]} == {("open", True)}


async def test_the_update_comes_back_after_each_contact_and_its_timers_fire_once_a_round(bench: Bench) -> None:
    path = await opened(bench)
    await bench.post(f"{path}/actions", {"kind": "call"})
    assert dues(await bench.only_case())["update"] == iso(MON_9 + timedelta(hours=9))
    await bench.advance(MON_9 + DAY + timedelta(hours=1))
    assert states(await bench.only_case())["update"] == "breached"
    case = (await bench.post(f"{path}/actions", {"kind": "text"})).json()
    assert (states(case)["update"], dues(case)["update"]) == ("running", iso(MON_9 + 2 * DAY + timedelta(hours=1)))
    await bench.advance(MON_9 + 3 * DAY)
    fired = await bench.engine.pool.fetch(
        "select kind, name, generation from timers_done where outcome = 'fired' and name like 'update%' order by generation, fired_at"
    )
    once_a_round = [("warning", "update:50"), ("warning", "update:80"), ("target", "update")]
    assert [(row["kind"], row["name"], row["generation"]) for row in fired] == [
        (*timer, number) for number in (1, 2) for timer in once_a_round
    ]
    told = [
        (e["type"].rpartition(".")[2], e["page"])
        for e in await bench.said("target_at_risk", "target_breached")
        if e["milestone"] == "update"
    ]
    assert told == [("target_at_risk", ["ana"]), ("target_at_risk", ["ana"]), ("target_breached", ["ana"])] * 2


async def test_10_a_typed_text_that_arrives_after_the_resolution_starts_nothing(bench: Bench) -> None:
    path = await opened(bench)
    await bench.post(f"{path}/actions", {"kind": "call"})
    await bench.post(f"{path}/story", {"verbatim": "It pinches.", "read_back_confirmed": True})
    await bench.post(f"{path}/resolve", {"root_cause": "lab_error", "action": "remake"})
    case_id = UUID(path.rpartition("/")[2])
    await bench.hear(
        usecases.take_notices,
        NoticeDelivered(notice_id=new_id(), case_id=case_id, at=MON_9, audience="patient", template="typed", typed_by="ana"),
    )
    assert states((await bench.get(path)).json())["update"] == "cancelled"
    assert await bench.engine.pool.fetchval("select count(*) from timers") == 0


async def test_11_reply_and_wait_is_one_request_and_refused_as_one(bench: Bench) -> None:
    path = await opened(bench)
    refused = await bench.post(f"{path}/actions", {"kind": "text", "note": "Asked.", "then_pause": "lunch"})
    assert (refused.status_code, refused.json()["code"]) == (400, "unknown-pause-reason")
    assert states(await bench.only_case())["contact"] == "running"
    case = (await bench.post(f"{path}/actions", {"kind": "text", "note": "Asked.", "then_pause": "waiting_for_patient"})).json()
    assert states(case) == {"acknowledge": "met", "contact": "met", "action": "paused", "update": "paused", "resolve": "paused"}
    assert (case["next"]["milestone"], case["paused"]["reason"]) == ("action", "waiting_for_patient")
    assert await bench.engine.pool.fetchval("select count(*) from timers where kind in ('target', 'warning') and due_at is not null") == 0
    assert [row["data"] for row in await bench.engine.pool.fetch("select data from audit where action = 'case.action'")] == [
        {"kind": "text", "then_pause": "waiting_for_patient"}
    ]


async def test_8_a_budget_that_is_used_up_tells_the_owner(bench: Bench) -> None:
    path = await opened(bench)
    await bench.post(f"{path}/pause", {"reason": "waiting_for_patient"})
    await bench.advance(MON_9 + 3 * DAY)
    resumed = await bench.said("clock_resumed")
    assert [(e["at"], e["page"], e["reason"]) for e in resumed] == [
        (iso(MON_9 + 2 * DAY + timedelta(hours=9)), ["ana"], "waiting_for_patient")
    ]


async def test_13_a_case_is_planned_anew_by_a_manager_by_the_tables_of_the_day(bench: Bench) -> None:
    path = await opened(bench)
    await bench.report(incident(kind="order_late"))
    reason = {"reason": "The new policy is for this patient too."}
    assert (await bench.post(f"{path}/re-plan", reason, who="mia")).json()["policy"]["version"] == 1, "the plan of Monday, on Monday"
    assert await bench.said("replanned") == []
    await bench.advance(MON_9 + DAY)
    before = await bench.only_case()
    assert (before["policy"]["version"], states(before)["action"], states(before)["contact"]) == (1, "breached", "breached")
    refused = await bench.post(f"{path}/re-plan", reason, who="ana")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert (await bench.post(f"{path}/re-plan", {}, who="mia")).status_code == 400
    answer = await bench.post(f"{path}/re-plan", reason, who="mia")
    case = answer.json()
    assert (answer.status_code, case["policy"], case["decision"]["row"]) == (200, {"name": "sla", "version": 2}, "severity-2")
    assert (states(case)["action"], states(case)["resolve"]) == ("breached", "running"), "what was breached stays so"
    assert dues(case)["resolve"] == iso(MON_9 + timedelta(hours=9))
    due = await bench.engine.pool.fetchval("select due_at from timers where kind = 'target' and name = 'resolve'")
    assert due == MON_9 + DAY, "a deadline that the new plan puts into the past is breached at once"
    await bench.advance(MON_9 + DAY)
    assert states(await bench.only_case())["resolve"] == "breached"
    (said,) = await bench.said("replanned")
    assert (said["why"], said["row"], said["was"], said["by"]) == ("plan_changed", "severity-2", {"name": "sla", "version": 1}, "mia")
    clock = (await bench.get(f"{path}/clock")).json()
    lines = {one["milestone"]: one["history"] for one in clock["targets"]}
    assert [line["what"] for line in lines["resolve"]] == ["planned", "warned", "re-planned", "breached"]
    assert lines["resolve"][2]["words"].startswith("Planned anew by the policy of the day")
    notes = [(note["kind"], note["text"]) for note in (await bench.get(path)).json()["notes"]]
    assert notes == [("re-planning", reason["reason"])], "why it was done is words, and words are kept sealed"
    assert "new policy" not in str(await bench.said())
    again = await bench.post(f"{path}/re-plan", reason, who="mia")
    assert (again.status_code, again.json()["version"]) == (200, (await bench.only_case())["version"])
    assert len(await bench.said("replanned")) == 1


async def test_7_a_case_is_planned_by_the_version_of_its_day_and_warned_so_many_minutes_before(bench: Bench) -> None:
    await bench.advance(MON_9 + DAY)
    path = await opened(bench)
    assert (await bench.only_case())["policy"]["version"] == 2
    await bench.advance(MON_9 + DAY + timedelta(minutes=50))
    warned = [e for e in await bench.said("target_at_risk") if e["milestone"] == "contact"]
    assert [(e["at"], e["percent"], e.get("minutes_before")) for e in warned] == [
        (iso(MON_9 + DAY + timedelta(minutes=30)), 50, None),
        (iso(MON_9 + DAY + timedelta(minutes=40)), 66, 20),
        (iso(MON_9 + DAY + timedelta(minutes=48)), 80, None),
    ]
    history = next(one for one in (await bench.get(f"{path}/clock")).json()["targets"] if one["milestone"] == "contact")["history"]
    assert history[2]["words"] == "20 min are left; the owner was told."


async def test_13_the_plan_of_the_opening_counts_for_what_attaches_later(bench: Bench) -> None:
    await opened(bench, kind="order_late")
    await bench.advance(MON_9 + DAY)
    await bench.report(incident())
    case = await bench.only_case()
    assert (case["severity"], case["policy"]["version"], case["decision"]["row"]) == (2, 1, "severity-2")


async def test_13_a_case_from_before_its_facts_were_kept_is_not_planned_anew(bench: Bench) -> None:
    path = await opened(bench)
    await bench.engine.pool.execute("update case_incidents set facts = null")
    refused = await bench.post(f"{path}/re-plan", {"reason": "Why not."}, who="mia")
    assert (refused.status_code, refused.json()["code"]) == (409, "facts-unknown")
