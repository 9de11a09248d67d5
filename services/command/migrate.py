"""`amends migrate`: every service's schema, role and topics, made or brought up to date with the owner's power.

What must stay true: running it again changes nothing; two that run at once wait for each other; what fails leaves nothing half done in a
schema and says in one sentence what to do.
"""

import json
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import asyncpg

from services.command.door import DEFAULT_DATA, AsJson, Data, Failed, app, run, say
from services.command.place import beside
from services.command.serve import said, servers_of
from services.command.up import builders
from shared.db import REFUSED, OlderSchema, Step, check, open_pool, password_of, role_of
from shared.messaging.broker import provision
from shared.runtime.host import all_migrations, migrate_service
from shared.settings import PREFIX, Settings, read

SHUT_OUT: Final[tuple[type[BaseException], ...]] = (*REFUSED, OlderSchema)
RIGHTS: Final = (
    "let its administrator run deploy/postgres/roles.sql once, or set the passwords by hand, or name an owner that may create roles"
)


@app.command
def migrate(*, step: Step | None = None, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Bring the schemas, roles and topics of all services up to date, on the servers that the settings name. May be run at any time.

    AMENDS_POSTGRES__DSN is the owner of the database. A service whose own DSN is named gets its role with that DSN's password.

    Parameters
    ----------
    step
        pre: what may be done while the version before still runs; post: the rest, once none of its processes is left. Without it, both.
    """

    async def work() -> None:
        settings = read(with_keys=False)
        if settings.postgres.is_embedded:
            place = beside(data)
            say(f"`amends up` has brought {data} up to date when it started; it is at {place.urls['console']}.")
            return
        async with said():
            applied = await _migrate(settings, step)
        if as_json:
            print(json.dumps(applied))  # noqa: T201
            return
        for service, count in applied.items():
            say(f"{service}: {f'{count} files applied' if count else 'up to date'}.")

    run(work)


async def _migrate(settings: Settings, step: Step | None) -> dict[str, int]:
    """Schemas and roles, then topics; how many files were applied to each schema."""
    servers, applied = servers_of(settings), {}
    for name, (_, schema) in builders().items():
        owner = settings.postgres.dsn.get_secret_value() if settings.postgres.dsn else settings.postgres.dsn_of(name)
        if owner is None:
            raise Failed(f"{PREFIX}POSTGRES__DSN is missing: name the owner of the database, or {PREFIX}POSTGRES__{name.upper()} as well.")
        try:
            applied[name] = await migrate_service(owner, name, schema, password=await _password(settings, name), step=step)
        except asyncpg.InsufficientPrivilegeError as fault:
            raise Failed(f"PostgreSQL refuses what {name} needs ({fault}); {RIGHTS} with {PREFIX}POSTGRES__DSN.") from fault
        except ValueError as fault:
            raise Failed(f"{str(fault)[:1].upper()}{str(fault)[1:]}.") from fault
        await _try_role(settings, name, schema)
    await provision(servers, **settings.kafka.topics)
    return applied


async def _password(settings: Settings, service: str) -> str | None:
    """What the role's password is to be: that of its own DSN, else one derived from the index key; None where it is right already."""
    own = getattr(settings.postgres, service)
    if own is None:
        if settings.vault.index_key is None:
            raise Failed(f"{PREFIX}POSTGRES__{service.upper()} is missing: name the DSN of {service}'s role, {role_of(service)}, too.")
        return password_of(service, settings.vault.texts()[2])
    password = urlsplit(own.get_secret_value()).password
    if password is None or await _is_let_in(own.get_secret_value()):
        return None
    return unquote(password)


async def _is_let_in(dsn: str) -> bool:
    try:
        connection = await asyncpg.connect(dsn, timeout=10)
    except REFUSED:
        return False
    await connection.close()
    return True


async def _try_role(settings: Settings, service: str, schema: Path) -> None:
    """Whether the service will be let in, now that there is something to be let into."""
    own = getattr(settings.postgres, service)
    if own is None:
        return
    try:
        pool = await open_pool(own.get_secret_value(), schema=service, size=2)
        try:
            await check(pool, service, all_migrations(service, schema))
        finally:
            pool.terminate()
    except SHUT_OUT as fault:
        raise Failed(
            f"{PREFIX}POSTGRES__{service.upper()} does not lead into the schema {service} ({fault}); it must name the same database as"
            f" {PREFIX}POSTGRES__DSN and the role {role_of(service)}."
        ) from fault
