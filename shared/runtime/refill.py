"""Filling a broker again that lost its log: what was said goes out once more, and everybody reads from the beginning.

Called by `Process.refill`, for `amends republish`, while no service reads. Invariants: nothing leaves before every position is back, so
order per key holds; nothing is done twice, because the inboxes know what was applied; a run that is cut off may be run again.
"""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from shared.contracts.flow import heard_by
from shared.kernel.clock import machine_now
from shared.messaging.broker import StillRead, group_of, provision, start_over, wait_until_unread
from shared.messaging.counter import check_counter
from shared.messaging.inbox import can_say_again_from, keep_partitions
from shared.messaging.relay import hold, rewind, snapshot
from shared.runtime.host import Service

# A relay whose broker is away notices within its request's time (10 s) that it was overtaken.
RELAY_ENDS_SECONDS: Final = 30.0
STOP_THEM: Final = "stop every service first, they go on afterwards"


class CannotRefill(RuntimeError):
    """The broker cannot be filled again as asked, and nothing was changed."""


@dataclass(frozen=True, slots=True)
class Refilled:
    """What goes out for one service: `events` in all, from its log and anew; `rows` of its tables are among them."""

    events: int
    rows: int


async def refill(services: Sequence[Service], bootstrap_servers: str, topics: Mapping[str, Any], since: datetime) -> dict[str, Refilled]:
    """Set everything back so that the relays, once they run, send what was said since then and what the compacted topics held.

    `topics`: how they are made where they are missing. Raises CannotRefill, CounterBehind, KafkaError, or one of DATABASE_DOWN.
    """
    for service in services:
        await check_counter(service.engine.pool, service.name)
        await keep_partitions(service.engine.pool)
    await _check(services, since)
    done: dict[str, Refilled] = {}
    try:
        await wait_until_unread(bootstrap_servers, [group_of(s.name, topic) for s in services for topic in heard_by(s.name)])
        async with AsyncExitStack() as held:
            for service in services:
                await held.enter_async_context(hold(service.engine.pool, RELAY_ENDS_SECONDS))
            for service in services:
                done[service.name] = await _say_again(service, since)
            await provision(bootstrap_servers, **topics)
            for service in services:
                await start_over(bootstrap_servers, service.name, heard_by(service.name))
    except StillRead as error:
        raise CannotRefill(f"{error}; {STOP_THEM}") from error
    return done


async def _say_again(service: Service, since: datetime) -> Refilled:
    engine = service.engine
    before = await snapshot(engine.pool)
    rows = await service.say_again() if service.say_again else 0
    async with engine.transaction(door="command") as tx:
        events = await rewind(tx.conn, since, before)
        tx.audit("command", "republish", f"relay:{service.name}", {"since": since.isoformat(), "events": events, "rows": rows})
    return Refilled(events, rows)


async def _check(services: Sequence[Service], since: datetime) -> None:
    """Refuse what would leave something out, or would be taken for too old by those who read it."""
    if since > machine_now():
        raise CannotRefill("the time to republish from lies ahead; name one before the log was lost")
    days = {service.name: await can_say_again_from(service.engine.pool) for service in services}
    name = max(days, key=lambda name: days[name])
    if since.astimezone(UTC).date() < days[name]:
        raise CannotRefill(
            f"{name} can republish from {days[name]} on: what is older is no longer in its outbox, or could not be told from a repeat"
            " by those who read it"
        )
