"""Six processes on servers of one's own, as an operator and a person at the console see them: the doctor, the live queue, a stop."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient

from shared.contracts.flow import INGRESS
from shared.kernel.clock import machine_now
from tests.support.builders import BAY, ELM, LEE, MIA, OAK, SAM, Patient, group, three_trips
from tests.support.fleet import PAST, Fleet, command, fleet
from tests.support.projections import projections
from tests.support.servers import Database, Servers, forget_topics, fresh_database, throwaway_folder
from tests.support.stack import BATCH, client

pytestmark = pytest.mark.e2e

# No provider: texts wait, and nothing outside this machine is asked for.
SMS = dict.fromkeys(f"AMENDS_SMS__{name}" for name in ("ACCOUNT_SID", "AUTH_TOKEN", "FROM_NUMBER", "BASE_URL"))
# What is told to whoever tries it on one broker and without a provider.
TRYING: set[tuple[str, str]] = {
    ("broker", "topics are made on 1 broker"),
    ("provider", "none is set: every text waits, pages too"),
}
HEARS_SECONDS = 60.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def home(servers: Servers) -> AsyncIterator[Database]:
    async with fresh_database(servers.postgres_dsn, "own") as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def six(servers: Servers, home: Database) -> AsyncIterator[Fleet]:
    """Six processes with the small group loaded, where anybody of it may sign in."""
    await forget_topics(servers.bootstrap_servers)
    with throwaway_folder() as folder:
        async with fleet(home, servers.bootstrap_servers, folder, **SMS, AMENDS_SIGN_IN__DEMO_PEOPLE="true") as made:
            await made.start()
            (folder / "group.json").write_text(json.dumps(group() | {"rosters": shifts()}))
            await made.must("directory", "load", str(folder / "group.json"))
            yield made


def shifts() -> list[dict[str, str]]:
    """An associate at each store from yesterday on, for a week."""
    today = machine_now().date()
    days = [(today + timedelta(days=n)).isoformat() for n in range(-1, 7)]
    at = ((ELM, LEE), (OAK, MIA), (BAY, SAM))
    return [{"location_id": shop, "staff_id": who, "from": f"{day}T09:00", "to": f"{day}T18:00"} for shop, who in at for day in days]


async def examined(six: Fleet) -> tuple[int, list[dict[str, Any]]]:
    """The doctor's exit code and findings."""
    code, out, complaint = await six.command("doctor", "--json")
    assert "Traceback" not in complaint, complaint
    findings: list[dict[str, Any]] = json.loads(out)["findings"]
    assert all(bool(f["fix"]) == (f["level"] != "ok") for f in findings), findings
    return code, findings


