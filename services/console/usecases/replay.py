"""A replay: the projections are made again from what the topics hold, in a next generation, which then takes the old one's place.

It never sends a text and never moves money, because it holds nothing that could: `take` gets a bell nobody hears and a `Transaction` whose
events, timers and afterwards no engine collects, so nothing is written but projections; there is no outbox writer, relay, timer or
gateway. It reads beside the groups and moves no position. What the console hears next may have been read here already: rows are kept by
their version and entries by their event's id, so it changes nothing. For the same reason the next generation asks no inbox, which would
refuse what is older than it remembers; the inbox, sessions, link visits, the audit trail and what is parked are no projections and stay.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from services.console.store import generation
from services.console.usecases.desk import Bell
from services.console.usecases.take import take_cases, take_incidents, take_notices, take_patients, take_restitutions
from shared.contracts.cases import CASES
from shared.contracts.envelope import Event, Fact
from shared.contracts.flow import BY_NAME
from shared.contracts.incidents import INCIDENTS
from shared.contracts.notices import NOTICES
from shared.contracts.patients import PATIENTS
from shared.contracts.restitutions import RESTITUTIONS
from shared.db import Pool, open_pool
from shared.kernel.clock import machine_now
from shared.kernel.errors import Poison, Rejected
from shared.kernel.ids import time_of
from shared.messaging import Record, Transaction
from shared.messaging.records import read
from shared.messaging.reread import Reread, reread
from shared.runtime.host import migrate_service

TAKES: Final[dict[str, Any]] = {
    PATIENTS: take_patients,
    INCIDENTS: take_incidents,
    CASES: take_cases,
    RESTITUTIONS: take_restitutions,
    NOTICES: take_notices,
}
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Unheard:
    """What the use cases stand on here: a bell for which no page waits."""

    bell: Bell = field(default_factory=Bell)


@dataclass(frozen=True, slots=True)
class Replayed:
    """`events` that were read, `unreadable` ones among them (they lie parked), and the `rows` of each projection."""

    events: int
    unreadable: int
    rows: dict[str, int]


async def replay(owner_dsn: str, bootstrap_servers: str, schema: Path, progress: Progress) -> Replayed:
    """Build the projections again and put them in place. Nobody may read for the console meanwhile.

    `schema`: the console's migrations. Raises Rejected, with nothing changed, where the topics do not hold everything.
    """
    pool = await open_pool(owner_dsn, schema=generation.NEXT, size=2)
    try:
        async with pool.acquire() as conn:
            await generation.drop(conn)
        await _refuse_to_forget(pool)
        await migrate_service(owner_dsn, "console", schema, into=generation.NEXT)
        async with reread(bootstrap_servers, tuple(TAKES)) as log:
            _refuse_a_cut_log(log)
            unreadable = await _fill(pool, log, progress)
            return Replayed(log.read, unreadable, await generation.switch(pool))
    finally:
        await pool.close()


async def _fill(pool: Pool, log: Reread, progress: Progress) -> int:
    unreadable = 0
    async for topic, records in log.batches():
        facts = _facts(records)
        unreadable += len(records) - len(facts)
        async with pool.acquire() as conn, conn.transaction():
            await TAKES[topic](Unheard(), Transaction(conn, machine_now(), "console"), facts)
        progress(log.read, log.total)
    progress(log.read, log.total)
    return unreadable


def _facts(records: Sequence[Record]) -> list[Fact[Event]]:
    """Those that can be read; the console has parked the others when it heard them."""
    facts = []
    for record in records:
        try:
            facts.append(read(record))
        except Poison:
            continue
    return facts


async def _refuse_to_forget(pool: Pool) -> None:
    """After a lost log the topics hold only what was said again."""
    async with pool.acquire() as conn:
        since, oldest = await generation.republished_from(conn), await generation.oldest_event(conn)
    if since is not None and oldest is not None and time_of(oldest) < since:
        raise Rejected(
            "log-incomplete",
            f"The topics go back to {since:%Y-%m-%d %H:%M} UTC only, since a republish; the console holds older events, which a replay"
            " would forget. Nothing was changed.",
        )


def _refuse_a_cut_log(log: Reread) -> None:
    cut = [topic for topic in log.lacking() if not BY_NAME[topic].compacted]
    if cut:
        raise Rejected(
            "log-incomplete",
            f"{', '.join(cut)} has lost its beginning to a retention (AMENDS_KAFKA__RETENTION_MS), which a replay would forget."
            " Nothing was changed.",
        )
