"""How intake keeps what it knows. Sets in, sets out; locks are taken in the order of ids, and in the order of this file.

Called by the use cases and, for queries, by the API. Invariant: whoever changes an order holds the row locks of all its root's mentioned
orders, so two transactions never count the same trips at once.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, cast
from uuid import UUID

from msgspec import Struct
from msgspec.structs import astuple

from services.intake.domain import History, Order, Problem, Visit
from shared.contracts.incidents import Incident
from shared.db import Connection, Pool
from shared.kernel.errors import Transient

_ORDER: Final = """order_id, root_order_id, state, state_at, promised_at, promise_at, location_id, location_at, patient_ref, patient_at,
    lab, product, placed_at, watched_until, generation, late_for"""
_ORDERS_GIVEN: Final = """unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[], $7::text[],
    $8::timestamptz[], $9::text[], $10::timestamptz[], $11::text[], $12::text[], $13::timestamptz[], $14::timestamptz[], $15::int[],
    $16::timestamptz[])"""
ADMIT: Final = """
-- Store each event once by (source, id), in one order for everybody; which of them are new.
insert into events_received (event_id, source, id, type, location_id, patient_ref, order_id, at, raw)
select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::bytea[])
on conflict (source, id) do nothing returning event_id
"""
KNOWN: Final = """
-- Which of these events are stored already.
select e.source, e.id from unnest($1::text[], $2::text[]) as asked (source, id) join events_received e using (source, id)
"""
BECAME: Final = """
-- What became of events that are more than accepted.
update events_received e set status = b.status, incident_id = b.incident_id, why = b.why
from unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[]) as b (event_id, status, incident_id, why) where e.event_id = b.event_id
"""
REFUSE: Final = """
-- Keep the last refusal of each event that named itself.
insert into events_refused (source, id, code, detail, errors, at)
select r.source, r.id, r.code, r.detail, r.errors, $6 from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::jsonb[])
    as r (source, id, code, detail, errors)
on conflict (source, id) do update set code = excluded.code, detail = excluded.detail, errors = excluded.errors, at = excluded.at,
    times = events_refused.times + 1
"""
LOCK: Final = """
-- Lock these orders and the roots they are known to have, in one order for everybody.
select order_id, root_order_id from orders
where order_id = any($1::text[] || array(select root_order_id from orders where order_id = any($1::text[])))
order by order_id for update
"""
ORDERS: Final = f"""
-- Every order of these roots.
select {_ORDER} from orders where root_order_id = any($1::text[])
"""
VISITS: Final = """
-- Every trip for these roots, with the root in front.
select root_order_id, visit_id, order_id, location_id, at, on_date, miles from visits
where root_order_id = any($1::text[]) order by visit_id
"""
REMAKES: Final = """
-- How often each of these roots was remade.
select root_order_id, count(*)::int as remakes from remakes where root_order_id = any($1::text[]) group by root_order_id
"""
ADD_ORDERS: Final = f"""
-- Orders that nobody had told of; whoever else tells of one first makes this one row short.
insert into orders ({_ORDER})
select * from {_ORDERS_GIVEN} on conflict do nothing
"""
SAVE_ORDERS: Final = f"""
-- The orders as they are now; the rows are locked and there.
update orders o set root_order_id = n.root_order_id, state = n.state, state_at = n.state_at, promised_at = n.promised_at,
    promise_at = n.promise_at, location_id = n.location_id, location_at = n.location_at, patient_ref = n.patient_ref,
    patient_at = n.patient_at, lab = n.lab, product = n.product, placed_at = n.placed_at, watched_until = n.watched_until,
    generation = n.generation, late_for = n.late_for
