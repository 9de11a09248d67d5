"""Notices as rows. Called by the use cases, inside their transactions.

Locks are taken in the order of the ids, so two transactions that wake the same notices wait for one another instead of dying.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.notification.domain.judge import Told
from services.notification.domain.notice import Notice
from shared.db import Connection, Pool

# The columns of a notice's state are the fields of `Notice`, in their order.
_TYPES = {
    "notice_id": "uuid", "case_id": "uuid", "audience": "text", "template": "text", "cause": "text", "recipient": "text",
    "queued_at": "timestamptz", "send_at": "timestamptz", "status": "text", "reason": "text", "staff_id": "text", "patient_ref": "text",
    "number_index": "text", "generation": "int", "facts": "jsonb", "is_answer": "bool", "typed_by": "text", "carried_by": "uuid",
    "segments": "int", "attempt": "int", "token": "int", "tries": "int", "looks": "int", "rank": "int", "sent_at": "timestamptz",
    "version": "int", "storm_id": "uuid", "storm_size": "int", "channel": "text",
}  # fmt: skip
_STATE = ", ".join(_TYPES)
_CHANGES = (
    "notice_id", "status", "reason", "number_index", "carried_by", "segments", "attempt", "token", "tries", "looks", "rank", "send_at",
    "sent_at", "version",
)  # fmt: skip
# What the sender needs besides the state; bytes are ciphertext, times are the machine's.
_SENDING = "seq, body, to_number, lease_until, left_at, provider_sid, traceparent"


def _sets(types: Iterable[str]) -> str:
    """`unnest` of one array for each of these types."""
    return f"unnest({', '.join(f'${n}::{kind}[]' for n, kind in enumerate(types, 1))})"


INSERT = f"""
-- New notices; one that was wished for by the same cause already is left out.
insert into notices ({_STATE}, body, to_number)
select {_STATE}, body, to_number from {_sets((*_TYPES.values(), "bytea", "bytea"))} with ordinality
    as n ({_STATE}, body, to_number, place) order by place
on conflict do nothing returning notice_id
"""
SAVE = f"""
-- The state after a decision; who it is for never changes.
update notices n set {", ".join(f"{name} = r.{name}" for name in _CHANGES[1:])}
from {_sets(_TYPES[name] for name in _CHANGES)} as r ({", ".join(_CHANGES)}) where n.notice_id = r.notice_id
"""
_SEALED = {"body": "bytea", "to_number": "bytea", "lease_until": "timestamptz", "traceparent": "text"}
INTEND = f"""
-- The state of what is about to leave, with its text and number as they will, and until when (machine time) the sender may be silent.
update notices n set {", ".join(f"{name} = r.{name}" for name in (*_CHANGES[1:], *_SEALED))}, left_at = null
from {_sets((*(_TYPES[name] for name in _CHANGES), *_SEALED.values()))} as r ({", ".join((*_CHANGES, *_SEALED))})
where n.notice_id = r.notice_id
"""
LOCK = f"""
-- Notices by id, locked.
select {_STATE}, {_SENDING} from notices where notice_id = any($1::uuid[]) order by notice_id for update
"""
LOCK_WAKING = f"""
-- The notices that woke, and those for the same numbers that are due by now as well.
select {_STATE}, {_SENDING} from notices where notice_id in (
    select unnest($1::uuid[]) union select w.notice_id from notices w where w.status in ('queued', 'held') and w.send_at <= $2
        and w.number_index in (select number_index from notices where notice_id = any($1::uuid[]) and number_index is not null))
order by notice_id for update
"""
LOCK_SENT = f"""
-- Texts that left with all they tell.
select {_STATE}, {_SENDING} from notices where notice_id = any($1::uuid[]) or carried_by = any($1::uuid[]) order by notice_id for update
"""
LOCK_WAITING_PAGES = f"""
-- Pages of these cases that have not left yet.
select {_STATE}, {_SENDING} from notices where case_id = any($1::uuid[]) and audience = 'staff' and status in ('queued', 'held')
order by notice_id for update
"""
LOCK_WAITING_FOR_NUMBER = f"""
-- Everything that waits for one number.
select {_STATE}, {_SENDING} from notices where number_index = $1 and status in ('queued', 'held') order by notice_id for update
"""
OF_CASE = f"""
-- All notices of a case, oldest first.
select {_STATE}, {_SENDING} from notices where case_id = $1 order by seq limit 500
"""
BY_SID = """
-- The notice that the provider knows by this id.
select notice_id from notices where provider_sid = $1
"""
COUNTED = """
-- When texts that count for the cadence left to these patients since $2; one text that told several things counts once.
select patient_ref, coalesce(sent_at, send_at) as at from notices
where patient_ref = any($1::text[]) and audience = 'patient' and not is_answer and carried_by is null
  and status in ('sending', 'sent', 'delivered', 'undelivered', 'uncertain') and coalesce(sent_at, send_at) > $2
