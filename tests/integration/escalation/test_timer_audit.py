"""Behaviour 17: the auditor of timers is silent in a healthy system, and finds each kind of gap that is planted."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from services.escalation import usecases
from shared.contracts.directory import Shift
from shared.timers import Auditor, findings
from tests.integration.escalation.bench import MON_9, Bench, bench_on, incident, location
from tests.support.servers import Database, fresh_database

LATER = "now() + interval '9 years'"


@pytest_asyncio.fixture(loop_scope="session")
async def place(postgres_dsn: str) -> AsyncIterator[tuple[Bench, Database]]:
    async with fresh_database(postgres_dsn, "audit") as database, bench_on(database) as bench:
        yield bench, database


async def grown(bench: Bench) -> None:
    """Cases in each state, and timers that fired, moved and were cancelled; Ana goes home at one."""
    shifts = (
        Shift(staff_id="ana", starts="2026-11-23T09:00", ends="2026-11-23T13:00"),
        Shift(staff_id="ben", starts="2026-11-23T13:00", ends="2026-11-23T18:00"),
    )
    await bench.told(location().model_copy(update={"version": 77, "roster": shifts}))
    await bench.report(*(incident(f"P-{n}") for n in (1, 2, 3)))
    ids = {item["patient_ref"]: item["id"] for item in (await bench.get("/v1/cases", "machine")).json()["items"]}
    for patient in ("P-2", "P-3"):
        await bench.post(f"/v1/cases/{ids[patient]}/acknowledge")
    await bench.post(f"/v1/cases/{ids['P-2']}/pause", {"reason": "waiting_for_lab"})
    await bench.post(f"/v1/cases/{ids['P-3']}/story", {"verbatim": "It pinches.", "read_back_confirmed": True})
    await bench.post(f"/v1/cases/{ids['P-3']}/resolve", {"root_cause": "lab_error", "action": "remake"})
    await bench.advance(MON_9 + timedelta(minutes=40))


async def found(bench: Bench) -> list[tuple[str, str, str]]:
    return sorted((row["fault"], row["kind"], row["name"]) for row in await findings(bench.engine.pool))


async def test_17_the_auditor_stays_empty_in_a_healthy_system(place: tuple[Bench, Database]) -> None:
    bench, _ = place
    await grown(bench)
    auditor = Auditor(bench.engine, usecases.check_timers)
    for _ in range(3):
        await auditor.look()
    assert await found(bench) == []


@pytest.mark.parametrize(
    ("plant", "fault"),
    [
        (
            "update timers set due_at = due_at - interval '9 years' where name = 'contact' and due_at is not null",
            ("overdue", "target", "contact"),
        ),
        ("update timers set parked_reason = 'broken' where name = 'resolve' and due_at is not null", ("parked", "target", "resolve")),
        ("delete from timers where name = 'resolve' and due_at is not null", ("missing", "target", "resolve")),
        ("delete from timers where kind = 'step'", ("missing", "step", "2")),
        ("delete from timers where kind = 'hand_over'", ("missing", "hand_over", "2026-11-23T18:00")),
        ("delete from timers where kind = 'warning' and name = 'resolve:50' and due_at is not null", ("missing", "warning", "resolve:50")),
        (f"update timers set due_at = {LATER} where kind = 'warning' and due_at is null", ("wrong_due", "warning", "action:50")),
        ("delete from timers where kind = 'pause_end'", ("missing", "pause_end", "waiting_for_lab")),
        (f"update timers set due_at = {LATER} where name = 'action' and due_at is null", ("wrong_due", "target", "action")),
        (
            "insert into timers (kind, subject, name, generation, due_at, data) "
            f"select 'target', case_id::text, 'contact', 1, {LATER}, '{{}}' from cases where status = 'resolved'",
            ("left_over", "target", "contact"),
        ),
        (
            "insert into timers (kind, subject, name, generation, due_at, data) "
            f"select 'warning', case_id::text, 'contact:99', 1, {LATER}, '{{}}' from cases where status = 'open'",
            ("left_over", "warning", "contact:99"),
        ),
        (
            "insert into timers (kind, subject, name, generation, due_at, data) "
            f"select kind, subject, name, generation, {LATER}, '{{}}' from timers_done where outcome = 'fired' and kind = 'target'",
            ("armed_again", "target", "acknowledge"),
        ),
        (
            "insert into timers_done (kind, subject, name, generation, outcome, reason, due_at, fired_at) "
            f"select 'target', subject, 'resolve', 1, 'fired', 'due', {LATER}, now() from timers where name = 'resolve' limit 1",
            ("early", "target", "resolve"),
        ),
    ],
)
async def test_17_each_kind_of_gap_is_found_and_gone_once_it_is_mended(
    place: tuple[Bench, Database], plant: str, fault: tuple[str, str, str]
) -> None:
    bench, _ = place
    await grown(bench)
    auditor = Auditor(bench.engine, usecases.check_timers)
    await auditor.look()
    await bench.engine.pool.execute(plant)
    await auditor.look()
    assert fault in await found(bench)
    if fault[0] in ("missing", "wrong_due"):
        async with bench.engine.transaction() as tx:
            assert await usecases.rebuild_clocks(tx, await usecases.next_cases(tx, None, None), apply=True)
        for _ in range(2):
            await auditor.look()
        assert await found(bench) == []


async def test_17_a_timer_that_fired_twice_is_found_where_the_database_no_longer_forbids_it(place: tuple[Bench, Database]) -> None:
    bench, database = place
    await grown(bench)
    owner: Any = await asyncpg.connect(database.dsn)
    await owner.execute("set search_path to escalation; drop index timers_fired_once")
    await owner.execute("insert into timers_done select * from timers_done where outcome = 'fired' and kind = 'target'")
    await owner.close()
    await Auditor(bench.engine, usecases.check_timers).look()
    assert ("twice", "target", "acknowledge") in await found(bench)
