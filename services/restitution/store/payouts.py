"""The book of codes. Its calls are transactions of their own: a code that was issued stays issued, whatever becomes of the caller."""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from shared.db import DATABASE_DOWN, Connection, Pool
from shared.kernel.errors import Transient

ISSUE: Final = """
-- One code for each payout: the first one stays, and is what everybody after gets.
insert into payout_codes (payout_id, code, amount_minor, currency) values ($1, $2, $3, $4)
on conflict (payout_id) do update set payout_id = excluded.payout_id returning code
"""
FIND: Final = "select code from payout_codes where payout_id = $1 and voided_at is null"
VOID: Final = "update payout_codes set voided_at = clock_timestamp() where payout_id = any($1::uuid[]) and voided_at is null"


async def issue_code(pool: Pool, payout_id: UUID, code: str, amount_minor: int, currency: str) -> str:
    """The payout's code: this one, or the one it has. Raises Transient where the database does not answer."""
    try:
        kept: str = await pool.fetchval(ISSUE, payout_id, code, amount_minor, currency)
    except DATABASE_DOWN as error:
        raise Transient("the database does not answer") from error
    return kept


async def find_code(pool: Pool, payout_id: UUID) -> str | None:
    """The payout's code unless it was taken back. Raises Transient where the database does not answer."""
    try:
        found: str | None = await pool.fetchval(FIND, payout_id)
    except DATABASE_DOWN as error:
        raise Transient("the database does not answer") from error
    return found


async def void_codes(conn: Connection, payout_ids: Collection[UUID]) -> None:
    """These codes buy nothing any more."""
    await conn.execute(VOID, list(payout_ids))
