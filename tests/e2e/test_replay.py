"""The console's projections are made again from the topics, and nothing but them changes (behaviour 45)."""

import asyncio
import json
import re
import shutil
import signal
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from shared.embedded import EmbeddedPostgres
from tests.e2e.test_republish import PAID, complaint_of_order, furnished, paid_before, texts, through
from tests.e2e.test_survives import posted
from tests.support.command import COMMAND, Up, amends
from tests.support.eventually import eventually
from tests.support.projections import projections
from tests.support.servers import throwaway_folder
from tests.support.stack import Amends, client

pytestmark = pytest.mark.e2e

# With the paid ones they fit on one page of the queue.
ORDERS = 150
BEGUN = b"0 of "
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
}
BREAK = "delete from console.entries where version = 2; update console.queue_rows set severity = 1, incidents = 99"


@pytest.mark.timeout(600)
async def test_45_replay_makes_the_projections_again_and_sends_no_text_and_moves_no_money() -> None:
    with throwaway_folder() as folder:
        with Up(folder) as up:
            key, now, patients = await a_day(up, folder)
            queue = await queue_of(up.url, key)
            beside = await asyncio.to_thread(amends, "replay", "--data", str(folder))
            assert beside.returncode == 1 and "Traceback" not in beside.stderr, "not beside what runs"
        other = await asyncio.to_thread(amends, "replay", "restitution", "--data", str(folder))
        assert other.returncode == 2 and "Only projections are replayed" in other.stderr, other.stderr

        async with database(folder) as connection:
            await connection.execute("insert into console.sessions values ('a-hash', 'ada', 'x', clock_timestamp())")
            before, kept = await projections(connection), await untouched(connection)
            assert all(before.values()), "there is something in each of them"
            assert len(before["queue_rows"]) == PAID + ORDERS and kept["ledger legs"] == 2 * PAID
            await connection.execute(BREAK)
            broken = await projections(connection)
            assert broken != before
        heard = texts(folder)

        await killed_once_it_has_begun(folder)
        async with database(folder) as connection:
            assert await projections(connection) == broken, "interrupted, it has changed nothing"

        done = await asyncio.to_thread(amends, "replay", "--data", str(folder), "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["rows"] == {table: len(rows) for table, rows in before.items()} and told["parked"] == 0
        assert re.search(r"\b0 of ([\d,]+) events\n(.*\n)*\1 of \1 events", done.stderr), "progress is shown"
        async with database(folder) as connection:
            assert_equal(await projections(connection), before)
            assert await untouched(connection) == kept
            assert await connection.fetchval("select to_regnamespace('console_next')") is None, "the next generation has moved in"

        with Up(folder) as again:
            await eventually(lambda: through(again.url, key), within_seconds=60, every_seconds=1)
            assert await queue_of(again.url, key) == queue
            assert texts(folder) == heard, "nobody was texted again"
            await posted(again.url, key, [complaint_of_order(ORDERS, now)])
            await eventually(lambda: through(again.url, key), within_seconds=60, every_seconds=1)
            (new,) = [row for row in await queue_of(again.url, key) if row not in queue]
            expected = await sent_about(again.url, key, new["id"])
        more = texts(folder) - heard
        assert sum(more.values()) == expected and not set(more) & set(patients), "only the new case is told of, to staff"
        async with database(folder) as connection:
            after = await projections(connection)
            assert len(after["queue_rows"]) == PAID + ORDERS + 1 and set(before["entries"]) < set(after["entries"])
            assert await connection.fetchval("select count(*) from restitution.ledger") == 2 * PAID


@pytest.mark.timeout(600)
async def test_45_after_a_lost_log_replay_says_what_the_topics_lack_and_its_advice_brings_it_back() -> None:
    with throwaway_folder() as folder:
        with Up(folder) as up:
            key, _, _ = await a_day(up, folder)
        async with database(folder) as connection:
            before = await projections(connection)
        heard = texts(folder)
        shutil.rmtree(folder / "kafka")

        lost = await asyncio.to_thread(amends, "replay", "--data", str(folder))
        assert lost.returncode == 1 and "amends republish --since" in lost.stderr, lost.stderr
        late = datetime.now(UTC).isoformat()
        assert (await asyncio.to_thread(amends, "republish", "--since", late, "--data", str(folder))).returncode == 0
        refused = await asyncio.to_thread(amends, "replay", "--data", str(folder))
        assert refused.returncode == 1 and f"lack {len(before['entries']):,} events" in refused.stderr, refused.stderr
        async with database(folder) as connection:
            assert_equal(await projections(connection), before)

        advised = re.search(r"amends (republish --since \S+)`", refused.stderr)
        assert advised, refused.stderr
        again = await asyncio.to_thread(amends, *advised[1].split(), "--data", str(folder))
        assert again.returncode == 0, again.stderr
        with Up(folder) as second:
            await eventually(lambda: through(second.url, key), within_seconds=120, every_seconds=1)
        done = await asyncio.to_thread(amends, "replay", "--data", str(folder))
        assert done.returncode == 0 and f"shows {PAID + ORDERS} cases" in done.stdout, done.stderr
        async with database(folder) as connection:
            assert_equal(await projections(connection), before)
        assert texts(folder) == heard


async def a_day(up: Up, folder: Path) -> tuple[str, datetime, list[str]]:
    """Patients who were paid and orders that were complained about, all of it through; a key, the business time, the patients' numbers."""
    key = furnished(folder)
    async with client(up.url, key) as http:
        patients = await paid_before(Amends(up.url, http))
        now = await Amends(up.url, http).now()
    await posted(up.url, key, [complaint_of_order(n, now) for n in range(ORDERS)])
    await eventually(lambda: through(up.url, key), within_seconds=120, every_seconds=1)
    return key, now, patients


async def killed_once_it_has_begun(folder: Path) -> None:
    """A replay that ends as by a power cut, as soon as it says that it reads."""
    running = await asyncio.create_subprocess_exec(COMMAND, "replay", "--data", str(folder), stderr=asyncio.subprocess.PIPE)
    assert running.stderr is not None, "it is a pipe"
    async for line in running.stderr:
        if line.startswith(BEGUN):
            running.kill()
    assert await running.wait() == -signal.SIGKILL, "it had not ended by itself"


async def sent_about(url: str, key: str, case_id: str) -> int:
    """How many texts have left about a case."""
    async with client(url, key) as http:
        notices = await Amends(url, http).items("/v1/notices", case_id=case_id)
    return Counter(notice["status"] in ("sent", "delivered") for notice in notices)[True]


def assert_equal(found: dict[str, list[str]], expected: dict[str, list[str]]) -> None:
    for table, rows in expected.items():
        assert found[table] == rows, table


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


async def untouched(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[str, int]:
    return {name: await connection.fetchval(f"select {sql}") for name, sql in UNTOUCHED.items()}


async def queue_of(url: str, key: str) -> list[Any]:
    """The cases as the API lists them from the console's rows, on one page."""
    async with client(url, key) as http:
        return await Amends(url, http).items("/v1/queue", limit=200)