"""
PAGED_AT = """
-- When pages left to these numbers since $2; one text that told of several cases counts once. A page that waited was due days ago at most.
select number_index, coalesce(sent_at, send_at) as at, case_id, template from notices
where number_index = any($1::text[]) and audience = 'staff' and not is_answer and carried_by is null
  and status in ('sending', 'sent', 'delivered', 'undelivered', 'uncertain')
  and send_at > $2::timestamptz - interval '1 day' and coalesce(sent_at, send_at) > $2
"""
HEARD_OF_STORMS = """
-- How many pages of these storms were heard of already, by storm and recipient (a person by one channel).
select storm_id, recipient, count(*)::int as pages from notices where storm_id = any($1::uuid[]) group by 1, 2
"""
LOCK_STORM = f"""
-- Pages that wait for the rest of their storms, by storm and recipient.
select {_STATE}, {_SENDING} from notices n where n.status = 'held' and n.reason = 'storm'
    and (n.storm_id, n.recipient) in (select * from unnest($1::uuid[], $2::text[]))
order by n.notice_id for update
"""
LET_GO = """
-- The last look before the first byte leaves: still this sender's turn, and the number has not opted out (but for the answers to that).
update notices n set left_at = $4 from unnest($1::uuid[], $2::int[], $3::bool[]) as a (notice_id, token, is_for_stopped)
where n.notice_id = a.notice_id and n.token = a.token and n.status = 'sending' and n.left_at is null and n.lease_until > $4
  and (a.is_for_stopped or not exists (select 1 from conversations c where c.number_index = n.number_index and c.opted_out_at is not null))
returning n.notice_id
"""
EXPIRED = f"""
-- Sends whose sender has been silent for longer than its lease, and where no byte left those with a lease that ends before $3 too. A notice
-- that is carried follows its carrier.
select {_STATE}, {_SENDING} from notices where status = 'sending' and carried_by is null
  and lease_until < greatest($1::timestamptz, $3::timestamptz) and (lease_until < $1 or left_at is null)
order by notice_id limit $2 for update skip locked
"""
LEASE = """
-- Until when the next look is waited for, and how often was looked.
update notices set lease_until = $2, looks = $3 where notice_id = $1
"""
SAVE_KNOWN = f"""
-- The state after an answer, and the provider's id of the text (null for one that another carried): the first that was told stays.
update notices n set {", ".join(f"{name} = r.{name}" for name in _CHANGES[1:])}, provider_sid = coalesce(n.provider_sid, r.sid)
from {_sets((*(_TYPES[name] for name in _CHANGES), "text"))} as r ({", ".join(_CHANGES)}, sid) where n.notice_id = r.notice_id
"""
OTHER_SIDS = """
-- Provider ids that belong to other notices for this number.
select provider_sid from notices where number_index = $1 and provider_sid is not null and notice_id <> $2
"""
NUMBERS = """
-- The numbers these notices go to, not locked.
select distinct number_index from notices where notice_id = any($1::uuid[]) and number_index is not null
"""
OPEN_PAGES = """
-- Cases this number was paged for that wait for somebody still, newest page first.
select n.case_id, c.reference, (array_agg(n.staff_id order by n.seq desc))[1] as staff_id
from notices n join cases c using (case_id)
where n.number_index = $1 and n.audience = 'staff' and n.template in ('page', 'page_again', 'assigned') and c.status = 'open'
  and n.status in ('sending', 'sent', 'delivered', 'undelivered', 'uncertain')