from {_ORDERS_GIVEN} as n ({_ORDER})
where o.order_id = n.order_id
"""
MOVE_VISITS: Final = """
-- Trips of roots that turned out to be orders of another root.
update visits v set root_order_id = m.root from unnest($1::text[], $2::text[]) as m (was, root) where v.root_order_id = m.was
"""
MOVE_REMAKES: Final = """
-- Remakes of roots that turned out to be orders of another root.
update remakes r set root_order_id = m.root from unnest($1::text[], $2::text[]) as m (was, root) where r.root_order_id = m.was
"""
ADD_VISITS: Final = """
-- New trips.
insert into visits (visit_id, order_id, root_order_id, location_id, at, on_date, miles)
select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::date[], $7::numeric[])
"""
WATCHED: Final = """
-- What an order's state has the service woken for: the closing of the day it is promised for.
select order_id as subject, 'promise' as name, generation, watched_until as due_at from orders where watched_until is not null
"""
ADD_REMAKES: Final = """
-- New remakes.
insert into remakes (remake_id, order_id, root_order_id, at) select * from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[])
"""
ADD_INCIDENTS: Final = """
-- New incidents.
insert into incidents (incident_id, incident_type, location_id, patient_ref, root_order_id, status, facts)
select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[])
"""
ADD_WORDS: Final = """
-- What people said, sealed.
insert into words (incident_id, patient_ref, text, wished_outcome) select * from unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[])
"""
WENT_TO: Final = """
-- The cases that incidents went to.
update incidents i set case_id = c.case_id, case_reference = c.reference
from unnest($1::uuid[], $2::uuid[], $3::text[]) as c (incident_id, case_id, reference) where i.incident_id = c.incident_id
"""
_PATIENT: Final = """patient_ref, wrapped_key, name, phone, email, language, payer, postal_code, phone_index, household, consents,
    location_id, said, version, heard"""
PATIENTS: Final = f"""
-- These patients, locked in one order for everybody.
select {_PATIENT} from patients where patient_ref = any($1::text[]) order by patient_ref for update
"""
ANY_WRAPPED_KEY: Final = "select wrapped_key from patients where wrapped_key <> '' order by patient_ref limit 1"
SEE_PATIENTS: Final = f"""
-- These patients, to be read only.
select {_PATIENT} from patients where patient_ref = any($1::text[])
"""
PATIENTS_AFTER: Final = f"""
-- The next patients by reference, locked; only those whom others were told of.
select {_PATIENT} from patients where patient_ref > $1 and version > 0 order by patient_ref limit $2 for update
"""
ENSURE_PATIENTS: Final = """
-- A row with a key of its own for each patient who is new.
insert into patients (patient_ref, wrapped_key, location_id) select * from unnest($1::text[], $2::bytea[], $3::text[])
on conflict do nothing
"""
SAVE_PATIENTS: Final = f"""
-- The patients as they are now; the rows are locked and there.
update patients p set name = n.name, phone = n.phone, email = n.email, language = n.language, payer = n.payer,
    postal_code = n.postal_code, phone_index = n.phone_index, household = n.household, consents = n.consents,
    location_id = n.location_id, said = n.said, version = n.version, heard = n.heard
