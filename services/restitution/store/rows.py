"""Cases and restitutions as rows; a visit is decided about once.

Invariant: a restitution is changed only under its row's lock, and never back to a lower version.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import asyncpg

from services.restitution.domain import CaseCopy, Payout, Restitution, TripLine
from shared.contracts.restitutions import Needs, PolicyDecision
from shared.db import Connection, Pool

KEEP_CASES: Final = """
-- Each case as heard; a lower version than the known one changes nothing. Either way its row is locked.
insert into cases (case_id, reference, location_id, region, patient_ref, root_order_id, payer_class, story_confirmed, status, version)
select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bool[], $9::text[], $10::int[])
on conflict (case_id) do update set reference = excluded.reference, location_id = excluded.location_id, region = excluded.region,
    patient_ref = excluded.patient_ref, root_order_id = excluded.root_order_id, payer_class = excluded.payer_class,
    story_confirmed = excluded.story_confirmed, status = excluded.status, version = excluded.version
where cases.version < excluded.version returning case_id
"""
CASES: Final = """
-- These cases as known.
select case_id, reference, location_id, region, patient_ref, root_order_id, payer_class, story_confirmed, status, version
from cases where case_id = any($1::uuid[])
"""
LOCK_CASES: Final = CASES + " order by case_id for share"
COLUMNS: Final = """restitution_id, case_id, kind, amount_minor, currency, status, version, location_id, region, patient_ref, requested_by,
    proposed_at, month, approved_by, reason, words, decision, needs, trips, money, payout_state, payout_token, payout_lease_until,
    payout_looks, offered_at, settled_at"""
LOCK: Final = f"""
-- Lock these restitutions, in one order for everybody.
select {COLUMNS} from restitutions where restitution_id = any($1::uuid[]) order by restitution_id for update
"""
LOCK_APPROVED: Final = f"""
-- Lock what waits for the story of these cases.
select {COLUMNS} from restitutions where case_id = any($1::uuid[]) and status = 'approved' order by restitution_id for update
"""
ONE: Final = f"select {COLUMNS} from restitutions where restitution_id = $1"
OF_CASE: Final = f"""
-- All of a case, oldest first.
select {COLUMNS} from restitutions where case_id = $1 order by proposed_at, restitution_id
"""
NEWEST: Final = f"""
-- A page, newest first: of the locations and regions somebody sees (null: of all), before the cursor.
select {COLUMNS} from restitutions
where ($1::text[] is null or location_id = any($1) or region = any($2)) and ($3::uuid is null or restitution_id < $3)
    and ($4::text is null or status = $4)
order by restitution_id desc limit $5
"""
PAYING: Final = """
-- What a payout's state has the service woken for: to ask for it under the next token, or to look after the claim that is out.
select restitution_id::text as subject, case payout_state when 'due' then 'send' else 'look-' || payout_token end as name,
    case payout_state when 'due' then payout_token + 1 end as generation, null::timestamptz as due_at
from restitutions where payout_state in ('due', 'paying')
"""
WHOSE: Final = "select restitution_id, case_id from restitutions where restitution_id = any($1::uuid[])"
STANDING: Final = """
-- What is not at an end, by status.
select status, count(*)::int as restitutions from restitutions
where status in ('proposed', 'referred', 'approved', 'offered', 'accepted', 'payout_uncertain') group by status
"""
SAVE: Final = f"""
-- The restitutions as they are now; their rows are locked, or new.
insert into restitutions ({COLUMNS})
select {COLUMNS} from jsonb_to_recordset($1::jsonb) as r (restitution_id uuid, case_id uuid, kind text, amount_minor bigint, currency text,
    status text, version int, location_id text, region text, patient_ref text, requested_by text, proposed_at timestamptz, month text,
    approved_by text[], reason text, words text, decision jsonb, needs jsonb, trips jsonb, money text, payout_state text, payout_token int,
    payout_lease_until timestamptz, payout_looks int, offered_at timestamptz, settled_at timestamptz)
