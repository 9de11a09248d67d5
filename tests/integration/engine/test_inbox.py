"""Once only, whatever is delivered how often; and a database that goes away parks nothing."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from shared.db import NewerSchema, migrate, open_pool
from shared.kernel.clock import machine_now
from shared.kernel.errors import Transient
from shared.kernel.ids import new_id, uuid7_at
from shared.messaging import inbox
from shared.messaging.audit import first_broken, seal
from shared.messaging.inbox import keep_partitions
from shared.runtime.host import all_migrations, migrate_service
from tests.integration.engine.bed import NAME, SCHEMA, Bed, incident, record
from tests.support.servers import Database


async def test_an_event_is_applied_once_in_a_batch_and_redelivered(bed: Bed) -> None:
    a, b = record("P-1", "a"), record("P-1", "b")
    await bed.take(a, a, b)
    await bed.take(a, b)
    await bed.take(record("P-1", "a", ce_id=a.ce_id))
    assert await bed.words() == ["a", "b"]


async def test_two_consumers_of_the_same_partition_apply_each_once(bed: Bed) -> None:
    """Goal: a rebalance hands a batch to a second consumer while the first still works. Method: the same records, in any order, at once."""
    records = [record(f"P-{n % 5}", f"w{n}") for n in range(60)]
    await asyncio.gather(bed.take(*records), bed.take(*reversed(records)), bed.take(*records[30:], *records[:30]), bed.take(*records))
    assert sorted(await bed.words()) == sorted(f"w{n}" for n in range(60))


async def test_an_old_or_future_event_is_parked_and_the_edges_are_taken(bed: Bed) -> None:
    now = machine_now()
    ages = {"old": timedelta(days=-14, hours=-1), "oldest": timedelta(days=-13), "newest": timedelta(days=2), "future": timedelta(days=4)}
    await bed.take(*[record(f"P-{word}", word, ce_id=uuid7_at(now + age)) for word, age in ages.items()])
    assert await bed.words() == ["oldest", "newest"]
    assert await bed.reasons() == {"too-old": 2}


async def test_lost_sessions_park_nothing_and_the_batch_goes_through(bed: Bed) -> None:
    """Goal: the server ends every session in the middle of a transaction, three times."""
    left = [1, 2, 3]
    real = bed.usecase

    async def cut(tx: object, facts: object) -> None:
        if left:
            left.pop()
            await bed.as_owner("select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1", f"amends-{NAME}")
        await real(tx, facts)  # type: ignore[arg-type]

    bed.usecase = cut  # type: ignore[method-assign]
    await asyncio.wait_for(bed.take(record("P-1", "a"), record("P-1", "b"), record("P-2", "bad", value=b"{")), 30)
    assert await bed.words() == ["a", "b"]
    assert await bed.reasons() == {"unreadable-body": 1}


async def test_many_bad_ones_while_the_database_is_away_do_not_count_twice(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.messaging.consumer.PARK_LIMIT", 10)
    left = [Transient("away", retry_in=0.01)] * 4

    async def away(*_: object) -> None:
        if left:
            raise left.pop()

    bed.usecase = away  # type: ignore[assignment, method-assign]
    await bed.take(record("P-1", "a"), *[record(f"B-{n}", "bad", value=b"{") for n in range(8)])
    assert await bed.reasons() == {"unreadable-body": 8}


async def test_a_transaction_tells_a_lost_database_from_a_wrong_call(bed: Bed) -> None:
    with pytest.raises(FileNotFoundError):
        async with bed.engine.transaction():
            raise FileNotFoundError("a bug")
    with pytest.raises(asyncpg.InterfaceError):
        async with bed.engine.transaction() as tx:
            await tx.conn.execute("select $1::int", 1, 2)
    with pytest.raises(asyncpg.DataError):
        async with bed.engine.transaction() as tx:
            await tx.conn.execute("select $1::int", 1 << 40)
    with pytest.raises(Transient):
        async with bed.engine.transaction() as tx:
            await tx.conn.execute("select pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(Transient):
        async with bed.engine.transaction() as tx:
            await tx.conn.execute("set transaction read only")
            await tx.conn.execute("insert into topics_heard (topic) values ('a replica')")
    assert bed.engine.busy == 0


async def test_nothing_of_a_transaction_that_fails_stays(bed: Bed) -> None:
    with pytest.raises(ValueError, match="no"):
        async with bed.engine.transaction() as tx:
            tx.say(incident("P-1", "a"))
            tx.audit("ana", "did", "case")
            raise ValueError("no")
    assert await bed.pool.fetchval("select count(*) from outbox") == 0


async def test_a_machine_that_slept_past_the_prepared_days_goes_on(bed: Bed) -> None:
    today = machine_now().strftime("%Y%m%d")
    await bed.as_owner(f"drop table outbox_{today}, inbox_{today}")
    await asyncio.wait_for(bed.take(record("P-1", "a")), 10)
    assert await bed.words() == ["a"]
    assert await bed.parked() == []


async def test_partitions_are_made_ahead_and_dropped_only_below_the_position(bed: Bed) -> None:
    today = machine_now().date()
    old = today - timedelta(days=20)
    await bed.as_owner("select keep_partitions($1, $1, $1, $1)", old)
    await bed.as_owner(
        "insert into outbox (day, event_id, topic, key, type, at, body) values ($1, $2, 't', 'k', 'x', now(), ''::bytea)", old, new_id()
    )
    names = "select relid::regclass::text as name from pg_partition_tree($1::regclass) where isleaf"
    await keep_partitions(bed.pool)
    kept = {parent: {row["name"] for row in await bed.pool.fetch(names, parent)} for parent in ("inbox", "outbox")}
    assert f"outbox_{old:%Y%m%d}" in kept["outbox"], "what is not relayed yet stays"
    assert f"inbox_{old:%Y%m%d}" not in kept["inbox"]
    for ahead in range(4):
        assert f"outbox_{today + timedelta(days=ahead):%Y%m%d}" in kept["outbox"]
    await bed.pool.execute("update relay_position set since = pg_current_snapshot(), upto = null")
    await asyncio.gather(*(keep_partitions(bed.pool) for _ in range(4)))
    left = {row["name"] for row in await bed.pool.fetch(names, "outbox")}
    assert f"outbox_{old:%Y%m%d}" not in left
    assert len(left) == (inbox.KEPT + inbox.AHEAD).days + 1


async def test_the_audit_trail_verifies_and_a_changed_row_is_located(bed: Bed) -> None:
    async def act(n: int) -> None:
        async with bed.engine.transaction() as tx:
            tx.audit("ana", "acknowledged", f"case-{n}", {"n": n})
            await asyncio.sleep(0.001 * (n % 3))

    for start in range(0, 40, 8):
        await asyncio.gather(*(act(n) for n in range(start, start + 8)), seal(bed.pool, at_most=5), seal(bed.pool, at_most=3))
    while await seal(bed.pool, at_most=7):
        pass
    assert await bed.pool.fetchval("select count(*) from audit") == await bed.pool.fetchval("select count(*) from audit_seals") == 40
    assert await first_broken(bed.pool) is None
    for sql in ("update audit set actor = 'eve'", "delete from audit_seals", "truncate audit cascade"):
        with pytest.raises(asyncpg.PostgresError):
            await bed.pool.execute(sql)
        with pytest.raises(asyncpg.RaiseError):
            await bed.as_owner(sql)
    for n in (1, 17, 40):
        seq = await bed.pool.fetchval("select seq from audit_seals where n = $1", n)
        tamper = "set session_replication_role = replica; update audit set actor = '{}' where seq = {}"
        await bed.as_owner(tamper.format("eve", seq))
        assert await first_broken(bed.pool) == n
        await bed.as_owner(tamper.format("ana", seq))
    assert await first_broken(bed.pool) is None
    lost = await bed.pool.fetchval("select seq from audit_seals where n = 9")
    await bed.as_owner(f"set session_replication_role = replica; delete from audit where seq = {lost}")
    assert await first_broken(bed.pool) == 9


async def test_a_schema_of_a_newer_version_and_an_edited_file_are_refused(bed: Bed, database: Database) -> None:
    known = all_migrations(NAME, SCHEMA)
    with pytest.raises(NewerSchema):
        await migrate(database.dsn, NAME, known[:-1])
    with pytest.raises(ValueError, match="changed after"):
        await migrate(database.dsn, NAME, (*known[:-1], type(known[-1])(known[-1].name, known[-1].sql + "\n-- later")))
    assert await migrate(database.dsn, NAME, known) == 0


async def test_migrators_side_by_side_and_walls_between_services(bed: Bed, database: Database) -> None:
    names = ("intake", "restitution", "notification")
    await asyncio.gather(*(migrate_service(database.dsn, name, SCHEMA) for name in names for _ in range(2)))
    pool = await open_pool(database.dsn_of("amends_intake"), schema="intake", size=1)
    try:
        for sql in (f"select * from {NAME}.outbox", f"insert into {NAME}.topics_heard (topic) values ('x')", f"create table {NAME}.x ()"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.execute(sql)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute("create table mine ()")
    finally:
        await pool.close()
