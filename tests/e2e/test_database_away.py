"""PostgreSQL is killed, again and again, and comes back: senders are told to come again, no process has to be started anew, and each
complaint ends as one incident and one case.

The processes speak to a PostgreSQL of this test's own. How long each needs until it is ready again is printed, not asserted (`-s`).
"""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psutil
import pytest
import pytest_asyncio

from shared.embedded import EmbeddedPostgres
from tests.support.builders import ELM, Event, Patient, event, group
from tests.support.eventually import eventually
from tests.support.fleet import PAST, Fleet, fleet
from tests.support.servers import Database, forget_topics, throwaway_folder
from tests.support.stack import client

pytestmark = pytest.mark.e2e

KILLS, EACH, AWAY_SECONDS = 3, 15, 2.0
SINGLE = {"content-type": "application/cloudevents+json"}
SCOPES = ("events:write", "cases:read", "notices:read")


@pytest_asyncio.fixture(loop_scope="session")
async def beside(kafka_bootstrap: str) -> AsyncIterator[tuple[Fleet, EmbeddedPostgres]]:
    await forget_topics(kafka_bootstrap)
    with throwaway_folder() as folder:
        async with EmbeddedPostgres(folder) as postgres:
            database = Database("postgres", postgres.dsn())
            async with fleet(database, kafka_bootstrap, folder) as made:
                await made.start()
                (folder / "group.json").write_text(json.dumps(group()))
                await made.must("directory", "load", str(folder / "group.json"))
                yield made, postgres


@pytest.mark.timeout(240)
async def test_r6_a_database_that_is_killed_costs_time_and_nothing_else(beside: tuple[Fleet, EmbeddedPostgres]) -> None:
    made, postgres = beside
    key = await made.must("keys", "create", "stories", *(word for scope in SCOPES for word in ("--scope", scope)))
    people = [Patient(f"Kim{n} Example") for n in range(KILLS * EACH)]
    pids = {name: member.pid for name, member in made.members.items()}
    refused: list[httpx.Response] = []
    async with client(made.members["intake"].url, key) as http:
        for first in range(0, len(people), EACH):
            sending = asyncio.create_task(_until_taken(http, [_complaint(person) for person in people[first : first + EACH]], refused))
            await asyncio.sleep(0.1)
            _kill_at_once(postgres)
            before = len(refused)
            await asyncio.sleep(AWAY_SECONDS)
            assert len(refused) > before or sending.done(), "a sender is answered while the database is away"
            assert {await _readiness(member.url) for member in made.members.values()} == {503}
            await postgres.start()
            await _ready_again(made)
            await sending
        # Nobody knows which of the answers were lost on the way: all of it is sent once more and is known.
        for person in people:
            assert (await http.post("/v1/events", json=_complaint(person), headers=SINGLE)).json()["results"][0]["status"] == "duplicate"
    assert {answer.json()["code"] for answer in refused} == {"unavailable"}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    await _a_case_each(made, key, people)
    assert {name: member.pid for name, member in made.members.items()} == pids
    assert all(member.is_running for member in made.members.values()), "none had to be started anew"
    assert await made.must("parked", "list") == "Nothing is parked."


def _complaint(patient: Patient) -> Event:
    return event(
        "complaint.submitted", PAST, name=f"away-{patient.ref}", location_id=ELM, patient=patient.data, channel="web", text="It broke."
    )  # fmt: skip


def _kill_at_once(postgres: EmbeddedPostgres) -> None:
    """As a power cut of its machine: every process of it, none says goodbye."""
    assert postgres.pid is not None
    main = psutil.Process(postgres.pid)
    for process in (main, *main.children(recursive=True)):
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue


async def _until_taken(http: httpx.AsyncClient, events: list[Event], refused: list[httpx.Response]) -> None:
    """One event after the other, as a till sends them: again until it is taken."""
    for told in events:
        while (answer := await http.post("/v1/events", json=told, headers=SINGLE)).status_code != 202:
            assert answer.status_code == 503, answer.text
            refused.append(answer)
            await asyncio.sleep(0.2)
        assert answer.json()["rejected"] == 0, answer.text
        await asyncio.sleep(0.02)


async def _readiness(url: str) -> int:
    async with client(url) as http:
        return (await http.get("/readyz")).status_code


async def _ready_again(made: Fleet) -> None:
    began = time.monotonic()

    async def since(name: str) -> str:
        await made.members[name].ready()
        return f"{name} {time.monotonic() - began:.1f}"

    print("ready again after, in s:", ", ".join(await asyncio.gather(*map(since, made.members))))


async def _a_case_each(made: Fleet, key: str, people: list[Patient]) -> None:
    async with client(made.members["escalation"].url, key) as cases, client(made.members["notification"].url, key) as notices:

        async def one_each() -> bool:
            for person in people:
                found = await _items(cases, "/v1/cases", patient_ref=person.ref)
                assert [(case["incidents"], case["status"]) for case in found] == [(1, "open")], found
                told = await _items(notices, "/v1/notices", case_id=found[0]["id"])
                assert len([notice for notice in told if notice["template"] == "receipt"]) == 1, told
            return True

        await eventually(one_each, within_seconds=60, every_seconds=0.5)


async def _items(http: httpx.AsyncClient, path: str, **query: str) -> list[dict[str, Any]]:
    answer = await http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found
