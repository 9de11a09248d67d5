"""What fired early or twice stays until a person takes note of it; what can be mended goes by itself. And it is known when was looked."""

from datetime import timedelta
from uuid import UUID

import pytest

from shared import timers
from shared.kernel.clock import machine_now
from shared.kernel.errors import Rejected
from shared.kernel.ids import new_id
from shared.timers import Auditor, audit
from tests.integration.engine.bed import NOON, Bed

EARLY = """
insert into timers_done (kind, subject, name, generation, outcome, reason, due_at, fired_at)
values ('deadline', 'S-1', 'one', 1, 'fired', 'due', $1, $2)
"""
# Each subject has several timers, all of which fired and are set once more.
ALL_AGAIN = """
with again as (
    select k as kind, 'S-' || s as subject, n as name
    from unnest(array['a', 'b', 'c']) k, generate_series(1, 3) s, unnest(array['x', 'y']) n
), proof as (
    insert into timers_done (kind, subject, name, generation, outcome, reason, due_at, fired_at)
    select kind, subject, name, 1, 'fired', 'due', $1::timestamptz, $1 from again
)
insert into timers (kind, subject, name, generation, due_at, data) select kind, subject, name, 1, $1 + interval '9 years', '{}'
from again
"""
OVERDUE = "insert into timers (kind, subject, name, generation, due_at, data) values ('deadline', 'S-2', 'two', 1, $1, '{}')"


async def refusal(bed: Bed, finding_id: UUID) -> str:
    """The code it is not noted with."""
    with pytest.raises(Rejected) as refused:
        async with bed.engine.transaction() as tx:
            await timers.note(tx.conn, finding_id, machine_now())
    return refused.value.code


async def test_17_what_fired_early_is_listed_until_it_is_noted_and_is_not_found_again(bed: Bed) -> None:
    await bed.engine.pool.execute(EARLY, NOON + timedelta(hours=1), NOON)
    await Auditor(bed.engine).look()
    (found,) = await timers.findings(bed.engine.pool)
    assert (found["fault"], found["words"]) == ("early", "it fired before it was due")
    async with bed.engine.transaction() as tx:
        assert await timers.note(tx.conn, found["finding_id"], machine_now()) == "early:deadline:S-1:one:1"
    # Another process starts, and looks back over the last hour.
    await Auditor(bed.engine).look()
    assert await timers.findings(bed.engine.pool) == []
    assert await refusal(bed, found["finding_id"]) == "unknown-finding"


async def test_17_what_was_noted_is_told_again_where_it_got_worse(bed: Bed) -> None:
    auditor = Auditor(bed.engine)
    await bed.engine.pool.execute(EARLY, NOON + timedelta(hours=1), NOON)
    await auditor.look()
    (found,) = await timers.findings(bed.engine.pool)
    async with bed.engine.transaction() as tx:
        await timers.note(tx.conn, found["finding_id"], machine_now())
    await bed.engine.pool.execute("update timer_findings set detail = 'fired at another time'")
    await auditor.look()
    assert [row["finding_id"] for row in await timers.findings(bed.engine.pool)] == [found["finding_id"]]


async def test_17_what_can_be_mended_is_not_noted_away(bed: Bed) -> None:
    await bed.engine.pool.execute(OVERDUE, NOON - timedelta(hours=1))
    await Auditor(bed.engine).look()
    (found,) = await timers.findings(bed.engine.pool)
    assert [await refusal(bed, named) for named in (found["finding_id"], new_id())] == ["goes-by-itself", "unknown-finding"]
    assert len(await timers.findings(bed.engine.pool)) == 1


async def test_17_it_is_known_when_the_auditor_looked_and_went_round(bed: Bed) -> None:
    before = await timers.looked(bed.engine.pool)
    began = machine_now()
    auditor = Auditor(bed.engine)
    await auditor.look()
    looked = await timers.looked(bed.engine.pool)
    assert before.looked_at is None and looked.looked_at is not None and looked.looked_at >= began
    assert looked.went_round_at is not None and began <= looked.went_round_at <= looked.looked_at


@pytest.mark.parametrize("at_once", [1, 4, 18, 100])
async def test_17_a_round_goes_over_every_timer_however_it_is_sliced(bed: Bed, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(audit, "SLICE", at_once)
    await bed.engine.pool.execute(ALL_AGAIN, NOON)
    auditor = Auditor(bed.engine)
    for _ in range(18 // at_once + 1):
        await auditor.look()
    found = [(row["subject"], row["kind"], row["name"]) for row in await timers.findings(bed.engine.pool)]
    assert sorted(found) == [(f"S-{n}", kind, name) for n in (1, 2, 3) for kind in "abc" for name in "xy"]
