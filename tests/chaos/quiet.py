"""When a storm is over: nothing is on its way between the services, nothing is due, nobody waits for an answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Final

import asyncpg

from shared.contracts.flow import ALL_SERVICES
from shared.kernel.clock import machine_now
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
FREEZE: Final = "lock table {service}.timers in exclusive mode"
IN_DOUBT: Final = "select count(*) from notification.notices where status = 'sending'"
PAYING: Final = "select count(*) from restitution.restitutions where payout_state in ('due', 'paying')"


async def quiet(
    dsn: str, bootstrap_servers: str, provider: Provider, *, within_seconds: float, doubts: bool = False, timers: bool = True
) -> None:
    """Wait until it is. `doubts`: also until texts and payouts whose answer a kill hid were looked up; `timers`: until none is due.

    Fails with what is still under way when the time is up.
    """
    loop = asyncio.get_running_loop()
    began, seen, busy = loop.time(), 0, [""]
    looks = {"unsent": UNSENT, "waiting": WAITING, **({"due": DUE} if timers else {})}
    connection = await asyncpg.connect(dsn)
    try:
        while seen < SETTLED:
            busy = await _busy(connection, bootstrap_servers, provider, looks, doubts=doubts)
            seen = 0 if busy else seen + 1
            if loop.time() - began > within_seconds:
                raise AssertionError(f"not quiet within {within_seconds:g} s: {'; '.join(busy)}")
            await asyncio.sleep(LOOK_EVERY)
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def frozen(dsn: str) -> AsyncIterator[datetime]:
    """Inside, no timer is set or fires, so that nothing begins by itself while everything is read; since when that is so."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            for service in ALL_SERVICES:
                await connection.execute(FREEZE.format(service=service))
            yield machine_now()
    finally:
        await connection.close()


async def _busy(
    conn: "asyncpg.Connection[asyncpg.Record]", servers: str, provider: Provider, looks: Mapping[str, str], *, doubts: bool
) -> list[str]:
    """What is still under way."""
    found = ["the provider reports"] if provider.is_busy else []
    for service in ALL_SERVICES:
        for what, sql in looks.items():
            if count := await conn.fetchval(sql.format(service=service)):
                found.append(f"{service}: {count} {what}")
    for what, sql in (("texts in doubt", IN_DOUBT), ("payouts under way", PAYING)) if doubts else ():
        if count := await conn.fetchval(sql):
            found.append(f"{count} {what}")
    return found or await unread(servers)
