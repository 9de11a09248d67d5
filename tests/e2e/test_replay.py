"""The console's projections are made again from the topics, and nothing but them changes (behaviour 45)."""

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services.console.store.generation import PROJECTIONS
from shared.embedded import EmbeddedPostgres
from tests.e2e.test_republish import PAID, complaint_of_order, furnished, paid_before, texts, through
from tests.e2e.test_survives import posted
from tests.support.command import Up, amends
from tests.support.eventually import eventually
from tests.support.servers import throwaway_folder
from tests.support.stack import Amends, client

pytestmark = pytest.mark.e2e

# With the paid ones they fit on one page of the queue.
ORDERS = 150
SERVICES = ("intake", "escalation", "restitution", "notification", "console")
# What a replay has no business with: what was said, paid and sent, and what the console keeps besides projections.
UNTOUCHED = {
    "outboxes": " + ".join(f"(select count(*) from {name}.outbox)" for name in SERVICES),
    "ledger legs": "(select count(*) from restitution.ledger)",
    "notices": "(select count(*) from notification.notices)",
    "timers": "(select count(*) from escalation.timers)",
    "console's inbox": "(select count(*) from console.inbox)",
    "console's parked": "(select count(*) from console.parked)",
    "sessions": "(select count(*) from console.sessions)",
}  # fmt: skip


async def test_45_replay_makes_the_projections_again_and_sends_no_text_and_moves_no_money() -> None:
    with throwaway_folder() as folder:
        with Up(folder) as up:
            key = furnished(folder)
            async with client(up.url, key) as http:
                await paid_before(Amends(up.url, http))
                now = await Amends(up.url, http).now()
            await posted(up.url, key, [complaint_of_order(n, now) for n in range(ORDERS)])
            await eventually(lambda: through(up.url, key), within_seconds=120, every_seconds=1)
            queue = await queue_of(up.url, key)
            beside = await asyncio.to_thread(amends, "replay", "--data", str(folder))
            assert beside.returncode == 1 and "Traceback" not in beside.stderr, "not beside what runs"
        other = await asyncio.to_thread(amends, "replay", "restitution", "--data", str(folder))
        assert other.returncode == 2 and "Only projections are replayed" in other.stderr, other.stderr

        async with database(folder) as connection:
            await connection.execute("insert into console.sessions values ('a-hash', 'ada', 'x', clock_timestamp())")
            await connection.execute("update console.links set tries = 3")
            before, kept = await projections(connection), await untouched(connection)
            assert all(before.values()), "there is something in each of them"
            assert len(before["queue_rows"]) == PAID + ORDERS and kept["ledger legs"] == 2 * PAID
            # What an interrupted run left, and what somebody broke.
            await connection.execute("create schema console_next; create table console_next.queue_rows (n int)")
            await connection.execute(
                "delete from console.entries where version = 2; update console.queue_rows set severity = 1, incidents = 99"
            )
            assert await projections(connection) != before
        heard = texts(folder)

        done = await asyncio.to_thread(amends, "replay", "--data", str(folder), "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["rows"] == {table: len(rows) for table, rows in before.items()} and told["unreadable"] == 0
        assert f"{told['events']:,} of {told['events']:,} events" in done.stderr, "progress is shown"
        async with database(folder) as connection:
            after = await projections(connection)
            for table in PROJECTIONS:
                assert after[table] == before[table], table
            assert await untouched(connection) == kept
            assert not await connection.fetchval("select to_regnamespace('console_next') is not null"), "the next generation has moved in"

        with Up(folder) as again:
            assert await queue_of(again.url, key) == queue
            await posted(again.url, key, [complaint_of_order(ORDERS, now)])
            await eventually(lambda: through(again.url, key), within_seconds=60, every_seconds=1)
            assert len(await queue_of(again.url, key)) == len(queue) + 1, "what comes next is heard as always"
        assert texts(folder) == heard, "nobody was texted again"
        async with database(folder) as connection:
            now_there = await projections(connection)
            assert len(now_there["queue_rows"]) == PAID + ORDERS + 1
            assert set(before["entries"]) < set(now_there["entries"])
            assert await connection.fetchval("select count(*) from restitution.ledger") == 2 * PAID
            await connection.execute(
                "insert into console.audit (at, actor, action, subject, data) values (now(), 'command', 'republish', 'relay:console',"
                " jsonb_build_object('since', clock_timestamp()))"
            )
        refused = await asyncio.to_thread(amends, "replay", "--data", str(folder))
        assert refused.returncode == 1 and "since a republish" in refused.stderr, refused.stderr
        async with database(folder) as connection:
            assert await projections(connection) == now_there, "refused, nothing is changed"


class database:  # noqa: N801 - reads as what it is: `async with database(folder)`
    """The folder's database while nothing runs, as its owner."""

    def __init__(self, folder: Path) -> None:
        self._server = EmbeddedPostgres(folder)

    async def __aenter__(self) -> "asyncpg.Connection[asyncpg.Record]":
        await self._server.__aenter__()
        self._connection = await asyncpg.connect(self._server.dsn())
        return self._connection

    async def __aexit__(self, *error: Any) -> None:
        await self._connection.close()
        await self._server.__aexit__(*error)


async def projections(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[str, list[str]]:
    """Every row of every projection, without the machine's time at which it was written."""
    return {
        table: [
            row["row"]
            for row in await connection.fetch(f"select (to_jsonb(t) - 'created_at')::text as row from console.{table} t order by 1")
        ]
        for table in PROJECTIONS
    }


async def untouched(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[str, int]:
    return {name: await connection.fetchval(f"select {sql}") for name, sql in UNTOUCHED.items()}


async def queue_of(url: str, key: str) -> list[Any]:
    """The cases as the API lists them from the console's rows, on one page."""
    async with client(url, key) as http:
        return await Amends(url, http).items("/v1/queue", limit=200)
