"""A logical dump restored on a server that has counted fewer transactions: refused until `amends migrate`, then everything goes on.

Method: the dump of one PostgreSQL, with pg_dump, is restored with pg_restore on another that has just been made; the broker stays.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio

from shared.contracts.flow import ALL_SERVICES
from shared.embedded import EmbeddedPostgres
from shared.embedded.postgres import _binary
from tests.support.builders import Patient, group, three_trips
from tests.support.eventually import eventually
from tests.support.fleet import PAST, Fleet, fleet
from tests.support.servers import Database, forget_topics, throwaway_folder, with_user
from tests.support.stack import BATCH, client

# So many transactions more than everything in this test needs.
FURTHER = 300_000
ROLES = "select rolname from pg_roles where rolname like 'amends_%'"
UNSEALED = "select count(*) from {service}.audit a where not exists (select from {service}.audit_seals s where s.seq = a.seq)"


@dataclass
class Restored:
    """The processes, which speak to the restored database from now on, a key, and the patient whose case was open at the dump."""

    fleet: Fleet
    dsn: str
    key: str
    before: Patient


async def _run(name: str, *words: str) -> None:
    ran = await asyncio.create_subprocess_exec(str(_binary(name)), *words, stderr=asyncio.subprocess.PIPE)
    _, complaint = await ran.communicate()
    assert ran.returncode == 0, complaint.decode()


async def _one_case(made: Fleet, key: str, patient: Patient) -> str:
    async with client(made.members["escalation"].url, key) as http:

        async def ids() -> list[str]:
            return [case["id"] for case in (await http.get("/v1/cases", params={"patient_ref": patient.ref})).json()["items"]]

        (found,) = await eventually(ids, within_seconds=60)
    return found


async def _come_in(made: Fleet, key: str, patient: Patient) -> None:
    async with client(made.members["intake"].url, key) as http:
        events = list(three_trips(patient, f"order-{patient.ref}", now=PAST))
        answer = await http.post("/v1/events", json=events, headers={"content-type": BATCH})
    assert (answer.status_code, answer.json()["accepted"]) == (202, len(events))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def restored(kafka_bootstrap: str) -> AsyncIterator[Restored]:
    """One case, a dump, another server; nothing started there yet."""
    await forget_topics(kafka_bootstrap)
    with throwaway_folder() as folder, throwaway_folder() as elsewhere:
        async with (
            EmbeddedPostgres(elsewhere) as other,
            EmbeddedPostgres(folder) as first,
            fleet(Database("postgres", first.dsn()), kafka_bootstrap, folder) as made,
        ):
            await _count(first.dsn(), FURTHER)
            await made.start()
            (folder / "group.json").write_text(json.dumps(group()))
            await made.must("directory", "load", str(folder / "group.json"))
            key = await made.must("keys", "create", "till", "--scope", "events:write", "--scope", "cases:read")
            patient = Patient("Pat Example")
            await _come_in(made, key, patient)
            await _one_case(made, key, patient)
            await made.end()
            await _move(first.dsn(), other.dsn(), folder)
            _point_to(made, other.dsn())
            yield Restored(made, other.dsn(), key, patient)


async def _count(dsn: str, number: int) -> None:
    conn = await asyncpg.connect(dsn)
    await conn.execute(f"do $$ begin for n in 1..{number} loop perform pg_current_xact_id(); commit; end loop; end $$")
    await conn.close()


async def _move(dsn: str, to: str, folder: Path) -> None:
    """Roles, then everything else."""
    await _run("pg_dump", "-Fc", "-f", str(folder / "dump"), "-d", dsn)
    source, target = await asyncpg.connect(dsn), await asyncpg.connect(to)
    for row in await source.fetch(ROLES):
        await target.execute(f"create role {row['rolname']} login")
    await source.close()
    await target.close()
    await _run("pg_restore", "--exit-on-error", "-d", to, str(folder / "dump"))


def _point_to(made: Fleet, dsn: str) -> None:
    """The same passwords, another server."""
    for name, old in made.owner.items():
        parts = urlsplit(old)
        made.owner[name] = dsn if name.endswith("__DSN") else with_user(dsn, parts.username or "", parts.password)
    for service, member in made.members.items():
        made.members[service] = made.member(service, port=member.port)


@pytest.mark.timeout(300)
async def test_r19_a_dump_on_a_server_that_counted_less_is_refused_until_migrated(restored: Restored) -> None:
    made = restored.fleet
    code, _, complaint = await made.command("serve", "escalation")
    assert (code, "run `amends migrate`" in complaint) == (1, True), complaint
    code, out, _ = await made.command("doctor")
    assert (code, "as after restoring a dump" in out) == (1, True), out

    await made.must("migrate")
    await made.start()
    await _one_case(made, restored.key, restored.before)
    after = Patient("Pia Example")
    await _come_in(made, restored.key, after)
    await _one_case(made, restored.key, after)


async def test_r19_the_audit_of_a_restored_database_is_sealed_on(restored: Restored) -> None:
    """Goal: what people did after the restore is in the chain too."""
    key = await restored.fleet.must("keys", "create", "late", "--scope", "cases:read")
    assert key
    conn = await asyncpg.connect(restored.dsn)
    try:

        async def all_sealed() -> bool:
            return not any([await conn.fetchval(UNSEALED.format(service=service)) for service in ALL_SERVICES])

        await eventually(all_sealed, within_seconds=20)
    finally:
        await conn.close()
