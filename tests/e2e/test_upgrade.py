"""Two versions side by side: the first that ran as processes of its own, taken from the history, and this one, on one database and broker.

Method: the older code is unpacked from git and started as it was; the migration's first step is applied under it; processes of this version
join it; then the older ones leave. Events come in all the time; each patient has one case, once.
"""

import asyncio
import io
import json
import subprocess
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.builders import Patient, group, three_trips
from tests.support.eventually import eventually
from tests.support.fleet import PAST, Fleet, fleet
from tests.support.servers import Servers, forget_topics, fresh_database, throwaway_folder
from tests.support.stack import BATCH, client

ROOT = Path(__file__).parents[2]
FIRST = "services/command/serve.py"


def _git(*words: str) -> bytes:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, check=True).stdout


def _unpacked(folder: Path) -> Path:
    """The first version that had processes of its own."""
    try:
        commits = _git("log", "--diff-filter=A", "--format=%H", "--", FIRST).decode().split()
    except (OSError, subprocess.CalledProcessError):
        commits = []
    if not commits:
        pytest.skip("this is no clone with a history: there is no older version to run beside this one")
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commits[-1], "services", "shared", "deploy"))) as packed:
        packed.extractall(folder, filter="data")
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def older(servers: Servers) -> AsyncIterator[Fleet]:
    """Six processes of the older version, on the schema that it made."""
    await forget_topics(servers.bootstrap_servers)
    with throwaway_folder() as folder:
        code = _unpacked(folder / "older")
        async with (
            fresh_database(servers.postgres_dsn, "upgrade") as database,
            fleet(database, servers.bootstrap_servers, folder, code) as made,
        ):
            await made.start()
            (folder / "group.json").write_text(json.dumps(group()))
            await made.must("directory", "load", str(folder / "group.json"))
            yield made


async def _come_in(made: Fleet, key: str, number: int) -> list[str]:
    """Patients whose third trip comes now, at whoever takes events; their references."""
    (intake,) = [member for member in made.all() if member.service == "intake" and member.is_running][:1]
    patients = [Patient(f"Pat Example {number}-{n}") for n in range(5)]
    async with client(intake.url, key) as http:
        for patient in patients:
            taken = await http.post(
                "/v1/events", json=list(three_trips(patient, f"order-{patient.ref}", now=PAST)), headers={"content-type": BATCH}
            )
            assert (taken.status_code, taken.json()["rejected"]) == (202, 0)
    return [patient.ref for patient in patients]


@pytest.mark.timeout(600)
async def test_a_rolling_upgrade_loses_nothing_and_opens_nothing_twice(older: Fleet) -> None:
    key = await older.must("keys", "create", "stories", "--scope", "events:write", "--scope", "cases:read", "--scope", "restitutions:read")
    refs = await _come_in(older, key, 1)
    code, _, complaint = await older.command("migrate", "--step", "pre", code=ROOT)
    assert code == 0, complaint
    refs += await _come_in(older, key, 2)
    newer = [older.member(service, code=ROOT) for service in older.members]
    await asyncio.gather(*(member.start() for member in newer))
    refs += await _come_in(older, key, 3)
    await asyncio.gather(*(member.ready() for member in newer))
    refs += await _come_in(older, key, 4)
    assert set(await asyncio.gather(*(member.end() for member in older.members.values()))) == {0}
    refs += await _come_in(older, key, 5)
    code, _, complaint = await older.command("migrate", "--step", "post", code=ROOT)
    assert code == 0, complaint

    urls = {member.service: member.url for member in newer}
    async with client(urls["escalation"], key) as cases, client(urls["restitution"], key) as money:
        for ref in refs:

            async def one_case(ref: str = ref) -> list[str]:
                found = (await cases.get("/v1/cases", params={"patient_ref": ref})).json()["items"]
                assert len(found) <= 1, f"{ref} has {len(found)} cases"
                return [case["id"] for case in found]

            (case_id,) = await eventually(one_case, within_seconds=60)

            async def one_proposal(case_id: str = case_id) -> bool:
                found = (await money.get("/v1/restitutions", params={"case_id": case_id})).json()["items"]
                return [(r["kind"], r["amount_minor"]) for r in found] == [("gas_money", 2610)]

            await eventually(one_proposal, within_seconds=60)


async def test_the_older_version_does_not_start_on_the_newer_schema(older: Fleet) -> None:
    """Goal: said in one sentence, in case a process of it is started by mistake; the last test's migration is there."""
    code, _, complaint = await older.command("serve", "escalation")
    assert code == 1
    assert "has been upgraded by a newer Amends" in complaint.splitlines()[-1]