from unnest($1::text[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[], $6::text[], $7::text[], $8::bytea[], $9::text[], $10::text[],
    $11::jsonb[], $12::text[], $13::jsonb[], $14::int[], $15::bytea[])
    as n ({_PATIENT})
where p.patient_ref = n.patient_ref
"""
NOTE_PATIENTS: Final = """
-- Patients of whom nothing new was said: only the times move, and what was heard last is noted.
update patients p set said = n.said, heard = n.heard from unnest($1::text[], $2::jsonb[], $3::bytea[]) as n (patient_ref, said, heard)
where p.patient_ref = n.patient_ref
"""
EVENT: Final = """
-- What became of one event, with its incident and its case.
select e.source, e.id, e.type, e.location_id, e.at, e.created_at, e.status, e.why, e.incident_id,
    i.incident_type, i.case_id, i.case_reference
from events_received e left join incidents i using (incident_id) where e.source = $1 and e.id = $2
"""
REFUSED: Final = """
-- Why one event was refused the last time.
select source, id, code, detail, errors, times, at from events_refused where source = $1 and id = $2
"""
INCIDENT: Final = """
-- One incident with its words, still sealed, and the key to open them.
select i.incident_id, i.status, i.location_id, i.facts, i.case_id, i.case_reference,
    w.text, w.wished_outcome, w.patient_ref as sealed_for, p.wrapped_key
from incidents i left join words w using (incident_id) left join patients p on p.patient_ref = w.patient_ref where i.incident_id = $1
"""


class Received(Struct, frozen=True, gc=False):
    """A row of `events_received` as it comes in."""

    event_id: UUID
    source: str
    id: str
    type: str
    location_id: str
    patient_ref: str | None
    order_id: str | None
    at: datetime
    raw: bytes


class Became(Struct, frozen=True, gc=False):
    """What an event is besides accepted."""

    event_id: UUID
    status: str
    incident_id: UUID | None
    why: str | None


class SealedPatient(Struct, frozen=True, gc=False):
    """A row of `patients`: contact data is ciphertext."""

    patient_ref: str
    wrapped_key: bytes
    name: bytes | None
    phone: bytes | None
    email: bytes | None
    language: str | None
    payer: str | None
    postal_code: bytes | None
    phone_index: str | None
    household: str | None
    consents: dict[str, dict[str, Any]]
    location_id: str
    said: dict[str, str]
    version: int
    heard: bytes | None


class SealedWords(Struct, frozen=True, gc=False):
    """A row of `words`; `patient_ref` is whose key it is sealed with, None for the master key."""

    incident_id: UUID
    patient_ref: str | None
    text: bytes
    wished_outcome: bytes | None


async def admit(conn: Connection, rows: Iterable[Received]) -> set[UUID]:
    """Store the events and return the ids of those that were not there yet."""
    ordered = sorted(rows, key=lambda row: (row.source, row.id))
    return {row["event_id"] for row in await conn.fetch(ADMIT, *_columns(ordered))}


async def known(conn: Connection, names: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Which (source, id) are stored."""
    rows = await conn.fetch(KNOWN, [source for source, _ in names], [name for _, name in names])
    return {(row["source"], row["id"]) for row in rows}


async def save_outcomes(conn: Connection, rows: Sequence[Became]) -> None:
    """Note what became of events."""
    if rows:
        await conn.execute(BECAME, *_columns(rows))


async def refuse(conn: Connection, refusals: Mapping[tuple[str, str], Problem], at: datetime) -> None:
    """Keep why events were refused, by (source, id)."""
    ordered = sorted(refusals.items())
    rows = [(s, i, p.code, p.detail, dict(p.errors)) for (s, i), p in ordered]
    if rows:
        await conn.execute(REFUSE, *(list(column) for column in zip(*rows, strict=True)), at)


async def lock_histories(
    conn: Connection, mentioned: Collection[str], looked_back_at: Collection[str] = ()
) -> tuple[dict[str, History], set[str]]:
    """Lock the histories of all orders mentioned: order or root id → history, shared where it is one root; and the orders that are new.

    Trips and remakes are read of the histories of `looked_back_at` only.
    Locks in the order of ids; what turns out to belong to a root not yet locked is locked in a further round (a deadlock with somebody
    who does the same is the database's to find, and the transaction is tried again). An order that nobody told of has no row to lock: it
    is written by `save_histories`, where two who tell of it at once meet.
    """
    wanted = set(mentioned)
    roots: dict[str, str] = {}
    while wanted - set(roots):
        roots = dict.fromkeys(wanted, "") | {row["order_id"]: row["root_order_id"] for row in await conn.fetch(LOCK, sorted(wanted))}
        wanted = set(roots) | set(filter(None, roots.values()))
    new = {order_id for order_id, root in roots.items() if not root}
    histories = {order_id: History(order_id, {order_id: Order(order_id, order_id)}) for order_id in new}
    histories |= await _read_histories(conn, set(roots.values()) - {""}, {roots[order_id] for order_id in looked_back_at} - {""})
    return {order_id: histories[root or order_id] for order_id, root in roots.items()}, new


async def _read_histories(conn: Connection, roots: Collection[str], whole: Collection[str]) -> dict[str, History]:
    if not roots:
        return {}
    orders: dict[str, dict[str, Order]] = {root: {} for root in roots}
    visits: dict[str, list[Visit]] = {root: [] for root in roots}
    remakes: dict[str, int] = {}
    for row in await conn.fetch(ORDERS, sorted(roots)):
        orders[row["root_order_id"]][row["order_id"]] = Order(*row)
    if whole:
        for row in await conn.fetch(VISITS, sorted(whole)):
            visits[row[0]].append(Visit(*tuple(row)[1:]))
        remakes = {row["root_order_id"]: row["remakes"] for row in await conn.fetch(REMAKES, sorted(whole))}
    return {root: History(root, orders[root], tuple(visits[root]), remakes.get(root, 0)) for root in roots}


async def save_histories(conn: Connection, orders: Iterable[Order], new: Collection[str], absorbed: Mapping[str, str]) -> None:
    """Write the orders that are `new` or changed, and move what belonged to `absorbed` roots (old root → root).

    Raises Transient where somebody else told of a new order meanwhile: tried again, it is read and locked.
    """
    rows = sorted(orders, key=lambda order: order.order_id)
    added, changed = [row for row in rows if row.order_id in new], [row for row in rows if row.order_id not in new]
    if added and await conn.execute(ADD_ORDERS, *_columns(added)) != f"INSERT 0 {len(added)}":
        raise Transient("an order was told of twice at once", retry_in=0.05)
    if changed:
        await conn.execute(SAVE_ORDERS, *_columns(changed))
    if moved := [(was, root) for was, root in absorbed.items() if was not in new]:
        columns = [list(column) for column in zip(*moved, strict=True)]
        await conn.execute(MOVE_VISITS, *columns)
        await conn.execute(MOVE_REMAKES, *columns)


async def add_visits(conn: Connection, visits: Sequence[tuple[str, Visit]]) -> None:
    """New trips, each with its root."""
    rows = [(v.visit_id, v.order_id, root, v.location_id, v.at, v.on, v.miles) for root, v in visits]
    if rows:
        await conn.execute(ADD_VISITS, *(list(column) for column in zip(*rows, strict=True)))


async def add_remakes(conn: Connection, remakes: Sequence[tuple[UUID, str, str, datetime]]) -> None:
    """New remakes: id, order, root, time."""
    if remakes:
        await conn.execute(ADD_REMAKES, *(list(column) for column in zip(*remakes, strict=True)))


async def add_incidents(conn: Connection, incidents: Sequence[tuple[Incident, str]], words: Sequence[SealedWords]) -> None:
    """New incidents, each with its status, and the words that some came with."""
    rows = [
        (
            i.incident_id,
            i.incident_type,
            i.location_id,
            i.patient_ref,
            i.root_order_id,
            status,
            i.model_dump(mode="json", exclude_none=True),
        )
        for i, status in incidents
    ]
    if rows:
        await conn.execute(ADD_INCIDENTS, *(list(column) for column in zip(*rows, strict=True)))
    if words:
        await conn.execute(ADD_WORDS, *_columns(words))


async def incidents_went_to(conn: Connection, cases: Sequence[tuple[UUID, UUID, str]]) -> None:
    """Incident, case, reference."""
    if cases:
        await conn.execute(WENT_TO, *(list(column) for column in zip(*cases, strict=True)))


async def lock_patients(conn: Connection, refs: Collection[str]) -> dict[str, SealedPatient]:
    """The patients among `refs` who are known, locked."""
    return {row["patient_ref"]: SealedPatient(*row) for row in await conn.fetch(PATIENTS, sorted(refs))} if refs else {}


async def any_wrapped_key(pool: Pool) -> bytes | None:
    """Some patient's wrapped key, to try a master key on; None where there is none yet."""
    return cast("bytes | None", await pool.fetchval(ANY_WRAPPED_KEY))


async def see_patients(conn: Connection, refs: Collection[str]) -> dict[str, SealedPatient]:
    """The patients among `refs` who are known, not locked."""
    return {row["patient_ref"]: SealedPatient(*row) for row in await conn.fetch(SEE_PATIENTS, sorted(refs))} if refs else {}


async def patients_after(conn: Connection, ref: str, limit: int) -> list[SealedPatient]:
    """The next patients after `ref`, locked."""
    return [SealedPatient(*row) for row in await conn.fetch(PATIENTS_AFTER, ref, limit)]


async def ensure_patients(conn: Connection, rows: Sequence[tuple[str, bytes, str]]) -> None:
    """Rows for new patients: reference, wrapped key, location."""
    await conn.execute(ENSURE_PATIENTS, *(list(column) for column in zip(*sorted(rows), strict=True)))


async def save_patients(conn: Connection, rows: Sequence[SealedPatient]) -> None:
    """Write patients who are locked."""
    if rows:
        await conn.execute(SAVE_PATIENTS, *_columns(sorted(rows, key=attrgetter("patient_ref"))))


async def note_patients(conn: Connection, rows: Sequence[SealedPatient]) -> None:
    """Write of patients who are locked when what was said, and what was heard last."""
    if rows:
        await conn.execute(NOTE_PATIENTS, [r.patient_ref for r in rows], [r.said for r in rows], [r.heard for r in rows])


async def event_became(conn: Connection, source: str, name: str) -> Mapping[str, Any] | None:
    """What became of an event, as columns of `EVENT`; None where none is stored."""
    row = await conn.fetchrow(EVENT, source, name)
    return dict(row) if row else None


async def event_refused(conn: Connection, source: str, name: str) -> Mapping[str, Any] | None:
    """Why an event was refused the last time; None where it was not."""
    row = await conn.fetchrow(REFUSED, source, name)
    return dict(row) if row else None


async def incident(conn: Connection, incident_id: UUID) -> Mapping[str, Any] | None:
    """An incident as columns of `INCIDENT`; None where there is none."""
    row = await conn.fetchrow(INCIDENT, incident_id)
    return dict(row) if row else None


def _columns(rows: Sequence[Struct]) -> list[list[Any]]:
    """Frozen rows, one at least, as the columns that `unnest` takes.

    A jsonb value in a column is an object, never a list: asyncpg takes a list of lists for an array of two dimensions.
    """
    return [list(column) for column in zip(*map(astuple, rows), strict=True)]