def failures(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [f for f in findings if f["level"] == "failed"]


async def test_the_doctor_finds_healthy_servers_of_ones_own_well(six: Fleet) -> None:
    code, findings = await examined(six)
    assert code == 0, findings
    assert {(f["about"], f["detail"]) for f in findings if f["level"] != "ok"} <= TRYING, findings
    assert {"settings", "broker", "topics", "databases", "processes", "clocks", "vault keys", "parked", "people"} <= {
        f["about"] for f in findings if f["level"] == "ok"
    }


async def test_a_schema_one_version_behind_is_named_with_its_fix(six: Fleet, home: Database) -> None:
    """Method: the last migration of one service is forgotten, as where a new version was started before `amends migrate`."""
    owner = await asyncpg.connect(home.dsn)
    forget = "delete from restitution.migrations where name = (select max(name) from restitution.migrations) returning *"
    kept = await owner.fetchrow(forget)
    assert kept is not None
    try:
        code, findings = await examined(six)
    finally:
        await owner.execute("insert into restitution.migrations values ($1, $2, $3)", *kept.values())
        await owner.close()
    (only,) = failures(findings)
    assert code == 1 and only["about"] == "database of restitution" and kept["name"] in only["detail"]
    assert only["fix"].startswith("Run `amends migrate`")
    assert (await examined(six))[0] == 0


@asynccontextmanager
async def listening(console: str) -> AsyncIterator["Listener"]:
    """Lee signs in at the console's process and leaves the queue open."""
    async with httpx.AsyncClient(base_url=console, timeout=HEARS_SECONDS, trust_env=False) as browser:
        assert (await browser.post("/sign-in", data={"staff_id": LEE})).status_code == 303
        async with browser.stream("GET", "/live") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield Listener(answer.aiter_lines())


class Listener:
    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def rows(self) -> dict[str, Any]:
        """What the stream says next of the queue's rows."""
        name = ""
        async for line in self._lines:
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: ") and name == "rows":
                told: dict[str, Any] = json.loads(line.removeprefix("data: "))
                return told
        raise AssertionError("the stream ended")

    async def end(self) -> None:
        """Until the server ends it; one that is cut off raises."""
        async for _ in self._lines:
            pass


async def test_an_event_at_intakes_process_shows_in_a_queue_that_is_open_at_the_consoles(six: Fleet) -> None:
    key = await six.must("keys", "create", "pos", "--scope", "events:write", "--scope", "cases:read")
    async with listening(six.members["console"].url) as listener:
        before = await listener.rows()
        lena = Patient("Lena Example")
        async with client(six.members["intake"].url, key) as http:
            taken = await http.post("/v1/events", json=three_trips(lena, "order-lena", now=PAST), headers={"content-type": BATCH})
            assert (taken.status_code, taken.json()["rejected"]) == (202, 0)
        told = await listener.rows()
    async with client(six.members["escalation"].url, key) as http:
        (case,) = (await http.get("/v1/cases", params={"patient_ref": lena.ref})).json()["items"]
    assert before["first"] and before["order"] == []
    assert told["order"] == [case["id"]] and case["reference"] in told["rows"][case["id"]]


async def test_sigterm_ends_a_console_with_an_open_stream_in_order(six: Fleet) -> None:
    """Goal: a page that is left open keeps no process alive, and is told that it ends instead of being cut off."""
    console = six.members["console"]
    async with listening(console.url) as listener:
        await listener.rows()
        began = time.monotonic()
        assert await console.end() == 0
        print(f"stopped with an open stream after {time.monotonic() - began:.1f} s")
        await listener.end()
    assert "Traceback" not in console.said(), console.said()
    await (await console.start()).ready()


async def at_rest(owner: "asyncpg.Connection[asyncpg.Record]") -> dict[str, list[str]]:
    """The projections once nothing more comes: the same after two seconds."""
    seen = await projections(owner)
    while True:
        await asyncio.sleep(2)
        if (now := await projections(owner)) == seen:
            return now
        seen = now


async def test_45_a_replay_needs_the_console_alone_to_be_stopped_and_the_owner_of_the_database(six: Fleet, home: Database) -> None:
    """Method: somebody has broken the console's rows; the other five processes go on all the time."""
    console, words = six.members["console"], ("replay", "--data", str(six.folder / "replay"))
    owner = await asyncpg.connect(home.dsn)
    try:
        whole = await at_rest(owner)
        await owner.execute("delete from console.entries where version = 1; update console.queue_rows set status = 'closed'")
        broken = await projections(owner)
        assert whole["queue_rows"] and broken["queue_rows"] != whole["queue_rows"]
        code, _, complaint = await six.command(*words)
        assert (code, complaint.splitlines()[-1]) == (
            1, "The console is still running; stop it first, it goes on afterwards. Nothing was changed.",
        )  # fmt: skip
        assert await console.end() == 0
        roles = {name: dsn for name, dsn in six.owner.items() if name != "AMENDS_POSTGRES__DSN"}
        code, _, complaint = await command(*words, environ={**six.environ, **roles})
        assert code == 1 and "AMENDS_POSTGRES__DSN" in complaint and "Traceback" not in complaint, complaint
        assert await projections(owner) == broken
        told = json.loads(await six.must(*words, "--json"))
        assert told["rows"] == {table: len(rows) for table, rows in whole.items()}
        assert await projections(owner) == whole
    finally:
        await owner.close()
    async with listening((await (await console.start()).ready()).url) as listener:
        assert len((await listener.rows())["order"]) == 1
    assert failures((await examined(six))[1]) == []


async def test_zz_a_topic_that_is_missing_is_named_and_its_fix_makes_it(six: Fleet, servers: Servers) -> None:
    """Last, since the processes are stopped for it: who reads a topic that goes away has trouble of its own."""
    await six.end()
    admin = AIOKafkaAdminClient(bootstrap_servers=servers.bootstrap_servers)
    await admin.start()
    await admin.delete_topics([INGRESS])
    await admin.close()
    code, findings = await examined(six)
    topics = [f for f in failures(findings) if f["about"] == "topics"]
    assert code == 1 and [(f["detail"], f["fix"]) for f in topics] == [
        (f"{INGRESS} is missing", "Run `amends migrate`; it makes what is missing.")
    ]
    assert {f["about"] for f in failures(findings)} == {"topics", "processes"}
    await six.must("migrate")
    assert {f["about"] for f in failures((await examined(six))[1])} == {"processes"}
