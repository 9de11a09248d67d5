"""Each service as a process of its own: the third trip goes through six of them, two of a service share the work, each stops in order."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.support.builders import ELM, LEE, Patient, group, three_trips
from tests.support.eventually import eventually
from tests.support.fleet import Fleet, command, fleet, settings_of
from tests.support.servers import Servers, forget_topics, fresh_database, throwaway_folder
from tests.support.stack import BATCH, client

pytestmark = pytest.mark.e2e

PUBLISHED = ("/livez", "/readyz", "/metrics", "/openapi.json", "/docs", "/asyncapi.json")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def six(servers: Servers) -> AsyncIterator[Fleet]:
    """Six processes on a database and topics of their own, with the small group loaded."""
    await forget_topics(servers.bootstrap_servers)
    with throwaway_folder() as folder:
        async with (
            fresh_database(servers.postgres_dsn, "serve") as database,
            fleet(database, servers.bootstrap_servers, folder) as made,
        ):
            await made.start()
            (folder / "group.json").write_text(json.dumps(group()))
            code, _, complaint = await made.command("directory", "load", str(folder / "group.json"))
            assert code == 0, complaint
            yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def key(six: Fleet) -> str:
    scopes = ("events:write", "cases:read", "cases:write", "restitutions:read", "notices:read")
    code, made, complaint = await six.command("keys", "create", "stories", *(w for s in scopes for w in ("--scope", s)))
    assert code == 0, complaint
    return made


async def test_each_process_answers_for_itself(six: Fleet) -> None:
    for member in six.members.values():
        async with client(member.url) as http:
            found = {path: (await http.get(path)).status_code for path in PUBLISHED}
            assert set(found.values()) == {200}, (member.service, found)
            paths = (await http.get("/openapi.json")).json()["paths"]
            checks = (await http.get("/readyz?verbose")).json()["checks"]
        assert {name.partition(".")[0] for name in checks} == {member.service}
        assert ("/v1/events" in paths) == (member.service == "intake")


async def test_a_key_that_not_everybody_has_heard_of_is_shown_all_the_same(six: Fleet) -> None:
    """Goal: what is stored and shown only once is not lost. Method: the console is looked for where nothing answers."""
    named = six.environ["AMENDS_URLS__CONSOLE"]
    six.environ["AMENDS_URLS__CONSOLE"] = "http://localhost:1"
    try:
        code, shown, complaint = await six.command("keys", "create", "early", "--scope", "cases:read")
    finally:
        six.environ["AMENDS_URLS__CONSOLE"] = named
    assert code == 1 and "console (does not answer)" in complaint
    async with client(six.members["escalation"].url, shown) as http:
        assert (await http.get("/v1/cases")).status_code == 200


async def test_the_third_trip_goes_through_six_processes(six: Fleet, key: str) -> None:
    paula = Patient("Paula Example")
    async with client(six.members["intake"].url, key) as http:
        taken = await http.post("/v1/events", json=list(three_trips(paula, "order-paula")), headers={"content-type": BATCH})
        assert (taken.status_code, taken.json()["rejected"]) == (202, 0)

    async with client(six.members["escalation"].url, key) as http:

        async def opened() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = (await http.get("/v1/cases", params={"patient_ref": paula.ref})).json()["items"]
            return found

        (case,) = await eventually(opened, within_seconds=20)
        assert (case["catalyst"], case["location_id"], case["owner"]) == ("fit_adjustment", ELM, {"staff_id": LEE})

    async with client(six.members["restitution"].url, key) as http:

        async def proposed() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = (await http.get("/v1/restitutions", params={"case_id": case["id"]})).json()["items"]
            return found

        (gas,) = await eventually(proposed, within_seconds=20)
        assert (gas["kind"], gas["amount_minor"], gas["status"]) == ("gas_money", 2610, "approved")

    async with client(six.members["console"].url, key) as http:

        async def queued() -> list[str]:
            return [row["id"] for row in (await http.get("/v1/queue")).json()["items"] if row["id"] == case["id"]]

        await eventually(queued, within_seconds=20)


async def test_a_second_process_of_a_service_shares_its_work_and_takes_over(six: Fleet, key: str) -> None:
    """Goal: replicas are ready beside each other, and after kill -9 of either the other goes on alone."""
    second = await (await six.member("escalation").start()).ready()
    first = six.members["escalation"]
    for survivor, victim in ((second, first), (first, second)):
        await victim.kill()
        petra = Patient("Petra Example")
        async with client(six.members["intake"].url, key) as http:
            await http.post("/v1/events", json=list(three_trips(petra, f"order-{petra.ref}")), headers={"content-type": BATCH})
        async with client(survivor.url, key) as http:

            async def opened(http: httpx.AsyncClient = http, ref: str = petra.ref) -> bool:
                return len((await http.get("/v1/cases", params={"patient_ref": ref})).json()["items"]) == 1

            await eventually(opened, within_seconds=40)
        await (await victim.start()).ready()
    assert await second.end() == 0


async def test_a_migration_of_what_is_there_changes_nothing_also_twice_at_once(six: Fleet) -> None:
    outcomes = await asyncio.gather(*(six.command("migrate", "--json") for _ in range(2)))
    assert [(code, set(json.loads(out).values())) for code, out, _ in outcomes] == [(0, {0}), (0, {0})]


async def test_a_database_that_was_not_migrated_is_refused(six: Fleet, servers: Servers) -> None:
    async with fresh_database(servers.postgres_dsn, "bare") as bare:
        code, _, complaint = await command(
            "serve", "intake", environ={**settings_of(servers.bootstrap_servers, {}), "AMENDS_POSTGRES__INTAKE": bare.dsn}
        )
    assert code == 1
    assert complaint.splitlines()[-1] == "The schema intake lacks messaging/0001_messaging.sql and more; run `amends migrate` first."


async def test_sigterm_stops_each_in_order_with_a_page_open(six: Fleet) -> None:
    """Last, since nothing runs behind it. Method: all at once, each with an idle connection, and none needs force."""
    connections = [client(member.url) for member in six.members.values()]
    for http in connections:
        assert (await http.get("/livez")).status_code == 200
    began = time.monotonic()
    codes = await asyncio.gather(*(member.end() for member in six.members.values()))
    print(f"six processes stopped after {time.monotonic() - began:.1f} s")
    assert codes == [0] * len(codes)
    for member in six.members.values():
        assert "Traceback" not in member.said(), member.said()
    await asyncio.gather(*(http.aclose() for http in connections))
