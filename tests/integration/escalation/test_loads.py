"""Who has how many live cases is counted as cases change, and is what counting them would say, whoever changes them and however many at
once."""

import asyncio
import random
from collections.abc import AsyncIterator, Collection
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from services.escalation import store
from services.escalation.usecases.unowned import find_owners
from shared import reference
from shared.contracts.directory import StaffChanged
from shared.db import Connection, migrate
from shared.runtime.host import all_migrations
from tests.integration.escalation.bench import SERVICE, Bench, bench_on, incident, told
from tests.support.eventually import eventually
from tests.support.servers import Database, fresh_database

pytestmark = pytest.mark.integration
COUNTED = """
select location_id, owner_staff_id, count(*)::int as cases from cases
where status in ('open', 'acknowledged') and owner_staff_id is not null group by 1, 2
"""
PLACES = ("store-12", "store-99")
GIVE = "update cases set owner_staff_id = $2 where case_id = $1"
CHANGE = "update cases set owner_staff_id = $2, status = $3 where case_id = any($1)"
CASES = "select case_id from cases order by case_id"
# As the version before left the schema.
TAKE_BACK = """
drop table case_loads;
drop function add_load, add_loads_of_new, move_load cascade;
delete from migrations where name = 'escalation/0008_loads.sql';
"""


@pytest_asyncio.fixture(loop_scope="session")
async def database(postgres_dsn: str) -> AsyncIterator[Database]:
    async with fresh_database(postgres_dsn, "loads") as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def bench(database: Database) -> AsyncIterator[Bench]:
    async with bench_on(database) as made:
        yield made


async def loads(conn: Connection) -> dict[tuple[str, str], int]:
    """As they are kept; they are as many as there are, or this fails."""
    kept = {(place, who): n for place, some in (await store.load(conn, PLACES)).items() for who, n in some.items() if n}
    assert kept == {(row["location_id"], row["owner_staff_id"]): row["cases"] for row in await conn.fetch(COUNTED)}
    return kept


async def test_a_load_follows_whatever_happens_to_a_case(bench: Bench) -> None:
    """Goal: every act that gives, takes or ends a case. Method: one of each, the loads held against the cases after each."""
    mine, bens = ("store-12", "ana"), ("store-12", "ben")
    async with bench.engine.pool.acquire() as conn:
        await bench.report(*(incident(f"P-{n}") for n in range(5)), incident("P-far", location_id="store-99"))
        assert await loads(conn) == {mine: 3, bens: 2, ("store-99", "zoe"): 1}
        await bench.report(incident("P-0"), incident("P-new"))
        assert await loads(conn) == {mine: 3, bens: 3, ("store-99", "zoe"): 1}, "one that attaches is none more"
        case = (await bench.engine.pool.fetchval("select case_id::text from cases where owner_staff_id = 'ana' limit 1")) or ""

        async def act(what: str, body: dict[str, Any] | None, who: str, owns: int) -> None:
            answer = await bench.post(f"/v1/cases/{case}/{what}", body, who=who)
            assert answer.status_code == 200, answer.text
            assert (await loads(conn)).get(mine, 0) == owns

        await act("acknowledge", None, "ana", 3)
        await act("assign", {"staff_id": "ben"}, "mia", 2)
        await act("assign", {"staff_id": "ana"}, "mia", 3)
        await act("story", {"verbatim": "It pinches.", "read_back_confirmed": True}, "ana", 3)
        await act("resolve", {"root_cause": "lab_error"}, "ana", 2)
        await act("reopen", {"reason": "not_solved"}, "mia", 3)
        await act("resolve", {"root_cause": "lab_error"}, "ana", 2)
        await act("close", None, "mia", 2)
        async with bench.engine.transaction() as tx:
            gone = StaffChanged(staff_id="ana", name="Ana Example", role="associate", locations=("store-12",), active=False)
            await reference.take_staff(tx, [told(gone, 100)])
        async with bench.engine.transaction() as tx:
            assert await find_owners(bench.desk, tx) == 0
        assert await loads(conn) == {bens: 5, ("store-99", "zoe"): 1}
        await conn.execute("delete from case_events")
        await conn.execute("delete from case_incidents")
        await conn.execute("delete from cases where location_id = 'store-99'")
        assert await loads(conn) == {bens: 5}, "one that is taken away by hand"