on conflict (restitution_id) do update set amount_minor = excluded.amount_minor, status = excluded.status, version = excluded.version,
    month = excluded.month, approved_by = excluded.approved_by, reason = excluded.reason, words = excluded.words,
    decision = excluded.decision, needs = excluded.needs, money = excluded.money, payout_state = excluded.payout_state,
    payout_token = excluded.payout_token, payout_lease_until = excluded.payout_lease_until, payout_looks = excluded.payout_looks,
    offered_at = excluded.offered_at, settled_at = excluded.settled_at
where restitutions.version <= excluded.version and restitutions.payout_token <= excluded.payout_token
"""
DECIDED: Final = "select visit_id from trips_decided where visit_id = any($1::uuid[])"
KEEP_TRIPS: Final = """
-- Each visit is decided about once: a visit that another transaction decided meanwhile fails the batch, which is then taken anew.
insert into trips_decided (visit_id, restitution_id) select * from unnest($1::uuid[], $2::uuid[]) as t (visit_id, restitution_id) order by 1
"""
GIFTS: Final = """
-- What this patient was given in kind since an instant, refused and taken back gifts left out.
select coalesce(sum(amount_minor), 0)::bigint from restitutions
where patient_ref = $1 and proposed_at >= $2 and kind = any($3::text[]) and status not in ('declined', 'reversed', 'expired')
"""


async def keep_cases(conn: Connection, copies: Collection[CaseCopy]) -> dict[UUID, CaseCopy]:
    """Keep the newest of each case, and give each as it is by now, locked."""
    newest: dict[UUID, CaseCopy] = {}
    for copy in copies:
        known = newest.get(copy.case_id)
        if known is None or known.version < copy.version:
            newest[copy.case_id] = copy
    if not newest:
        return {}
    ordered = [newest[key] for key in sorted(newest)]
    written = await conn.fetch(KEEP_CASES, *([getattr(copy, column) for copy in ordered] for column in CASE_COLUMNS))
    known_better = newest.keys() - {row["case_id"] for row in written}
    return newest | (await cases_of(conn, known_better) if known_better else {})


async def lock_cases(conn: Connection, ids: Iterable[UUID]) -> dict[UUID, CaseCopy]:
    """These cases, locked: they stand as they are until the transaction ends."""
    return {row["case_id"]: CaseCopy(**row) for row in await conn.fetch(LOCK_CASES, list(ids))}


async def cases_of(conn: Connection, ids: Iterable[UUID]) -> dict[UUID, CaseCopy]:
    """These cases as known, not locked."""
    return {row["case_id"]: CaseCopy(**row) for row in await conn.fetch(CASES, list(ids))}


async def case_of(conn: Connection, case_id: UUID) -> CaseCopy | None:
    """One case as known."""
    return (await cases_of(conn, [case_id])).get(case_id)


async def standing(pool: Pool) -> dict[str, int]:
    """How many restitutions are not at an end, by status."""
    return {row["status"]: row["restitutions"] for row in await pool.fetch(STANDING)}


async def whose(conn: Connection, ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """The cases of these restitutions, by restitution id."""
    return {row["restitution_id"]: row["case_id"] for row in await conn.fetch(WHOSE, list(ids))}


async def lock(conn: Connection, ids: Iterable[UUID]) -> dict[UUID, Restitution]:
    """These restitutions, locked."""
    return {row["restitution_id"]: _state(row) for row in await conn.fetch(LOCK, list(ids))}


async def lock_approved(conn: Connection, case_ids: Collection[UUID]) -> list[Restitution]:
    """What is approved and not offered of these cases, locked."""
    return [_state(row) for row in await conn.fetch(LOCK_APPROVED, list(case_ids))] if case_ids else []


async def one(conn: Connection, restitution_id: UUID) -> Restitution | None:
    """One restitution, not locked."""
    row = await conn.fetchrow(ONE, restitution_id)
    return _state(row) if row else None


async def of_case(conn: Connection, case_id: UUID) -> list[Restitution]:
    """A case's restitutions, oldest first."""
    return [_state(row) for row in await conn.fetch(OF_CASE, case_id)]


