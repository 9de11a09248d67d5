"""Patients, cases, consents and conversations as rows. Called by the use cases, inside their transactions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from services.notification.domain.hear import CaseCopy
from services.notification.domain.judge import ConsentWord
from services.notification.domain.replies import Question
from shared.db import Connection
from shared.kernel.ids import new_id


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient as needed here; `wrapped_key`, `name` and `phone` are ciphertext."""

    patient_ref: str
    version: int
    wrapped_key: bytes
    name: bytes | None
    phone: bytes | None
    phone_index: str | None
    language: str
    payer_class: str
    location_id: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """A number, under its keyed hash. Times are business time."""

    number_index: str
    opted_out_at: datetime | None = None
    opted_in_at: datetime | None = None
    first_texted_at: datetime | None = None
    last_case_id: UUID | None = None
    question_kind: str | None = None
    question_options: list[str] | None = None
    question_at: datetime | None = None

    @property
    def question(self) -> Question | None:
        """What it was asked last, if that is open."""
        if self.question_kind not in ("acknowledge", "message") or not self.question_options:
            return None
        return Question("acknowledge" if self.question_kind == "acknowledge" else "message", tuple(self.question_options))

    def asked(self, question: Question | None, at: datetime) -> "Conversation":
        """With another question, or none."""
        if question is None:
            return replace(self, question_kind=None, question_options=None, question_at=None)
        return replace(self, question_kind=question.kind, question_options=list(question.options), question_at=at)


def _columns(of: type[Any]) -> str:
    """The columns that a row is read as: the fields, in their order."""
    return ", ".join(field.name for field in fields(of))


LOCK_CASES = f"""
-- Cases by id, locked.
select {_columns(CaseCopy)} from cases where case_id = any($1::uuid[]) order by case_id for update
"""
CASES = f"""
-- Cases by id.
select {_columns(CaseCopy)} from cases where case_id = any($1::uuid[])
"""
SAVE_CASES = """
-- The newest version of each case wins.
insert into cases
    (case_id, version, reference, status, level, severity, catalyst, location_id, region, patient_ref, owner_staff_id, generation)
select case_id, version, reference, status, level, severity, catalyst, location_id, region, patient_ref, owner_staff_id, generation
from jsonb_populate_recordset(null::cases, $1) order by case_id
on conflict (case_id) do update set version = excluded.version, reference = excluded.reference, status = excluded.status,
    level = excluded.level, severity = excluded.severity, catalyst = excluded.catalyst, location_id = excluded.location_id,
    region = excluded.region, patient_ref = excluded.patient_ref, owner_staff_id = excluded.owner_staff_id, generation = excluded.generation
where cases.version < excluded.version
"""
OPEN_CASES = """
-- Open cases of everybody who shares a number, newest first.
select c.case_id, c.reference, c.patient_ref from cases c join patients p using (patient_ref)
where p.phone_index = $1 and c.status in ('open', 'acknowledged') order by c.created_at desc limit 50
"""
PATIENTS = f"""
-- Patients by reference.
select {_columns(Patient)} from patients where patient_ref = any($1::text[])
"""
SHARING = """
-- Everybody who shares a number.
select patient_ref from patients where phone_index = $1 order by patient_ref
"""
SAVE_PATIENTS = """
-- The newest version of each patient wins.
insert into patients (patient_ref, version, wrapped_key, name, phone, phone_index, language, payer_class, location_id)
select * from unnest($1::text[], $2::int[], $3::bytea[], $4::bytea[], $5::bytea[], $6::text[], $7::text[], $8::text[], $9::text[])
on conflict (patient_ref) do update set version = excluded.version, wrapped_key = excluded.wrapped_key, name = excluded.name,
    phone = excluded.phone, phone_index = excluded.phone_index, language = excluded.language, payer_class = excluded.payer_class,
    location_id = excluded.location_id
where patients.version < excluded.version
"""
CONSENTS = f"""
-- Every word on consent of these patients, oldest first.
select {_columns(ConsentWord)} from consents where patient_ref = any($1::text[]) order by at, consent_id
"""
ADD_CONSENTS = """
-- Words on consent; one that is known already is left out.
insert into consents (consent_id, patient_ref, purpose, granted, at, source, recorded_by)
select * from unnest($1::uuid[], $2::text[], $3::text[], $4::boolean[], $5::timestamptz[], $6::text[], $7::text[])
on conflict do nothing
"""
ENSURE_CONVERSATIONS = """
-- A row per number.
insert into conversations (number_index) select unnest($1::text[]) order by 1 on conflict do nothing
"""
LOCK_CONVERSATIONS = f"""
-- Conversations by number, locked.
select {_columns(Conversation)} from conversations where number_index = any($1::text[]) order by number_index for update
"""
CONVERSATIONS = f"""
-- Conversations by number.
select {_columns(Conversation)} from conversations where number_index = any($1::text[])
"""
SAVE_CONVERSATIONS = """
-- Conversations after a text or an answer.
update conversations c set opted_out_at = r.opted_out_at, opted_in_at = r.opted_in_at, first_texted_at = r.first_texted_at,
    last_case_id = r.last_case_id, question_kind = r.question_kind, question_options = r.question_options, question_at = r.question_at
from jsonb_populate_recordset(null::conversations, $1) r where c.number_index = r.number_index
"""


