"""The ledger and the budgets as rows.

Invariant: what is booked follows from the change of a restitution's money alone, in the transaction that changes it; the database refuses
an entry that does not sum to zero, and any change of a leg but pending to posted or voided.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from services.restitution.domain import CURRENCY, Restitution, bookings, budget_moves
from services.restitution.domain.state import MoneyState
from shared.db import Connection
from shared.kernel.ids import new_id

APPEND: Final = """
-- New entries, leg by leg; a restitution has one of each purpose.
insert into ledger (entry_id, leg, restitution_id, purpose, account, amount_minor, currency, state, at)
select * from unnest($1::uuid[], $2::int[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::timestamptz[])
"""
TURN: Final = """
-- The pending legs of these restitutions become what their money became.
update ledger l set state = t.state from unnest($1::uuid[], $2::text[]) as t (restitution_id, state)
where l.restitution_id = t.restitution_id and l.purpose = 'grant' and l.state = 'pending'
"""
LEDGER: Final = """
-- All legs of a case, as booked.
select l.entry_id, l.leg, l.account, l.amount_minor, l.currency, l.state, l.purpose, l.restitution_id, l.at
from ledger l join restitutions r using (restitution_id) where r.case_id = $1 order by l.entry_id, l.leg
"""
OPEN_BUDGETS: Final = """
-- A row to lock for each store's month.
insert into budgets (location_id, month, currency) select a.location_id, a.month, $3
from unnest($1::text[], $2::text[]) as a (location_id, month) order by 1, 2 on conflict do nothing
"""
LOCK_BUDGETS: Final = """
-- Lock these stores' months, in one order for everybody.
select b.location_id, b.month, b.reserved_minor + b.posted_minor as total
from budgets b join unnest($1::text[], $2::text[]) as a (location_id, month) using (location_id, month)
where b.currency = $3 order by 1, 2 for update of b
"""
MOVE: Final = """
-- Reserve, post, release: add each move to its row, which is locked; the checks refuse to release what was never reserved.
update budgets b set reserved_minor = b.reserved_minor + m.reserved, posted_minor = b.posted_minor + m.posted
from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[]) as m (location_id, month, currency, reserved, posted)
where (b.location_id, b.month, b.currency) = (m.location_id, m.month, m.currency)
"""
BUDGETS: Final = """
-- Months of the stores somebody sees (null: of all), newest first.
select location_id, month, currency, reserved_minor, posted_minor from budgets
where ($1::text[] is null or location_id = any($1)) and ($2::text is null or month = $2)
order by month desc, location_id limit 1000
"""
LOCK_PATIENT: Final = "select pg_advisory_xact_lock(hashtextextended('gifts:' || $1, 0))"


async def save(conn: Connection, changes: Collection[tuple[MoneyState, Restitution]], at: datetime) -> None:
    """Book what these changes (money before, restitution after) mean. `at` is business time. The restitutions' rows are written."""
    legs: list[tuple[Any, ...]] = []
    turned: list[tuple[UUID, str]] = []
    for was, state in sorted(changes, key=lambda change: change[1].restitution_id):
        new, becomes = bookings(was, state)
        entry_id = new_id()
        legs += [
            (entry_id, n, state.restitution_id, leg.purpose, leg.account, leg.amount_minor, state.currency, leg.state, at)
            for n, leg in enumerate(new, 1)
        ]
        if becomes is not None:
            turned.append((state.restitution_id, becomes))
    if legs:
        await conn.execute(APPEND, *_columns(legs))
    if turned:
        await conn.execute(TURN, *_columns(turned))
    moves = [(m.location_id, m.month, m.currency, m.reserved_minor, m.posted_minor) for m in budget_moves(changes)]
    if moves:
        await lock_budgets(conn, [(move[0], move[1]) for move in moves])
        await conn.execute(MOVE, *_columns(moves))


async def lock_budgets(conn: Connection, months: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """What is reserved and posted of each (location, month), in minor units, locked until the end of the transaction."""
    wanted = sorted(set(months))
    if not wanted:
        return {}
    columns = _columns(wanted)
    await conn.execute(OPEN_BUDGETS, *columns, CURRENCY)
    rows = await conn.fetch(LOCK_BUDGETS, *columns, CURRENCY)
    return {(row["location_id"], row["month"]): row["total"] for row in rows}


async def lock_patient(conn: Connection, patient_ref: str) -> None:
    """One request for a patient's gifts at a time, or two could pass the year's limit together."""
    await conn.execute(LOCK_PATIENT, patient_ref)


async def ledger_of(conn: Connection, case_id: UUID) -> list[dict[str, Any]]:
    """The legs of a case, as booked."""
    return [dict(row) for row in await conn.fetch(LEDGER, case_id)]


async def budgets_of(conn: Connection, locations: Sequence[str] | None, month: str | None) -> list[dict[str, Any]]:
    """Budgets by store and month; `locations` None for all."""
    return [dict(row) for row in await conn.fetch(BUDGETS, locations, month)]


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
