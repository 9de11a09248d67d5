"""Promises on a real Postgres: history is kept and asked, times are moved once, what lapses is told, and months are counted."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from services.escalation.usecases import check_timers
from tests.integration.escalation.bench import MON_9, Bench, bench_on, incident
from tests.support.servers import fresh_database


@pytest_asyncio.fixture(loop_scope="session")
async def bench(postgres_dsn: str) -> AsyncIterator[Bench]:
    async with fresh_database(postgres_dsn, "promises") as database, bench_on(database) as made:
        yield made


def at(hour: int, minute: int = 0, day: int = 23) -> datetime:
    """A moment of November 2026 on the wall of New York."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC) + timedelta(hours=5)


async def promise(bench: Bench, case: str, what: str = "remake", estimate_at: datetime | None = None, who: str = "ana") -> Any:
    body = {"what": what} | ({"estimate_at": estimate_at.isoformat()} if estimate_at else {})
    return await bench.post(f"/v1/cases/{case}/promises", body, who)


def promises_of(case: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Without the first, which is the contact that everybody is promised."""
    return [(one["what"], one["promised_by"], one["state"]) for one in case["promises"][1:]]


async def test_a_promise_is_made_moved_once_and_kept_early_and_each_is_told(bench: Bench) -> None:
    await bench.report(incident(lab="Sunlab"))
    case = (await bench.only_case())["reference"]
    made = await promise(bench, case, estimate_at=at(10, day=25))
    assert made.status_code == 200
    assert promises_of(made.json()) == [("remake", "2026-11-26T15:00:00Z", "open")]
    assert made.json()["promises"][1]["because"] == "A person's estimate; with a buffer of 1 day, at a moment the store is open."
    again = await promise(bench, case, estimate_at=at(10, day=25))
    assert (again.status_code, again.headers["etag"]) == (200, made.headers["etag"])
    moved = await promise(bench, case, estimate_at=at(12, day=27))
    assert promises_of(moved.json()) == [("remake", "2026-11-26T15:00:00Z", "moved"), ("remake", "2026-11-30T14:00:00Z", "open")]
    refused = await promise(bench, case, estimate_at=at(12, day=30))
    assert (refused.status_code, refused.json()["code"]) == (409, "promise-moved-already")
    bench.clock.jump_to(at(15, day=27))
    done = await bench.post(f"/v1/cases/{case}/actions", {"kind": "delivery"})
    assert promises_of(done.json())[-1] == ("remake", "2026-11-30T14:00:00Z", "early")
    told = await bench.said("promise_made", "promise_moved", "promise_fulfilled")
    assert [(event["type"].rpartition(".")[2], event["promised_by"]) for event in told] == [
        ("promise_made", "2026-11-26T15:00:00Z"), ("promise_moved", "2026-11-30T14:00:00Z"), ("promise_fulfilled", "2026-11-30T14:00:00Z"),
    ]  # fmt: skip
    assert [(one["what"], one["state"]) for one in told[-1]["promises"]] == [("remake", "moved"), ("remake", "early")]
    row = await bench.engine.pool.fetchrow("select what, catalyst, lab, location_id, seconds from promise_durations")
    assert tuple(row or ()) == ("remake", "fit_adjustment", "Sunlab", "store-12", int((at(15, day=27) - MON_9).total_seconds()))


async def test_the_time_is_the_p90_of_the_groups_own_history_by_nearest_rank(bench: Bench) -> None:
    """Method: twenty remakes of one lab take 1 to 20 days, the newest 200 count; nine in ten took 18 days or less."""
    await bench.report(incident(lab="Sunlab"), incident("P-2", lab="Otherlab"), incident("P-3", location_id="store-99"))
    items = (await bench.get("/v1/cases", "machine")).json()["items"]
    by_patient = {item["patient_ref"]: item["reference"] for item in items}
    case_id = items[0]["id"]
    await bench.engine.pool.execute(
        "insert into promise_durations (case_id, number, what, catalyst, lab, location_id, seconds, fulfilled_at)"
        " select $1, n, 'remake', 'fit_adjustment', 'Sunlab', 'store-12', n * 86400, $2 from generate_series(1, 20) n",
        case_id, MON_9,
    )  # fmt: skip
    found = {
        patient: (await promise(bench, by_patient[patient], who=who)).json()["promises"][1]
        for patient, who in (("P-1", "ana"), ("P-2", "ana"), ("P-3", "zoe"))
    }
    assert {patient: one["because"].partition(";")[0] for patient, one in found.items()} == {
        "P-1": "90 % of the last 20 remakes of lab Sunlab for this store after a fit adjustment took 18 days or less",
        "P-2": "90 % of the last 20 remakes at this store after a fit adjustment took 18 days or less",
        "P-3": "90 % of the last 20 remakes in the group after a fit adjustment took 18 days or less",
    }
    # 18 days and a buffer of one are Saturday, December 12: the store opens on Monday.
    assert {one["promised_by"] for one in found.values()} == {"2026-12-14T14:00:00Z"}
    other = (await promise(bench, by_patient["P-1"], "refund")).json()["promises"][2]
    assert other["because"].startswith("There is too little history yet, so 5 days by rule")


async def test_a_promise_that_lapses_is_late_its_owner_is_told_and_its_month_counted_once(bench: Bench) -> None:
    await bench.report(incident(), incident("P-9", location_id="store-99"))
    items = {item["patient_ref"]: item["reference"] for item in (await bench.get("/v1/cases", "machine")).json()["items"]}
    await promise(bench, items["P-1"], "remake", at(10, day=25))
    await promise(bench, items["P-1"], "callback")
    await promise(bench, items["P-9"], "callback", who="zoe")
    assert await check_timers_of(bench) == []
    await bench.post(f"/v1/cases/{items['P-1']}/actions", {"kind": "call"})
    await bench.advance(at(10, day=27))
    assert await check_timers_of(bench) == []
    told = [event for event in await bench.said("promise_at_risk", "promise_lapsed") if event["what"] == "remake"]
    assert [(event["type"].rpartition(".")[2], event["at"], event["page"]) for event in told] == [
        ("promise_at_risk", "2026-11-25T15:00:00Z", ["ana"]), ("promise_lapsed", "2026-11-26T15:00:00Z", ["ana"]),
    ]  # fmt: skip
    await bench.post(f"/v1/cases/{items['P-1']}/keep-promise", {"what": "remake"})
    kept = (await bench.get("/v1/promises/kept", "machine", month="2026-11")).json()["items"]
    names = ("location_id", "made", "kept", "early", "late", "moved", "kept_percent")
    assert [tuple(one[name] for name in names) for one in kept] == [
        ("store-12", 2, 0, 1, 1, 0, 50), ("store-99", 1, 0, 0, 1, 0, 0),
    ]  # fmt: skip
    assert [one["what"] for one in kept[0]["by_what"]] == ["callback", "remake"]


async def test_a_promise_that_lapsed_while_nobody_ran_is_counted_in_the_month_it_was_for(bench: Bench) -> None:
    await bench.report(incident())
    await promise(bench, (await bench.only_case())["id"], "remake", at(17, day=27))
    bench.clock.jump_to(datetime(2026, 12, 3, 15, tzinfo=UTC))
    while await bench.loop.once():
        pass
    months = {month: (await bench.get("/v1/promises/kept", "machine", month=month)).json()["items"] for month in ("2026-11", "2026-12")}
    assert ([one["late"] for one in months["2026-11"]], months["2026-12"]) == ([1], [])


async def test_counts_stay_inside_the_walls_of_who_asks_and_come_in_pages(bench: Bench) -> None:
    await bench.report(incident(), incident("P-9", location_id="store-99"))
    items = {item["patient_ref"]: item["reference"] for item in (await bench.get("/v1/cases", "machine")).json()["items"]}
    await promise(bench, items["P-1"])
    await promise(bench, items["P-9"], who="zoe")
    for who, seen in (("zoe", ["store-99"]), ("ana", ["store-12"]), ("rex", ["store-12"]), ("machine", ["store-12", "store-99"])):
        assert [one["location_id"] for one in (await bench.get("/v1/promises/kept", who)).json()["items"]] == seen
    first = (await bench.get("/v1/promises/kept", "machine", limit="1")).json()
    second = (await bench.get("/v1/promises/kept", "machine", limit="1", cursor=first["next_cursor"])).json()
    assert [page["items"][0]["location_id"] for page in (first, second)] == ["store-12", "store-99"]
    assert second["next_cursor"] is None
    assert (await bench.get("/v1/promises/kept", "machine", location_id="store-99", month="2026-12")).json()["items"] == []
    assert (await bench.get("/v1/promises/kept", "machine", month="2026-13")).status_code == 400


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"what": "miracle"}, 400, "invalid-input"),
        ({"what": "remake", "estimate_at": "soon"}, 400, "invalid-input"),
        ({"what": "remake", "estimate_at": "2026-11-25T10:00:00"}, 400, "invalid-input"),
        ({"what": "remake", "estimate_at": "2026-11-20T10:00:00Z"}, 400, "invalid-estimate"),
        ({"what": "remake", "estimate_at": "9999-12-31T23:59:59Z"}, 400, "invalid-estimate"),
    ],
)
async def test_what_cannot_be_promised_is_refused_with_a_code(bench: Bench, body: dict[str, str], status: int, code: str) -> None:
    await bench.report(incident())
    answer = await bench.post(f"/v1/cases/{(await bench.only_case())['id']}/promises", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_promise_is_made_on_the_version_that_was_meant_and_by_one_key_once(bench: Bench) -> None:
    await bench.report(incident())
    case = (await bench.only_case())["id"]
    body, key = {"what": "callback"}, {"idempotency-key": '"p-1"'}
    stale = await bench.post(f"/v1/cases/{case}/promises", body, "ana", **{"if-match": '"77"'})
    assert stale.status_code == 412
    answers = [(await bench.post(f"/v1/cases/{case}/promises", body, "ana", **key)).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert (await bench.post(f"/v1/cases/{case}/promises", body, "reader")).status_code == 403
    assert (await bench.post(f"/v1/cases/{case}/promises", body, "zoe")).status_code == 404
    assert len(await bench.said("promise_made")) == 1


async def check_timers_of(bench: Bench) -> list[Any]:
    async with bench.engine.pool.acquire() as conn:
        return list((await check_timers(conn, "", bench.clock.now()))[0])