group by n.case_id, c.reference order by max(n.seq) desc limit 50
"""
STANDING = """
-- The notices that are not at an end, by status; each branch by an index of its own.
select status, count(*)::int as notices from notices where status in ('queued', 'held') group by status
union all select 'sending', count(*)::int from notices where status = 'sending'
union all select 'uncertain', count(*)::int from notices where status = 'uncertain'
"""
WAITING = """
-- What a notice's state has the service woken for: it waits for its time to leave.
select notice_id::text as subject, 'send' as name, attempt as generation, send_at as due_at from notices
where status in ('queued', 'held')
"""
CASES_OF = "select notice_id, case_id from notices where notice_id = any($1::uuid[]) and case_id is not null"
PAGED = """
-- The member of staff that was paged at this number last.
select staff_id from notices where number_index = $1 and audience = 'staff' and staff_id is not null order by seq desc limit 1
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A notice with its place in the order (`seq`) and what its sender needs.

    `body` and `to_number` are ciphertext; `lease_until` and `left_at` (when its first byte left) are machine time;
    `traceparent` is the trace it left in, which what the provider says of it later goes on in.
    """

    notice: Notice
    seq: int
    body: bytes | None
    to_number: bytes | None
    lease_until: datetime | None
    left_at: datetime | None
    provider_sid: str | None
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is kept of a text that is about to leave."""

    body: bytes
    to_number: bytes
    lease_until: datetime
    traceparent: str | None


async def insert(conn: Connection, notices: Sequence[Notice], sealed: Mapping[UUID, Mapping[str, bytes]] | None = None) -> set[UUID]:
    """Write new notices and return the ids of those that are new; `sealed` gives ciphertexts by notice (`body`, `to_number`)."""
    if not notices:
        return set()
    secrets = sealed or {}
    columns = [[getattr(n, name) for n in notices] for name in _TYPES]
    columns += [[secrets.get(n.notice_id, {}).get(part) for n in notices] for part in ("body", "to_number")]
    return {row["notice_id"] for row in await conn.fetch(INSERT, *columns)}


async def save(conn: Connection, notices: Sequence[Notice]) -> None:
    """Write the states after their decisions."""
    if notices:
        await conn.execute(SAVE, *([getattr(n, name) for n in notices] for name in _CHANGES))


async def intend(conn: Connection, intents: Sequence[tuple[Notice, Sealed]]) -> None:
    """Write what is about to leave: each row once, with its state."""
    if intents:
        columns = [[getattr(notice, name) for notice, _ in intents] for name in _CHANGES]
        await conn.execute(INTEND, *columns, *([getattr(sealed, name) for _, sealed in intents] for name in _SEALED))


async def lock(conn: Connection, ids: Sequence[UUID]) -> list[Row]:
    """Notices by id, locked."""
    return _rows(await conn.fetch(LOCK, list(ids)))


async def lock_waking(conn: Connection, ids: Sequence[UUID], now: datetime) -> list[Row]:
    """The notices `ids` and those for the same numbers that are due at `now` too, locked."""
    return _rows(await conn.fetch(LOCK_WAKING, list(ids), now))


async def lock_sent(conn: Connection, notice_ids: Sequence[UUID]) -> dict[UUID, list[Row]]:
    """Notices, each with those it carries, itself first, locked; unknown ones are absent."""
    rows = _rows(await conn.fetch(LOCK_SENT, list(notice_ids)))
    found = {row.notice.notice_id: [row] for row in rows if row.notice.notice_id in set(notice_ids)}
    for row in rows:
        if row.notice.carried_by in found:
            found[row.notice.carried_by].append(row)
    return found


async def lock_waiting_pages(conn: Connection, case_ids: Sequence[UUID]) -> list[Row]:
    """Pages of these cases that wait, locked."""
    return _rows(await conn.fetch(LOCK_WAITING_PAGES, list(case_ids))) if case_ids else []


async def lock_waiting_for(conn: Connection, number_index: str) -> list[Row]:
    """Everything that waits for a number, locked."""
    return _rows(await conn.fetch(LOCK_WAITING_FOR_NUMBER, number_index))


async def of_case(conn: Connection, case_id: UUID) -> list[Row]:
    """A case's notices, oldest first, at most 500."""
    return _rows(await conn.fetch(OF_CASE, case_id))


async def by_sid(conn: Connection, sid: str) -> UUID | None:
    """The notice the provider knows as `sid`."""
    found: UUID | None = await conn.fetchval(BY_SID, sid)
    return found


