"""A replay: the projections are made again from what the topics hold, in a next generation, which then takes the old one's place.

It never sends a text and never moves money, because it holds nothing that could: `take` gets a bell nobody hears and a `Transaction` whose
events, timers and afterwards no engine collects, so nothing is written but projections; there is no outbox writer, relay, timer or
gateway. It reads beside the groups and moves no position. What the console hears next may have been read here already: rows are kept by
their version and entries by their event's id, so it changes nothing. For the same reason the next generation asks no inbox, which would
refuse what is older than it remembers; the inbox, sessions, link visits, the audit trail and what is parked are no projections and stay.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from services.console.store import generation
from services.console.usecases.desk import Bell
from services.console.usecases.take import take_cases, take_notices, take_patients, take_restitutions
from shared.contracts.cases import CASES
from shared.contracts.envelope import Event, Fact
from shared.contracts.flow import BY_NAME
from shared.contracts.notices import NOTICES
from shared.contracts.patients import PATIENTS
from shared.contracts.restitutions import RESTITUTIONS
from shared.db import DATABASE_DOWN, Pool, clock_of, open_pool
from shared.kernel.clock import machine_now
from shared.kernel.errors import Poison, Rejected
from shared.kernel.ids import time_of
from shared.messaging import Record, Transaction
from shared.messaging.records import read
from shared.messaging.reread import Reread, reread
from shared.runtime.host import migrate_service

TAKES: Final[dict[str, Any]] = {
    PATIENTS: take_patients,
    CASES: take_cases,
    RESTITUTIONS: take_restitutions,
    NOTICES: take_notices,
}
UNCHANGED: Final = "Nothing was changed."
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Unheard:
    """What the use cases stand on here: a bell for which no page waits."""

    bell: Bell = field(default_factory=Bell)


@dataclass(frozen=True, slots=True)
class Replayed:
    """`events` that the topics held, how many of them were left out because they lie `parked` or cannot be read, `rows` by projection."""

    events: int
    parked: int
    rows: dict[str, int]


@dataclass(frozen=True, slots=True)
class Item:
    """A record and what it says."""

    record: Record
    fact: Fact[Event]


async def replay(owner_dsn: str, bootstrap_servers: str, schema: Path, progress: Progress) -> Replayed:
    """Build the projections again and put them in place. Nobody may read for the console meanwhile.

    `schema`: the console's migrations. Raises Rejected, with nothing changed: `log-incomplete` where the topics do not hold everything,
    `event-failed` for one that cannot be taken, `still-running` where the console has run meanwhile.
    """
    pool = await open_pool(owner_dsn, schema=generation.NEXT, size=2)
    try:
        async with pool.acquire() as conn:
            await generation.drop(conn)
        began = await clock_of(pool)
        async with reread(bootstrap_servers, tuple(TAKES)) as log:
            _refuse_a_cut_log(log)
            progress(0, log.total)
            await migrate_service(owner_dsn, "console", schema, into=generation.NEXT)
            left_out = await _fill(pool, log, progress)
            return Replayed(log.records, left_out, await _switch(pool, began))
    finally:
        await pool.close()


async def _fill(pool: Pool, log: Reread, progress: Progress) -> int:
    """Take everything in; gives how many events were left out."""
    left_out = 0
    async for topic, records in log.batches():
        items = await _to_take(pool, topic, records)
        left_out += len(records) - len(items)
        await _take(pool, topic, items)
        progress(log.read, log.total)
    progress(log.read, log.total)
    return left_out


async def _to_take(pool: Pool, topic: str, records: Sequence[Record]) -> list[Item]:
    """Without those that lie parked, each for itself or behind another: a redrive brings them, in the order of their keys."""
    items = []
    for record in records:
        try:
            items.append(Item(record, read(record)))
        except Poison:
            continue
    async with pool.acquire() as conn:
        parked = await generation.lying(conn, topic, [item.fact.envelope.id for item in items])
    return [item for item in items if item.fact.envelope.id not in parked]


async def _take(pool: Pool, topic: str, items: Sequence[Item]) -> None:
    """One transaction; where it fails each event by itself, so that the one at fault is named."""
    try:
        async with pool.acquire() as conn, conn.transaction():
            await TAKES[topic](Unheard(), Transaction(conn, machine_now(), "console"), [item.fact for item in items])
    except DATABASE_DOWN:
        raise
    except Exception as error:
        if len(items) > 1:
            for item in items:
                await _take(pool, topic, [item])
        raise _failed(items, error) from error


def _failed(items: Sequence[Item], error: Exception) -> Rejected:
    record, envelope = items[0].record, items[0].fact.envelope
    place = f"{record.topic}[{record.partition}]@{record.offset}"
    more = f" or one of the {len(items) - 1} after it" if len(items) > 1 else ""
    return Rejected(
        "event-failed",
        f"The event {envelope.id} ({envelope.type}, {place}){more} cannot be taken in: {type(error).__name__}: {error}. {UNCHANGED} It does"
        " not lie parked, so the version that heard it could take it: replay with that one, or once this one is mended.",
    )


async def _switch(pool: Pool, began: datetime) -> dict[str, int]:
    """All or nothing; gives the rows of each projection. `began`: when the topics' ends were looked up."""
    async with pool.acquire() as conn, conn.transaction():
        await generation.shut(conn)
        if await generation.heard_since(conn, began):
            raise Rejected("still-running", f"The console has run meanwhile; stop it and run this again. {UNCHANGED}")
        _refuse_to_forget(await generation.forgotten(conn))
        return await generation.switch(conn)


def _refuse_to_forget(lost: generation.Forgotten | None) -> None:
    """The topics may lack what the timelines hold: after a log that was lost, they go back as far as it was filled again."""
    if lost is not None:
        at = time_of(lost.event_id)
        raise Rejected(
            "log-incomplete",
            f"The topics lack {lost.events:,} events that the console holds, the first {lost.event_id} ({lost.type}) of {at:%Y-%m-%d %H:%M}"
            f" UTC; a replay would forget them. {UNCHANGED} While the outboxes hold them (14 days) `amends republish --since"
            f" {at:%Y-%m-%dT%H:%MZ}` and a start say them again, and a replay after that has everything. Older pages are kept as they are.",
        )


def _refuse_a_cut_log(log: Reread) -> None:
    cut = [topic for topic in log.lacking() if not BY_NAME[topic].compacted]
    if cut:
        raise Rejected(
            "log-incomplete",
            f"{', '.join(cut)} has lost its beginning to a retention (AMENDS_KAFKA__RETENTION_MS; -1 keeps everything), and a replay would"
            f" forget it. {UNCHANGED}",
        )
