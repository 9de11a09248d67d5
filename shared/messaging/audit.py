"""The audit trail: rows appended in the transaction that changed something, chained behind by one sealer.

Called by the engine at commit (`append`) and by the runtime (`seal`). Invariant: seal n's hash covers seal n-1's and the canonical JSON of
its row, so a changed, missing or inserted row breaks the chain at its place.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from shared.db import Pool
from shared.messaging.transaction import Transaction

APPEND: Final = """
-- One row per recorded act.
insert into audit (at, actor, action, subject, data)
select $1, a.* from unnest($2::text[], $3::text[], $4::text[], $5::jsonb[]) as a
"""
LOCK: Final = "select pg_advisory_xact_lock(hashtext(current_schema() || ' sealer'))"
LAST: Final = """
-- The newest seal, and the place of its row in the order of sealing.
select s.n, s.hash, s.seq, a.xid::text as xid from audit_seals s left join audit a using (seq) order by s.n desc limit 1
"""
UNSEALED: Final = """
-- Rows behind the last sealed one that no transaction still open can come before: what is sealed is always a beginning of this order.
select a.seq, a.at, a.actor, a.action, a.subject, a.data from audit a
where a.xid < pg_snapshot_xmin(pg_current_snapshot()) and (a.xid, a.seq) > ($2::text::xid8, $3::bigint)
order by a.xid, a.seq limit $1
"""
SEAL: Final = "insert into audit_seals (n, seq, hash) select * from unnest($1::bigint[], $2::bigint[], $3::bytea[])"
CHAIN: Final = """
-- The sealed rows in the order of their seals.
select s.n, s.hash, a.seq, a.at, a.actor, a.action, a.subject, a.data
from audit_seals s left join audit a using (seq) where s.n > $1 order by s.n limit $2
"""


async def append(tx: Transaction) -> None:
    """Write what the transaction's use case recorded."""
    if tx.audited:
        rows = [(a.actor, a.action, a.subject, dict(a.data)) for a in tx.audited]
        await tx.conn.execute(APPEND, tx.now, *(list(column) for column in zip(*rows, strict=True)))


async def seal(pool: Pool, *, at_most: int = 1000) -> int:
    """Seal what is new, and return how many rows that was."""
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute(LOCK)
        last = await conn.fetchrow(LAST)
        n, head = (last["n"], last["hash"]) if last else (0, b"")
        rows = await conn.fetch(UNSEALED, at_most, (last["xid"] if last else None) or "0", last["seq"] if last else 0)
        seals = []
        for row in rows:
            n, head = n + 1, link(head, dict(row))
            seals.append((n, row["seq"], head))
        if seals:
            await conn.execute(SEAL, *(list(column) for column in zip(*seals, strict=True)))
    return len(rows)


async def first_broken(pool: Pool) -> int | None:
    """The number of the first seal that does not verify, or None where the chain is whole."""
    n, head = 0, b""
    while rows := await pool.fetch(CHAIN, n, 1000):
        for row in rows:
            if row["n"] != n + 1 or row["seq"] is None or row["hash"] != link(head, dict(row)):
                return n + 1
            n, head = row["n"], row["hash"]
    return None


def link(head: bytes, row: Mapping[str, Any]) -> bytes:
    """SHA-256 over the previous hash and the row as canonical JSON."""
    text = {k: row[k] for k in ("seq", "actor", "action", "subject", "data")} | {"at": row["at"].isoformat()}
    return hashlib.sha256(head + json.dumps(text, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).digest()
