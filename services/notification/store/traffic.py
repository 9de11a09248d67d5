"""What comes from outside as rows: messages, delivery reports, bodies in quarantine; and the links that went out."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from uuid import UUID

from shared.db import Connection
from shared.kernel.ids import new_id

KEEP_MESSAGE = """
-- A text from somebody, once per id of the provider.
insert into messages
    (message_id, provider_sid, number_index, sender, body, sealed_for, case_id, patient_ref, staff_id, meaning, received_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) on conflict (provider_sid) do nothing returning message_id
"""
IS_KNOWN = "-- Whether this message was taken already.\nselect true from messages where provider_sid = $1"
GIVE_TO_CASE = """
-- Words that waited for an answer to "which case" belong to the case that was named.
update messages set case_id = $3, patient_ref = $4 where number_index = $1 and case_id is null and meaning = 'choice' and received_at >= $2
"""
MESSAGES_OF = "-- What people wrote about a case, oldest first.\nselect * from messages where case_id = $1 order by created_at limit 500"
KEEP_CALLBACK = """
-- A delivery report, each kind once per message.
insert into callbacks (provider_sid, provider_status, notice_id, error_code, applied) values ($1, $2, $3, $4, $5)
on conflict do nothing returning provider_sid
"""
WAITING_CALLBACKS = """
-- Reports that came before we knew the message; from now on they count as applied.
update callbacks set applied = true where provider_sid = any($1::text[]) and not applied returning provider_sid, provider_status, error_code
"""
ADD_LINKS = """
-- Links that are about to go out.
insert into links (link_id, case_id, notice_id, token_hash, issued_at, expires_at)
select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::timestamptz[])
"""
QUARANTINE = "-- A body nobody signed.\ninsert into quarantined (quarantine_id, path, reason, body) values ($1, $2, $3, $4)"


@dataclass(frozen=True, slots=True)
class Message:
    """A text from somebody; `sender` and `body` are ciphertext, under the key of patient `sealed_for`, else the master key."""

    message_id: UUID
    provider_sid: str
    number_index: str
    sender: bytes
    body: bytes
    sealed_for: str | None
    case_id: UUID | None
    patient_ref: str | None
    staff_id: str | None
    meaning: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Link:
    """A patient link; the hash is SHA-256 in hex of the secret."""

    link_id: UUID
    case_id: UUID
    notice_id: UUID
    token_hash: str
    issued_at: datetime
    expires_at: datetime


async def is_known(conn: Connection, provider_sid: str) -> bool:
    """Whether this message of the provider was taken already."""
    return bool(await conn.fetchval(IS_KNOWN, provider_sid))


async def keep_message(conn: Connection, message: Message) -> bool:
    """Keep it; False where it is known already."""
    return await conn.fetchval(KEEP_MESSAGE, *astuple(message)) is not None


async def give_to_case(conn: Connection, number_index: str, since: datetime, case_id: UUID, patient_ref: str | None) -> None:
    """What was written before the question was answered belongs to `case_id`."""
    await conn.execute(GIVE_TO_CASE, number_index, since, case_id, patient_ref)


async def messages_of(conn: Connection, case_id: UUID) -> list[Message]:
    """What people wrote about a case, oldest first."""
    rows = await conn.fetch(MESSAGES_OF, case_id)
    return [Message(*(row[name] for name in Message.__slots__)) for row in rows]


async def keep_callback(conn: Connection, sid: str, status: str, notice_id: UUID | None, code: str | None, *, applied: bool) -> bool:
    """Keep a report; False where this kind came before."""
    return await conn.fetchval(KEEP_CALLBACK, sid, status, notice_id, code, applied) is not None


async def waiting_callbacks(conn: Connection, sids: Sequence[str]) -> dict[str, list[tuple[str, str | None]]]:
    """(status, error code) of the reports that came too early, by message, taken."""
    found: dict[str, list[tuple[str, str | None]]] = {}
    for row in await conn.fetch(WAITING_CALLBACKS, list(sids)) if sids else ():
        found.setdefault(row["provider_sid"], []).append((row["provider_status"], row["error_code"]))
    return found


async def add_links(conn: Connection, links: Sequence[Link]) -> None:
    """Keep what is about to go out."""
    if links:
        await conn.execute(ADD_LINKS, *([getattr(link, name) for link in links] for name in Link.__slots__))


async def quarantine(conn: Connection, path: str, reason: str, body: bytes) -> None:
    """Keep a copy of what could not be believed; `body` is ciphertext."""
    await conn.execute(QUARANTINE, new_id(), path, reason, body)
