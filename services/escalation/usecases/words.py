"""Words of patients and staff: sealed under the patient's key, else under the case's own; opened for who may read the case.

Invariant: plain words live as long as the request; they are in no event, no audit row and no log.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.escalation import store
from services.escalation.domain.case import Case
from services.escalation.store import Sealed
from services.escalation.usecases.desk import Desk
from shared.db import Connection
from shared.kernel.ids import new_id
from shared.messaging import Transaction
from shared.vault import Unreadable

TABLE = "case_words"


@dataclass(frozen=True, slots=True)
class Story:
    """The patient's own words; None where nobody wrote any down, or the patient was erased."""

    verbatim: str | None = None
    wished_outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """Words of a member of staff. `field` tells beside what: note, action, resolution, reopening."""

    field: str
    text: str | None
    at: datetime
    by: str


async def keep(desk: Desk, tx: Transaction, case: Case, words: Mapping[str, str], by: str) -> None:
    """Seal and keep words by field. The caller holds the case's lock."""
    if not words:
        return
    ref = case.patient_ref
    wrapped = (await store.patient_keys(tx.conn, [ref])).get(ref) if ref else None
    if wrapped is None:
        ref, wrapped = None, await _own_key(desk, tx, case)
    key = desk.vault.unwrap(wrapped)
    rows = []
    for field, text in words.items():
        word_id = new_id()
        rows.append(Sealed(word_id, case.case_id, field, key.seal(text, TABLE, str(word_id), field), ref, tx.now, by))
    await store.put_words(tx.conn, rows)


async def stories(desk: Desk, conn: Connection, cases: Iterable[Case]) -> dict[UUID, Story]:
    """The stories of these cases."""
    told: dict[UUID, dict[str, str | None]] = {case.case_id: {} for case in cases}
    for word, text in await _opened(desk, conn, await store.stories(conn, told)):
        told[word.case_id][word.field] = text
    return {case_id: Story(**fields) for case_id, fields in told.items()}


async def notes(desk: Desk, conn: Connection, case: Case) -> list[Note]:
    """What staff wrote, oldest first."""
    return [Note(word.field, text, word.at, word.by) for word, text in await _opened(desk, conn, await store.notes(conn, case.case_id))]


async def _own_key(desk: Desk, tx: Transaction, case: Case) -> bytes:
    found = (await store.case_keys(tx.conn, [case.case_id])).get(case.case_id)
    if found is not None:
        return found
    _, wrapped = desk.vault.new_key()
    await store.put_case_key(tx.conn, case.case_id, wrapped)
    return wrapped


async def _opened(desk: Desk, conn: Connection, words: Sequence[Sealed]) -> list[tuple[Sealed, str | None]]:
    if not words:
        return []
    of_patients = await store.patient_keys(conn, (word.patient_ref for word in words if word.patient_ref))
    of_cases = await store.case_keys(conn, {word.case_id for word in words})
    found: list[tuple[Sealed, str | None]] = []
    for word in words:
        wrapped = of_patients.get(word.patient_ref) if word.patient_ref else of_cases.get(word.case_id)
        found.append((word, _open(desk, word, wrapped)))
    return found


def _open(desk: Desk, word: Sealed, wrapped: bytes | None) -> str | None:
    """None where the key is gone: the patient was erased."""
    if wrapped is None:
        return None
    try:
        return desk.vault.unwrap(wrapped).open(word.sealed, TABLE, str(word.word_id), word.field)
    except Unreadable:
        return None