async def test_where_one_person_could_own_a_case_nobody_is_counted(bench: Bench) -> None:
    """Goal: the read is not made where it decides nothing. Method: loads that would give the case to nobody there, were they asked."""
    asked: list[Collection[str]] = []

    async def load(conn: Connection, location_ids: Collection[str]) -> dict[str, dict[str, int]]:
        asked.append(location_ids)
        return {}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "load", load)
        await bench.report(incident("P-far", location_id="store-99"))
        await bench.report(incident("P-here"), incident("P-there", location_id="store-99"))
    assert asked == [{"store-12"}]


async def test_nobody_waits_for_another_who_changes_the_same_loads(bench: Bench) -> None:
    """Goal: two batches at the same stores do not wait for each other's commit. Method: one stays open, another comes and goes meanwhile;
    then the first is taken back."""
    await bench.report(*(incident(f"P-{n}") for n in range(4)))
    pool = bench.engine.pool
    first, second, *_ = [row["case_id"] for row in await pool.fetch("select case_id from cases where owner_staff_id = 'ana'")]
    async with pool.acquire() as one, pool.acquire() as other:
        opened = one.transaction()
        await opened.start()
        await one.execute(GIVE, first, "ben")
        await other.execute("set lock_timeout = '2s'")
        await other.execute(GIVE, second, "ben")
        await other.execute("reset lock_timeout")
        assert await loads(other) == {("store-12", "ana"): 1, ("store-12", "ben"): 3}
        await opened.rollback()
        assert await loads(other) == {("store-12", "ana"): 1, ("store-12", "ben"): 3}


async def test_the_loads_are_right_at_every_moment_of_a_crowd(bench: Bench) -> None:
    """Goal: whatever a snapshot shows of the cases, it shows of the loads. Method: writers give, end and reopen cases side by side, some
    take all of it back; a reader compares both in one snapshot until they are done."""
    await bench.report(*(incident(f"P-{n}") for n in range(60)))
    pool, dice = bench.engine.pool, random.Random(5)
    cases = [row["case_id"] for row in await pool.fetch(CASES)]

    async def change() -> None:
        for _ in range(40):
            some = sorted(dice.sample(cases, dice.randint(1, 4)))
            to, status = dice.choice(("ana", "ben", "mia", None)), dice.choice(("open", "acknowledged", "resolved"))
            async with pool.acquire() as conn:
                whole = conn.transaction()
                await whole.start()
                await conn.fetch("select from cases where case_id = any($1) order by case_id for update", some)
                await conn.execute(CHANGE, some, to, status)
                await (whole.rollback() if dice.random() < 0.2 else whole.commit())

    writers = [asyncio.create_task(change()) for _ in range(5)]
    looks = 0
    async with pool.acquire() as conn:
        while not all(writer.done() for writer in writers):
            async with conn.transaction(isolation="repeatable_read", readonly=True):
                await loads(conn)
            looks += 1
        await asyncio.gather(*writers)
        assert sum((await loads(conn)).values()) > 0
        assert looks > 5
        assert (
            await conn.fetchval("select max(parts) from (select count(*) as parts from case_loads group by location_id, staff_id) p") <= 5
        )


async def test_loads_begin_right_while_the_version_before_goes_on(bench: Bench, database: Database) -> None:
    """Goal: an upgrade counts what is there and misses nothing that is written meanwhile. Method: the schema of before; somebody gives a
    case away and has not committed when the migration comes."""
    await bench.report(*(incident(f"P-{n}") for n in range(5)))
    async with bench.engine.pool.acquire() as conn:
        owner = await asyncpg.connect(database.dsn, server_settings={"search_path": "escalation"})
        await owner.execute(TAKE_BACK)
        await owner.close()
        (case,) = await conn.fetch("select case_id from cases where owner_staff_id = 'ana' limit 1")
        opened = conn.transaction()
        await opened.start()
        await conn.execute(GIVE, case["case_id"], "ben")
        upgrade = asyncio.create_task(migrate(database.dsn, "escalation", all_migrations("escalation", SERVICE / "schema")))
        await eventually(lambda: is_waiting(bench), within_seconds=10)
        await opened.commit()
        assert await upgrade == 1
        assert await loads(conn) == {("store-12", "ana"): 2, ("store-12", "ben"): 3}


async def is_waiting(bench: Bench) -> bool:
    """Whether somebody waits for the lock of a table."""
    waiting = "select exists (select from pg_locks where not granted and relation = 'cases'::regclass)"
    return bool(await bench.engine.pool.fetchval(waiting))
