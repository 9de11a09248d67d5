"""Behaviour 17 in notification: a notice that waits has its timer, and the auditor sees where it has not."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest_asyncio

from services.notification import usecases
from services.notification.gateway import Ambiguous, NotSent, Refused
from services.notification.timers import kinds
from shared.contracts.cases import CaseAcknowledged, CaseResolved, EscalationStepped, Storm, TargetBreached
from shared.kernel.ids import new_id
from shared.timers import Auditor, findings
from tests.integration.notification.conftest import NOON, World


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def nothing_found(world: World) -> AsyncIterator[None]:
    await world.engine.pool.execute("delete from timer_findings")
    yield


async def found(world: World) -> list[tuple[str, str]]:
    return sorted((row["fault"], row["kind"]) for row in await findings(world.engine.pool))


async def test_17_a_busy_notification_has_no_findings_at_any_time(world: World) -> None:
    """Method: texts sent, refused, lost and looked up, held for the night, merged, gathered in a storm, withheld by an ACK; a look after
    each step."""
    auditor = Auditor(world.engine, usecases.check_timers)

    async def looked() -> None:
        await auditor.look()
        assert await found(world) == []

    opened = world.case(page=("ana",))
    await world.hears(opened)
    await looked()
    world.sms.answers += [NotSent("away"), Ambiguous("?"), Refused("30003", "no", is_busy=True)]
    await world.runs()
    await looked()
    await world.passes(timedelta(minutes=1))
    await world.silence()
    await usecases.look_at_silent(world.desk)
    await looked()
    storm = Storm(storm_id=new_id(), pages={"ana": 2})
    await world.hears(
        world.case(TargetBreached, opened.case_id, milestone="acknowledge", due_at=world.clock.now(), page=("ana",), level=1, storm=storm)
    )
    await looked()
    await world.hears(world.case(EscalationStepped, opened.case_id, due_at=world.clock.now(), page=("ana", "rita"), level=2, step=2))
    await world.hears(
        world.case(CaseAcknowledged, opened.case_id, status="acknowledged", generation=1, expires_at=NOON + timedelta(hours=4))
    )
    await looked()
    await world.passes(timedelta(hours=12))
    await world.hears(world.case(CaseResolved, opened.case_id, status="resolved", root_cause="lab_error", action="remake"))
    await looked()
    assert await world.engine.pool.fetchval("select count(*) from notices where status = 'held'") > 0
    await world.passes(timedelta(hours=12))
    await looked()


async def test_17_the_timer_of_a_waiting_text_deleted_by_hand_is_missing_within_one_look(world: World) -> None:
    world.clock.jump_to(NOON + timedelta(hours=12))
    opened = world.case(page=("ana",))
    await world.hears(opened)
    await world.runs()
    (held,) = await world.engine.pool.fetch("select notice_id, attempt from notices where status = 'held'")
    await world.engine.pool.execute("delete from timers")
    await Auditor(world.engine, usecases.check_timers).look()
    (row,) = await findings(world.engine.pool)
    assert (row["fault"], row["subject"], row["generation"]) == ("missing", str(held["notice_id"]), held["attempt"])
    async with world.engine.pool.acquire() as conn:
        assert await usecases.timer_cases(conn, [held["notice_id"]]) == {held["notice_id"]: opened.case_id}


async def test_17_a_timer_of_a_text_that_left_is_left_over(world: World) -> None:
    await world.hears(world.case(page=("ana",)))
    await world.runs()
    await world.engine.pool.execute(
        "insert into timers (kind, subject, name, generation, due_at, data)"
        " select 'notice', notice_id::text, 'send', 9, now() + interval '9 years', '{}' from notices where audience = 'staff'"
    )
    await Auditor(world.engine, usecases.check_timers).look()
    assert await found(world) == [("left_over", "notice")]


def test_each_timer_of_the_service_is_audited(world: World) -> None:
    assert set(kinds(world.desk)) == {"notice"}
