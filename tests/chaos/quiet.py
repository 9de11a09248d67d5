"""When a storm is over: nothing is on its way between the services, nothing is due, nobody waits for an answer."""

import asyncio
from typing import Final

import asyncpg

from shared.contracts.flow import ALL_SERVICES
from tests.chaos.provider import Provider
from tests.chaos.topics import unread

LOOK_EVERY: Final = 0.5
SETTLED: Final = 3

UNSENT: Final = """
select count(*) from {service}.outbox o, {service}.relay_position p
where o.xid >= pg_snapshot_xmin(p.since) and not pg_visible_in_snapshot(o.xid, p.since)
"""
DUE: Final = "select count(*) from {service}.timers where due_at <= clock_timestamp() and parked_reason is null"
WAITING: Final = """
select count(*) from {service}.parked where redriven_at is null and (retry_at is not null or is_behind)
"""
IN_DOUBT: Final = "select count(*) from notification.notices where status = 'sending'"
PAYING: Final = "select count(*) from restitution.restitutions where payout_state in ('due', 'paying')"


async def quiet(dsn: str, bootstrap_servers: str, provider: Provider, *, within_seconds: float, doubts: bool) -> float:
    """Wait until it is; gives the seconds that took. `doubts`: wait as well for texts and payouts whose answer a kill hid to be looked up.

    Fails with what is still under way when the time is up.
    """
    loop = asyncio.get_running_loop()
    began, seen, busy = loop.time(), 0, [""]
    connection = await asyncpg.connect(dsn)
    try:
        while seen < SETTLED:
            busy = await _busy(connection, bootstrap_servers, provider, doubts=doubts)
            seen = 0 if busy else seen + 1
            if loop.time() - began > within_seconds:
                raise AssertionError(f"not quiet within {within_seconds:g} s: {'; '.join(busy)}")
            await asyncio.sleep(LOOK_EVERY)
        return loop.time() - began
    finally:
        await connection.close()


async def _busy(conn: "asyncpg.Connection[asyncpg.Record]", servers: str, provider: Provider, *, doubts: bool) -> list[str]:
    """What is still under way."""
    found = ["the provider reports"] if provider.is_busy else []
    for service in ALL_SERVICES:
        for what, sql in (("unsent", UNSENT), ("due", DUE), ("waiting", WAITING)):
            if count := await conn.fetchval(sql.format(service=service)):
                found.append(f"{service}: {count} {what}")
    for what, sql in (("texts in doubt", IN_DOUBT), ("payouts under way", PAYING)) if doubts else ():
        if count := await conn.fetchval(sql):
            found.append(f"{count} {what}")
    return found or await unread(servers)
