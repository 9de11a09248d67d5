"""Migrations: numbered SQL files, applied once each, per schema, under a lock.

Called by `amends migrate` and by the embedded stack with the owner's connection, never by a service's own role.
Invariant: a file that was applied is never applied again and never edited (its checksum is kept); a database that knows
more migrations than this code refuses to be used by it. A file `NNNN_words.sql` may be applied while the version before still
runs; one that may not is `NNNN_words.post.sql`.
"""

import hashlib
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import asyncpg

from shared.db.pool import Pool
from shared.db.roles import role_of

_FILE = re.compile(r"^\d{4}_[a-z0-9_]+(\.post)?\.sql$")
_NAME = re.compile(r"^[a-z_]+$")

CREATE_SCHEMA = """
-- A schema and a role of the same service; nobody else may enter.
create schema if not exists {schema};
revoke all on schema {schema} from public;
create table if not exists {schema}.migrations (
    name text primary key, checksum text not null, created_at timestamptz not null default clock_timestamp()
);
"""
APPLIED = "select name, checksum from migrations"
IS_THERE = "select to_regclass('migrations') is not null"
GRANTS = """
grant usage on schema {schema} to {role};
grant select, insert, update, delete on all tables in schema {schema} to {role};
grant usage on all sequences in schema {schema} to {role};
grant execute on all functions in schema {schema} to {role};
alter default privileges in schema {schema} grant select, insert, update, delete on tables to {role};
"""


Step = Literal["pre", "post"]


class NewerSchema(RuntimeError):
    """The database was made by a newer Amends; run that version, or name another data folder."""


class OlderSchema(RuntimeError):
    """The database lacks what this Amends needs; `amends migrate` brings it."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: `name` is `<room>/<file>`, unique within a schema."""

    name: str
    sql: str

    @property
    def is_post(self) -> bool:
        """Whether it takes away what the version before still uses, and so waits until none of its processes is left."""
        return self.name.endswith(".post.sql")

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations_in(folder: Path, room: str) -> tuple[Migration, ...]:
    """The migrations of one folder in their order. Raises ValueError for a file that is not named `NNNN_words[.post].sql`."""
    files = sorted(folder.glob("*.sql"))
    for file in files:
        if not _FILE.match(file.name):
            raise ValueError(f"{file} is not named like 0001_first.sql or 0002_last.post.sql")
    return tuple(Migration(f"{room}/{file.name}", file.read_text()) for file in files)


async def migrate(
    owner_dsn: str,
    schema: str,
    migrations: tuple[Migration, ...],
    *,
    password: str | None = None,
    step: Step | None = None,
    service: str | None = None,
) -> int:
    """Bring `schema` up to date and return how many files were applied. The role `amends_<schema>` is made where missing.

    `service`: whose role it is, where the schema is a next generation and has another name.

    `step` pre leaves out what has to wait until the version before is gone; post, or none, applies everything.

    Raises `NewerSchema`, and ValueError where an applied file was edited since.
    """
    if not _NAME.match(schema):
        raise ValueError(f"{schema!r} is no schema name")
    role = role_of(service or schema)
    connection = await asyncpg.connect(owner_dsn, timeout=10)
    try:
        async with connection.transaction():
            # One migrator at a time, over all schemas: creating roles is not safe side by side.
            await connection.execute("select pg_advisory_xact_lock(7265001)")
            await _ensure_role(connection, role, password)
            await connection.execute(CREATE_SCHEMA.format(schema=schema))
            await connection.execute(f"set local search_path to {schema}")
            applied = {row["name"]: row["checksum"] for row in await connection.fetch(APPLIED)}
            _refuse_strangers(schema, applied, migrations)
            todo = steps_left(migrations, applied, step)
            for migration in todo:
                await connection.execute(migration.sql)
                await connection.execute("insert into migrations (name, checksum) values ($1, $2)", migration.name, migration.checksum)
            await connection.execute(GRANTS.format(schema=schema, role=role))
            return len(todo)
    finally:
        await connection.close()


def steps_left(migrations: Sequence[Migration], applied: Collection[str], step: Step | None) -> list[Migration]:
    """What is still to be applied. A post step that a pre step of its room follows is of an earlier version, which is gone by now."""
    left = [m for m in migrations if m.name not in applied]
    if step != "pre":
        return left
    last = {m.name.partition("/")[0]: m.name for m in migrations if not m.is_post}
    return [m for m in left if m.name <= last.get(m.name.partition("/")[0], "")]


async def check(pool: Pool, schema: str, migrations: tuple[Migration, ...]) -> None:
    """Whether `schema` is what this Amends was written for, last steps aside. Raises NewerSchema or OlderSchema with the way out."""
    applied: dict[str, str] = {}
    if await pool.fetchval(IS_THERE):
        applied = {row["name"]: row["checksum"] for row in await pool.fetch(APPLIED)}
        _refuse_strangers(schema, applied, migrations)
    missing = [m.name for m in steps_left(migrations, applied, "pre")]
    if missing:
        raise OlderSchema(f"the schema {schema} lacks {missing[0]}{' and more' if missing[1:] else ''}; run `amends migrate` first")


async def _ensure_role(connection: "asyncpg.Connection[asyncpg.Record]", role: str, password: str | None) -> None:
    if not await connection.fetchval("select 1 from pg_roles where rolname = $1", role):
        # Roles belong to the whole server: the migration of another of its databases may be making this one.
        with suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
            async with connection.transaction():
                await connection.execute(f"create role {role} login")
    if password is not None:
        quoted = await connection.fetchval("select quote_literal($1::text)", password)
        await connection.execute(f"alter role {role} password {quoted}")


def _refuse_strangers(schema: str, applied: dict[str, str], known: tuple[Migration, ...]) -> None:
    names = {m.name: m.checksum for m in known}
    newer = sorted(set(applied) - set(names))
    if newer:
        raise NewerSchema(
            f"the schema {schema} has been upgraded by a newer Amends ({newer[0]}); run that version, or name another folder with --data"
        )
    edited = [name for name, checksum in applied.items() if names[name] != checksum]
    if edited:
        raise ValueError(f"{edited[0]} was changed after it was applied to {schema}; write a new migration instead")
