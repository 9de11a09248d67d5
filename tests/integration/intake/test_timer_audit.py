"""Behaviour 17 in intake: an order that is watched has its timer, and the auditor sees where it has not."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from services.intake import store, usecases
from services.intake.domain.orders import ORDER_LATE
from services.intake.timers import kinds
from shared.timers import Auditor, check_of, findings
from tests.integration.intake.bench import NOON, Bench, event, running
from tests.support.servers import fresh_database


@pytest_asyncio.fixture(loop_scope="session")
async def bench(postgres_dsn: str) -> AsyncIterator[Bench]:
    async with fresh_database(postgres_dsn, "intake_audit") as database, running(database) as made:
        yield made


async def busy(bench: Bench) -> None:
    """Orders in every state: promised, moved, ready in time, late, remade, joined under one root, and two that wait."""

    def order(kind: str, name: str, days: int | None = None, **data: Any) -> dict[str, Any]:
        promised: dict[str, Any] = {"promised_at": (NOON + timedelta(days=days)).isoformat()} if days is not None else {}
        return event(f"pos.order.{kind}", order_id=name, **promised, **data)

    await bench.post(*(order("placed", f"O-{n}", days=1 + n % 3) for n in range(8)))
    await bench.post(order("promised", "O-0", days=5), order("received", "O-1"), order("cancelled", "O-2"))
    await bench.post(order("remade", "R-1", root_order_id="O-3"), order("placed", "O-9", days=2, root_order_id="O-4"))
    await bench.passes(days=1, hours=7)


async def found(bench: Bench) -> list[tuple[str, str, str]]:
    return sorted((row["fault"], row["kind"], row["subject"]) for row in await findings(bench.desk.engine.pool))


async def test_17_a_busy_intake_has_no_findings_at_any_time(bench: Bench) -> None:
    auditor = Auditor(bench.desk.engine, usecases.check_timers)
    await busy(bench)
    for _ in range(4):
        await bench.passes(hours=20)
        await auditor.look()
        assert await found(bench) == []
    assert await bench.rows("select from timers_done where outcome = 'fired'") and await bench.rows(
        "select from orders where late_for < now()"
    )


@pytest.mark.parametrize("at_once", [1, 1000])
async def test_17_a_timer_deleted_by_hand_is_missing_and_one_set_by_hand_is_left_over(bench: Bench, at_once: int) -> None:
    """Method: with slices of one order each, and with one slice for all: the rounds of both end at the same findings."""
    await busy(bench)
    auditor = Auditor(bench.desk.engine, check_of(ORDER_LATE, store.WATCHED, at_once))
    await bench.rows("delete from timers where subject = 'O-0'")
    await bench.rows("update timers set due_at = due_at + interval '1 hour' where subject = 'O-4'")
    await bench.rows(
        "insert into timers (kind, subject, name, generation, due_at, data)"
        " values ('order_late', 'O-1', 'promise', 7, now() + interval '9 years', '{}')"
    )
    for _ in range(1 if at_once > 1 else 12):
        await auditor.look()
    told = [("left_over", ORDER_LATE, "O-1"), ("missing", ORDER_LATE, "O-0"), ("wrong_due", ORDER_LATE, "O-4")]
    assert await found(bench) == told
    await bench.rows("delete from timers where generation = 7")
    for _ in range(2 if at_once > 1 else 24):
        await auditor.look()
    assert await found(bench) == told[1:]


def test_each_timer_of_the_service_is_audited(bench: Bench) -> None:
    assert set(kinds(bench.desk)) == {ORDER_LATE}
