"""The outbox: what a service said, appended in the transaction that decided it.

Called when a transaction is about to commit. Invariant: `seq` is taken while the aggregate of the key is locked,
so order per key is `seq` order; what no broker would take is refused here, where it is said, and never stands in the relay's way.
"""

from collections import Counter
from datetime import datetime
from typing import Final
from uuid import UUID

from shared.kernel.clock import machine_now
from shared.kernel.errors import Poison
from shared.kernel.ids import new_id
from shared.messaging.transaction import Said, Transaction
from shared.telemetry.metrics import EVENTS_SAID

APPEND: Final = """
-- One row per event, in the order it was said.
insert into outbox (day, event_id, topic, key, type, at, body, traceparent)
select $1, e.event_id, e.topic, e.key, e.type, e.at, e.body, e.traceparent
from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::bytea[], $8::text[])
     with ordinality as e(event_id, topic, key, type, at, body, traceparent, place)
order by e.place
"""
# Kafka refuses a batch above 1,048,588 bytes; what is left is for the headers and the batch itself.
BYTES_MAX: Final = 1_000_000


async def append(tx: Transaction) -> None:
    """Write what `tx` said. One statement, whatever the number of events. Raises Poison `too-large` for what Kafka would not take."""
    if not tx.said:
        return
    rows = [_row(said, tx.now) for said in tx.said]
    await tx.conn.execute(APPEND, machine_now().date(), *(list(column) for column in zip(*rows, strict=True)))


def count(tx: Transaction) -> None:
    """Count what was said, once it is committed."""
    for kind, times in Counter(said.event.type_name for said in tx.said).items():
        EVENTS_SAID.labels(tx.service, kind).inc(times)


def _row(said: Said, at: datetime) -> tuple[UUID, str, str, str, datetime, bytes, str | None]:
    event, key, body = said.event, said.event.key, said.event.model_dump_json(exclude_none=True).encode()
    # The key travels as a header too.
    if (size := len(body) + 2 * len(key.encode())) > BYTES_MAX:
        raise Poison("too-large", f"{event.type_name} would be {size:,} bytes; {BYTES_MAX:,} are the most")
    return new_id(), event.topic, key, event.type_name, at, body, said.traceparent