async def counted(conn: Connection, patient_refs: Sequence[str], since: datetime) -> dict[str, list[datetime]]:
    """When texts that count left, by patient."""
    found: dict[str, list[datetime]] = {}
    for row in await conn.fetch(COUNTED, list(patient_refs), since) if patient_refs else ():
        found.setdefault(row["patient_ref"], []).append(row["at"])
    return found


async def paged_at(conn: Connection, numbers: Sequence[str], since: datetime) -> dict[str, list[Told]]:
    """The pages that left, by number."""
    found: dict[str, list[Told]] = {}
    for row in await conn.fetch(PAGED_AT, list(numbers), since) if numbers else ():
        found.setdefault(row["number_index"], []).append(Told(row["at"], row["case_id"], row["template"]))
    return found


async def heard_of_storms(conn: Connection, storm_ids: Sequence[UUID]) -> dict[tuple[UUID, str], int]:
    """How many pages of these storms are here, by storm and person."""
    rows = await conn.fetch(HEARD_OF_STORMS, list(storm_ids))
    return {(row["storm_id"], row["recipient"]): row["pages"] for row in rows}


async def lock_storm(conn: Connection, of: Sequence[tuple[UUID, str]]) -> list[Row]:
    """Pages that wait for the rest of a storm, locked."""
    return _rows(await conn.fetch(LOCK_STORM, [storm for storm, _ in of], [person for _, person in of])) if of else []


async def let_go(conn: Connection | Pool, senders: Sequence[tuple[UUID, int, bool]], machine_now: datetime) -> set[UUID]:
    """Which of these senders (notice, token, whether it may go to who opted out) may send now; that they did is written first."""
    return {row["notice_id"] for row in await conn.fetch(LET_GO, *(list(column) for column in zip(*senders, strict=True)), machine_now)}


async def expired(conn: Connection, machine_now: datetime, most: int, *, never_left_before: datetime | None = None) -> list[Row]:
    """Sends that were not answered within their lease, locked; those another process looks at are left out.

    `never_left_before`: of those that no byte left of also what has a lease until before this (machine time).
    """
    return _rows(await conn.fetch(EXPIRED, machine_now, most, never_left_before or machine_now))


async def lease(conn: Connection, notice_id: UUID, until: datetime, looks: int) -> None:
    """Wait until `until` (machine time) for the next look."""
    await conn.execute(LEASE, notice_id, until, looks)


async def save_known(conn: Connection, notices: Sequence[Notice], sids: Mapping[UUID, str]) -> None:
    """Write the states after the provider told of these texts, and the id it knows each by (`sids`, by notice)."""
    if notices:
        columns = [[getattr(n, name) for n in notices] for name in _CHANGES]
        await conn.execute(SAVE_KNOWN, *columns, [sids.get(n.notice_id) for n in notices])


async def other_sids(conn: Connection, number_index: str, notice_id: UUID) -> frozenset[str]:
    """Provider ids that are taken by other texts to the same number."""
    return frozenset(row["provider_sid"] for row in await conn.fetch(OTHER_SIDS, number_index, notice_id))


async def standing(pool: Pool) -> dict[str, int]:
    """How many notices are not at an end, by status."""
    return {row["status"]: row["notices"] for row in await pool.fetch(STANDING)}


async def numbers_of(conn: Connection, ids: Sequence[UUID]) -> list[str]:
    """The numbers (keyed hashes) that notices go to."""
    return [row["number_index"] for row in await conn.fetch(NUMBERS, list(ids))]


async def open_pages(conn: Connection, number_index: str) -> list[tuple[UUID, str, str]]:
    """(case, reference, staff id) that a number was paged for and nobody acknowledged, newest first."""
    return [(row["case_id"], row["reference"], row["staff_id"]) for row in await conn.fetch(OPEN_PAGES, number_index)]


async def cases_of(conn: Connection, ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """The cases that notices are about, by notice id."""
    return {row["notice_id"]: row["case_id"] for row in await conn.fetch(CASES_OF, list(ids))}


async def paged(conn: Connection, number_index: str) -> str | None:
    """Who was paged at this number last."""
    found: str | None = await conn.fetchval(PAGED, number_index)
    return found


def _rows(rows: Sequence[Any]) -> list[Row]:
    return [Row(Notice(*columns[: len(_TYPES)]), *columns[len(_TYPES) :]) for columns in map(tuple, rows)]
