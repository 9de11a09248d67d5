"""One role per service, and the database refuses it everything but its own schema: on this run's server and on the embedded one."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from services.command.up import builders
from shared.contracts.flow import ALL_SERVICES
from shared.db import role_of
from shared.embedded import EmbeddedPostgres
from shared.runtime.host import migrate_service
from tests.support.servers import Database, fresh_database, throwaway_folder

pytestmark = pytest.mark.integration

ROLES = Path(__file__).parents[3] / "deploy" / "postgres" / "roles.sql"
REFUSED = asyncpg.InsufficientPrivilegeError
# What each role tries in the schema of another service, in public, and in its own beyond its work.
ELSEWHERE = (
    "select count(*) from {other}.outbox",
    "insert into {other}.rejections (rejection_id, door, code, detail, subject) values (gen_random_uuid(), 'http', 'x', 'x', 'x')",
    "update {other}.relay_position set epoch = epoch + 1",
    "delete from {other}.timers",
    "truncate {other}.inbox",
    "drop table {other}.inbox",
    "select {other}.keep_partitions(current_date, current_date, current_date, current_date)",
    "create table {other}.mine (n int)",
    "create table public.mine (n int)",
    "create schema mine",
    "create table {own}.mine (n int)",
    "drop table {own}.inbox",
    "alter table {own}.audit disable trigger all",
    "truncate {own}.audit",
    "set role {other_role}",
    "alter role {own_role} superuser",
    "select rolpassword from pg_authid",
)


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["this run's server", "the embedded server"])
async def migrated(request: pytest.FixtureRequest, postgres_dsn: str) -> AsyncIterator[Database]:
    if request.param == "this run's server":
        async with fresh_database(postgres_dsn, "roles") as database:
            await _migrate(database.dsn)
            yield database
        return
    with throwaway_folder() as folder:
        async with EmbeddedPostgres(folder) as server:
            await _migrate(server.dsn())
            yield Database("postgres", server.dsn())


async def _migrate(dsn: str) -> None:
    for name, (_, schema) in builders().items():
        await migrate_service(dsn, name, schema)


@pytest.mark.parametrize("service", ALL_SERVICES)
async def test_a_role_is_refused_outside_its_schema(migrated: Database, service: str) -> None:
    """Goal: a service that was taken over can do nothing to its neighbours. Method: every kind of statement, in every other schema."""
    connection = await asyncpg.connect(migrated.dsn_of(role_of(service)))
    try:
        assert await connection.fetchval(f"select count(*) from {service}.migrations") > 0
        for other in (name for name in ALL_SERVICES if name != service):
            names = {"own": service, "other": other, "own_role": role_of(service), "other_role": role_of(other)}
            for statement in ELSEWHERE:
                with pytest.raises(REFUSED):
                    await connection.execute(statement.format(**names))
    finally:
        await connection.close()


@pytest.mark.parametrize("service", ALL_SERVICES)
async def test_a_role_does_its_own_work_but_changes_no_audit(migrated: Database, service: str) -> None:
    connection = await asyncpg.connect(migrated.dsn_of(role_of(service)), server_settings={"search_path": service})
    try:
        await connection.execute("select keep_partitions(current_date, current_date + 1, current_date - 14, current_date - 14)")
        await connection.execute("insert into audit (at, actor, action, subject, data) values (now(), 'a', 'b', 'c', '{}')")
        for statement in ("update audit set actor = 'x'", "delete from audit"):
            with pytest.raises(asyncpg.RaiseError, match="append-only"):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_an_owner_who_is_no_superuser_migrates_and_gives_the_roles_their_passwords() -> None:
    """Goal: the administrator's one file is enough. Method: the file as it is, then what `amends migrate` does, twice."""
    text = "\n".join(line for line in ROLES.read_text("utf-8").splitlines() if not line.startswith("--"))
    with throwaway_folder() as folder:
        async with EmbeddedPostgres(folder) as server:
            administrator = await asyncpg.connect(server.dsn())
            try:
                for statement in filter(str.strip, text.split(";")):
                    await administrator.execute(statement)
                owner = server.dsn(user="amends_owner", database="amends")
                for _ in range(2):
                    for name, (_, schema) in builders().items():
                        await migrate_service(owner, name, schema, password=f"of-{name}")
                found = await administrator.fetch(
                    "select rolname, rolpassword is not null and not rolsuper as ok from pg_authid where rolname like 'amends\\_%'"
                )
            finally:
                await administrator.close()
    assert {row["rolname"]: row["ok"] for row in found} == {**{role_of(name): True for name in ALL_SERVICES}, "amends_owner": False}
