"""The server's transaction counter against the transaction numbers that a service's tables hold.

Relay and sealer tell by these numbers what is new. A logical dump brings them along, but not the counter: on a server that has counted
less, what is written next would look as if it had been sent and sealed long ago. Called by the runtime at a start (`check_counter`) and by
the migration (`bring_past`). Invariant: nothing is written while the counter is behind a number that is kept.
"""

from typing import Final

import asyncpg

from shared.db import Connection, Pool

AHEAD: Final = """
-- How many transactions the server has yet to count until it has passed every number that is kept; nothing or less where it has.
select max(kept) - pg_snapshot_xmax(pg_current_snapshot())::text::bigint from (
    select pg_snapshot_xmax(coalesce(upto, since))::text::bigint as kept from relay_position
    union all select pg_snapshot_xmax(retold)::text::bigint from relay_position
    union all (select xid::text::bigint + 1 from outbox order by xid desc, seq desc limit 1)
    union all (select xid::text::bigint + 1 from audit order by xid desc, seq desc limit 1)
) kept
"""
COUNT_ON: Final = """
-- Transactions that do nothing, each of which takes a number; half a million a second were measured.
do $$ begin for n in 1..{count} loop perform pg_current_xact_id(); commit; end loop; end $$
"""
AT_ONCE: Final = 1_000_000
# Half of what a server may count before it has to freeze old rows; beyond it, a dump is not the way.
AHEAD_MAX: Final = 1_000_000_000


class CounterBehind(RuntimeError):
    """The server has not counted as far as the data it holds, which came from another server."""


async def ahead(conn: Connection | Pool) -> int:
    """How many transactions the server has to count until it has passed what this schema holds; 0 in the ordinary case."""
    found: int = await conn.fetchval(AHEAD)
    return max(found, 0)


async def check_counter(pool: Pool, service: str) -> None:
    """Raises CounterBehind where what this service says would not be sent."""
    if count := await ahead(pool):
        raise CounterBehind(
            f"the tables of {service} hold transaction numbers that this server has not reached, as after restoring a dump, and events"
            f" would not be sent; run `amends migrate`, which counts on ({count} to go)"
        )


async def bring_past(owner_dsn: str, schema: str) -> int:
    """Let the server count until it has passed every number of this schema, and return how far that was.

    Raises CounterBehind where that is too far.
    """
    conn = await asyncpg.connect(owner_dsn, timeout=10, server_settings={"search_path": schema})
    try:
        whole = left = await ahead(conn)
        if whole > AHEAD_MAX:
            raise CounterBehind(
                f"the data hold transaction numbers {whole} ahead of this server; restore a physical backup, or set the server's epoch"
                " with `pg_resetwal --epoch` while it is stopped"
            )
        while left > 0:
            await conn.execute(COUNT_ON.format(count=min(left, AT_ONCE)))
            left = await ahead(conn)
        return whole
    finally:
        await conn.close()