async def cases(conn: Connection, ids: Iterable[UUID], *, locked: bool = False) -> dict[UUID, CaseCopy]:
    """Copies of cases by id."""
    wanted = list(set(ids))
    rows = await conn.fetch(LOCK_CASES if locked else CASES, wanted) if wanted else ()
    return {row["case_id"]: CaseCopy(*row) for row in rows}


async def save_cases(conn: Connection, copies: Iterable[CaseCopy]) -> None:
    """Keep the newest version of each."""
    rows = list(copies)
    if rows:
        await conn.execute(SAVE_CASES, rows)


async def open_cases(conn: Connection, number_index: str) -> list[tuple[UUID, str, str]]:
    """(case, reference, patient) open for everybody who shares the number, newest first."""
    return [(row["case_id"], row["reference"], row["patient_ref"]) for row in await conn.fetch(OPEN_CASES, number_index)]


async def patients(conn: Connection, refs: Iterable[str | None]) -> dict[str, Patient]:
    """Patients by reference."""
    wanted = sorted({ref for ref in refs if ref is not None})
    rows = await conn.fetch(PATIENTS, wanted) if wanted else ()
    return {row["patient_ref"]: Patient(*row) for row in rows}


async def sharing(conn: Connection, number_index: str) -> list[str]:
    """The patients who share a number."""
    return [row["patient_ref"] for row in await conn.fetch(SHARING, number_index)]


async def save_patients(conn: Connection, people: Sequence[Patient]) -> None:
    """Keep the newest version of each; one row per patient, please."""
    if people:
        ordered = sorted(people, key=lambda p: p.patient_ref)
        columns = [[getattr(p, f.name) for p in ordered] for f in fields(Patient)]
        await conn.execute(SAVE_PATIENTS, *columns)


async def consents(conn: Connection, refs: Iterable[str | None]) -> dict[str, list[ConsentWord]]:
    """Every word on consent, oldest first, by patient."""
    wanted = sorted({ref for ref in refs if ref is not None})
    found: dict[str, list[ConsentWord]] = {}
    for row in await conn.fetch(CONSENTS, wanted) if wanted else ():
        found.setdefault(row["patient_ref"], []).append(ConsentWord(*row))
    return found


async def add_consents(conn: Connection, words: Sequence[ConsentWord]) -> None:
    """Append words that are not known yet."""
    if words:
        columns = [[getattr(w, f.name) for w in words] for f in fields(ConsentWord)]
        await conn.execute(ADD_CONSENTS, [new_id() for _ in words], *columns)


async def conversations(conn: Connection, indexes: Iterable[str | None], *, locked: bool = False) -> dict[str, Conversation]:
    """Conversations by number; locked ones are made where missing."""
    wanted = sorted({index for index in indexes if index is not None})
    if not wanted:
        return {}
    if locked:
        await conn.execute(ENSURE_CONVERSATIONS, wanted)
    rows = await conn.fetch(LOCK_CONVERSATIONS if locked else CONVERSATIONS, wanted)
    return {row["number_index"]: Conversation(*row) for row in rows}


async def save_conversations(conn: Connection, changed: Iterable[Conversation]) -> None:
    """Write conversations that were locked before."""
    rows = list(changed)
    if rows:
        await conn.execute(SAVE_CONVERSATIONS, rows)
