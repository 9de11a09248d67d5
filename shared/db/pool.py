"""Connection pools: one per service, jsonb as Python values, statements bounded in time.

Called by the runtime. Invariant: a connection of a service sees its own schema only (the role is refused elsewhere).
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy

if TYPE_CHECKING:
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Lent: TypeAlias = PoolConnectionProxy[asyncpg.Record]
else:  # generic in the stubs only
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection | PoolConnectionProxy
    # One of a pool's, which is to be given back.
    Lent = PoolConnectionProxy

# What says "the database is not there now": the fact is kept and tried again, nothing is parked for it.
DATABASE_DOWN: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # asyncpg's own state is confused, as when the session is ended in the middle of a question: another connection is not.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
)


def is_down(error: BaseException, conn: Connection | None) -> bool:
    """Whether `error`, met while using `conn` (None: while getting one), means that the database is away, and not that our code is wrong.

    asyncpg names a lost connection and a wrong call alike (InterfaceError), and a file that is missing is an OSError too: what tells them
    apart is whether the connection is gone. A server that ends a session, for whatever reason, leaves it closed.
    """
    if conn is None:
        return isinstance(error, DATABASE_DOWN)
    if isinstance(error, (OSError, asyncpg.InterfaceError, asyncpg.PostgresError)) and is_gone(conn):
        return True
    about_the_connection = isinstance(error, (OSError, asyncpg.InterfaceError)) and not isinstance(error, TimeoutError)
    return isinstance(error, DATABASE_DOWN) and not about_the_connection


def is_gone(conn: Connection) -> bool:
    """Whether nothing more can be asked on this connection."""
    try:
        return conn.is_closed()
    except asyncpg.InterfaceError:
        # The pool has taken a dead connection back from under us.
        return True


# Decimals are written as their text, never as a float; what JSON lacks as its text too. Bytes that are JSON already go as `msgspec.Raw`.
_JSON: Final = msgspec.json.Encoder(
    decimal_format="string", enc_hook=lambda value: value.model_dump(mode="json") if hasattr(value, "model_dump") else str(value)
)
# What the binary form of jsonb begins with.
_JSONB: Final = b"\x01"


def _dump(value: Any) -> bytes:
    return _JSONB + _JSON.encode(value)


def _load(sent: bytes) -> Any:
    return msgspec.json.decode(memoryview(sent)[1:])


async def _prepare(connection: Any) -> None:
    await connection.set_type_codec("jsonb", encoder=_dump, decoder=_load, schema="pg_catalog", format="binary")


class _Session(asyncpg.Connection):
    """Given back as it is. asyncpg would have the server forget what was set for the session, one round trip a transaction: nobody here
    leaves anything behind. Who takes a lock of the session or sets something for it takes it back (the relay).
    """

    def get_reset_query(self) -> str:
        return ""


# Every statement of a service goes by a key. A connection plans one once and keeps the plan until the table is analyzed: made while the
# table was empty it would read all of it, and hold each row against each of a thousand keys, after it has filled. So no plan may.
_SETTINGS: Final = {"idle_in_transaction_session_timeout": "60000", "enable_seqscan": "off"}


async def open_pool(dsn: str, *, schema: str, size: int = 8) -> Pool:
    """A pool on `schema` with up to `size` connections. Raises one of `DATABASE_DOWN` where nothing answers."""
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=size,
        init=_prepare,
        connection_class=_Session,
        command_timeout=60,
        timeout=10,
        server_settings={"search_path": schema, "application_name": f"amends-{schema}", **_SETTINGS},
    )


async def answers(pool: Pool) -> bool:
    """Whether the database answers a question within two seconds. Raises one of `DATABASE_DOWN` where it does not."""
    return bool(await pool.fetchval("select true", timeout=2))


async def clock_of(pool: Pool) -> datetime:
    """What time the database has."""
    theirs: datetime = await pool.fetchval("select clock_timestamp()")
    return theirs


async def version_of(pool: Pool) -> int:
    """The major version of the server."""
    return int(await pool.fetchval("select current_setting('server_version_num')::int")) // 10_000
