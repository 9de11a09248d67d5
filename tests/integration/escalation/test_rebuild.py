"""Clocks rebuilt on a real Postgres: the damage is shown first, then mended as a recorded act."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from services.escalation import usecases
from services.escalation.usecases import Looked
from shared.kernel.errors import Rejected
from tests.integration.escalation.bench import Bench, bench_on, incident
from tests.support.servers import fresh_database

NOON = datetime(2026, 11, 23, 17, tzinfo=UTC)
DAMAGE = """
update cases set targets = jsonb_set(targets, '{1,due_at}', '"2027-01-01T00:00:00Z"') where patient_ref = 'P-1';
delete from timers where name = 'resolve';
update timers set due_at = due_at + interval '9 days' where name = 'action';
insert into timers (kind, subject, name, generation, due_at, data) select 'target', subject, 'contact', 9, now() + interval '9 years', '{}'
from timers where kind = 'target' limit 1;
"""


@pytest_asyncio.fixture(loop_scope="session")
async def bench(postgres_dsn: str) -> AsyncIterator[Bench]:
    async with fresh_database(postgres_dsn, "rebuild") as database, bench_on(database) as made:
        yield made


async def look(bench: Bench, *, apply: bool = False) -> list[Looked]:
    async with bench.engine.transaction() as tx:
        return await usecases.rebuild_clocks(tx, await usecases.next_cases(tx, None, None), apply=apply)


async def as_it_is(bench: Bench) -> list[tuple[Any, ...]]:
    cases = await bench.engine.pool.fetch("select case_id, targets, step_due_at, expires_at from cases order by case_id")
    timers = await bench.engine.pool.fetch("select subject, kind, name, generation, due_at from timers order by 1, 2, 3, 4")
    return [tuple(row) for row in (*cases, *timers)]


async def grown(bench: Bench) -> None:
    """Three cases that have come some way: one nobody took, one paused, one resolved."""
    await bench.report(*(incident(f"P-{n}") for n in (1, 2, 3)))
    ids = {item["patient_ref"]: item["id"] for item in (await bench.get("/v1/cases", "machine")).json()["items"]}
    for patient in ("P-2", "P-3"):
        assert (await bench.post(f"/v1/cases/{ids[patient]}/acknowledge")).status_code == 200
    await bench.post(f"/v1/cases/{ids['P-2']}/pause", {"reason": "waiting_for_lab"})
    await bench.post(f"/v1/cases/{ids['P-3']}/story", {"verbatim": "It pinches.", "read_back_confirmed": True})
    await bench.post(f"/v1/cases/{ids['P-3']}/resolve", {"root_cause": "lab_error", "action": "remake"})
    await bench.advance(NOON)


async def test_a_case_that_nobody_damaged_shows_no_difference(bench: Bench) -> None:
    await grown(bench)
    assert await look(bench) == []


async def test_damage_is_shown_and_mended_to_what_it_was_as_a_recorded_act(bench: Bench) -> None:
    await grown(bench)
    before, said = await as_it_is(bench), len(await bench.said())
    await bench.engine.pool.execute(DAMAGE)
    damaged = await as_it_is(bench)
    shown = await look(bench)
    assert await as_it_is(bench) == damaged
    assert sorted({part.name for one in shown for part in one.differences}) == [
        "contact of segment 1, due at", "target action", "target contact", "target resolve",
    ]  # fmt: skip
    mended = await look(bench, apply=True)
    assert [one.differences for one in mended] == [one.differences for one in shown]
    assert await as_it_is(bench) == before
    assert await look(bench) == []
    told = (await bench.said())[said:]
    assert [(event["type"], event["why"]) for event in told] == [("amends.case.replanned", "rebuilt")] * len(mended)
    audited = await bench.engine.pool.fetch("select actor, subject from audit where action = 'case.clock_rebuilt'")
    assert sorted(tuple(row) for row in audited) == sorted(("command", str(one.case.case_id)) for one in mended)


async def test_a_case_is_named_by_id_or_reference(bench: Bench) -> None:
    await bench.report(incident())
    case = await bench.only_case()
    async with bench.engine.transaction() as tx:
        assert str(await usecases.case_named(tx, case["reference"])) == str(await usecases.case_named(tx, case["id"])) == case["id"]
        for name in ("AM-0000-00", "nonsense"):
            with pytest.raises(Rejected, match="no case"):
                await usecases.case_named(tx, name)
