"""Stories and notes, sealed, and the keys they are sealed under."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from services.escalation.store.rows import columns
from shared.db import Connection

PUT_PATIENTS: Final = """
-- Patients' keys; an older version never replaces a newer one.
insert into patients (patient_ref, wrapped_key, version) select * from unnest($1::text[], $2::bytea[], $3::int[])
on conflict (patient_ref) do update set wrapped_key = excluded.wrapped_key, version = excluded.version
where patients.version < excluded.version
"""
PATIENT_KEYS: Final = "select patient_ref, wrapped_key from patients where patient_ref = any($1::text[])"
CASE_KEYS: Final = "select case_id, wrapped_key from case_keys where case_id = any($1::uuid[])"
PUT_CASE_KEY: Final = "insert into case_keys (case_id, wrapped_key) values ($1, $2)"
PUT_WORDS: Final = """
-- Words, sealed.
insert into case_words (word_id, case_id, field, sealed, patient_ref, at, by)
select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::timestamptz[], $7::text[])
"""
STORIES: Final = """
-- The newest words of the story of each of these cases.
select distinct on (case_id, field) word_id, case_id, field, sealed, patient_ref, at, by from case_words
where case_id = any($1::uuid[]) and field in ('verbatim', 'wished_outcome') order by case_id, field, at desc, word_id desc
"""
NOTES: Final = """
-- The notes of a case, oldest first.
select word_id, case_id, field, sealed, patient_ref, at, by from case_words
where case_id = $1 and field not in ('verbatim', 'wished_outcome') order by at, word_id limit 500
"""


@dataclass(frozen=True, slots=True)
class Sealed:
    """Words as they are kept: under the key of `patient_ref`, else of the case."""

    word_id: UUID
    case_id: UUID
    field: str
    sealed: bytes
    patient_ref: str | None
    at: datetime
    by: str


async def put_patients(conn: Connection, keys: Mapping[str, tuple[bytes, int]]) -> None:
    """Wrapped keys with their versions, by patient."""
    await conn.execute(PUT_PATIENTS, list(keys), *columns(list(keys.values())))


async def patient_keys(conn: Connection, refs: Iterable[str]) -> dict[str, bytes]:
    """Wrapped keys of these patients, as far as they are known."""
    return {row["patient_ref"]: row["wrapped_key"] for row in await conn.fetch(PATIENT_KEYS, sorted(set(refs)))}


async def case_keys(conn: Connection, case_ids: Iterable[UUID]) -> dict[UUID, bytes]:
    """The cases' own wrapped keys, where they have one."""
    return {row["case_id"]: row["wrapped_key"] for row in await conn.fetch(CASE_KEYS, list(case_ids))}


async def put_case_key(conn: Connection, case_id: UUID, wrapped: bytes) -> None:
    """The own key of a case; the caller holds the case's lock."""
    await conn.execute(PUT_CASE_KEY, case_id, wrapped)


async def put_words(conn: Connection, words: Sequence[Sealed]) -> None:
    """Keep sealed words."""
    if words:
        await conn.execute(PUT_WORDS, *columns([(w.word_id, w.case_id, w.field, w.sealed, w.patient_ref, w.at, w.by) for w in words]))


async def stories(conn: Connection, case_ids: Iterable[UUID]) -> list[Sealed]:
    """The story's newest words of these cases."""
    return [Sealed(**row) for row in await conn.fetch(STORIES, list(case_ids))]


async def notes(conn: Connection, case_id: UUID) -> list[Sealed]:
    """Notes, and what was written beside actions and resolutions."""
    return [Sealed(**row) for row in await conn.fetch(NOTES, case_id)]
