"""Firing: the row goes and the proof is written, in the transaction the deadline is acted on.

Called by use cases after they locked the states concerned. Invariant: a timer fires at most once (unique index on what fired).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from shared.messaging.transaction import Transaction
from shared.timers.schedule import Due

FIRE: Final = """
-- Take the timers that are still there and still due, and keep the proof.
with asked as (
    select * from unnest($1::text[], $2::text[], $3::text[], $4::int[]) as a(kind, subject, name, generation)
), gone as (
    delete from timers t using asked a
    where t.kind = a.kind and t.subject = a.subject and t.name = a.name and t.generation = a.generation and t.due_at <= $5
    returning t.kind, t.subject, t.name, t.generation, t.due_at, t.data
), proof as (
    insert into timers_done (kind, subject, name, generation, outcome, reason, due_at, fired_at)
    select kind, subject, name, generation, 'fired', 'due', due_at, $5 from gone
)
select kind, subject, name, generation, due_at, data from gone
"""


async def fire(tx: Transaction, due: Sequence[Due]) -> list[Due]:
    """Those of `due` that were still there and due, as they are by now, in order; they are done. Lock their subjects' states before."""
    if not due:
        return []
    columns = zip(*[(d.kind, d.subject, d.name, d.generation) for d in due], strict=True)
    rows = await tx.conn.fetch(FIRE, *(list(column) for column in columns), tx.now)
    gone = {(r["kind"], r["subject"], r["name"], r["generation"]): r for r in rows}
    found = [(d, gone.get((d.kind, d.subject, d.name, d.generation))) for d in due]
    return [replace(d, due_at=row["due_at"], data=row["data"]) for d, row in found if row is not None]