async def newest(
    conn: Connection, *, locations: Sequence[str] | None, regions: Sequence[str], before: UUID | None, status: str | None, limit: int
) -> list[Restitution]:
    """A page of `limit` + 1, newest first; `locations` None for who sees every store."""
    return [_state(row) for row in await conn.fetch(NEWEST, locations, list(regions), before, status, limit + 1)]


async def save(conn: Connection, states: Collection[Restitution]) -> None:
    """All of these as they are now. Raises AssertionError where a row would go back."""
    if not states:
        return
    done = await conn.execute(SAVE, [_row(state) for state in sorted(states, key=lambda s: s.restitution_id)])
    if done != f"INSERT 0 {len(states)}":
        raise AssertionError("a restitution was changed without its lock")


async def decided_trips(conn: Connection, visit_ids: Collection[UUID]) -> set[UUID]:
    """Which of these visits were decided about."""
    return {row["visit_id"] for row in await conn.fetch(DECIDED, list(visit_ids))} if visit_ids else set()


async def keep_trips(conn: Connection, trips: Mapping[UUID, UUID]) -> None:
    """These visits (visit → restitution) are decided about now."""
    if trips:
        await conn.execute(KEEP_TRIPS, list(trips), list(trips.values()))


async def gifts_minor(conn: Connection, patient_ref: str, since: datetime, kinds: Collection[str]) -> int:
    """In minor units."""
    total: int = await conn.fetchval(GIFTS, patient_ref, since, list(kinds))
    return total


CASE_COLUMNS: Final = tuple(field.name for field in fields(CaseCopy))
_AS_THEY_ARE: Final = (
    "kind", "amount_minor", "currency", "status", "version", "location_id", "region", "patient_ref", "requested_by", "month", "reason",
    "words", "money",
)  # fmt: skip


def _row(state: Restitution) -> dict[str, Any]:
    """The row as JSON; Postgres casts each column by its declared type."""
    payout = state.payout
    return {name: getattr(state, name) for name in _AS_THEY_ARE} | {
        "restitution_id": str(state.restitution_id),
        "case_id": str(state.case_id),
        "approved_by": list(state.approved_by),
        "decision": state.decision.model_dump(mode="json") if state.decision else None,
        "needs": state.needs.model_dump(mode="json") if state.needs else None,
        "trips": [_line(line) for line in state.trips],
        "payout_state": payout.state,
        "payout_token": payout.token,
        "payout_lease_until": _instant(payout.lease_until),
        "payout_looks": payout.looks,
        "proposed_at": _instant(state.created_at),
        "offered_at": _instant(state.offered_at),
        "settled_at": _instant(state.settled_at),
    }


def _line(line: TripLine) -> dict[str, str | None]:
    return {
        "visit_id": str(line.visit_id),
        "on": line.on.isoformat(),
        "miles": None if line.miles is None else f"{line.miles:f}",
        "cents_per_mile": None if line.cents_per_mile is None else f"{line.cents_per_mile:f}",
    }


def _state(row: asyncpg.Record) -> Restitution:
    return Restitution(
        restitution_id=row["restitution_id"],
        case_id=row["case_id"],
        approved_by=tuple(row["approved_by"]),
        decision=PolicyDecision.model_validate(row["decision"]) if row["decision"] else None,
        needs=Needs.model_validate(row["needs"]) if row["needs"] else None,
        trips=tuple(_trip(line) for line in row["trips"]),
        payout=Payout(row["payout_state"], row["payout_token"], row["payout_lease_until"], row["payout_looks"]),
        created_at=row["proposed_at"],
        offered_at=row["offered_at"],
        settled_at=row["settled_at"],
        **{name: row[name] for name in _AS_THEY_ARE},
    )


def _trip(line: Mapping[str, Any]) -> TripLine:
    miles, rate = (None if line[name] is None else Decimal(line[name]) for name in ("miles", "cents_per_mile"))
    return TripLine(UUID(line["visit_id"]), date.fromisoformat(line["on"]), miles, rate)


def _instant(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
