"""Keys: issue and revoke. The lock of the version sequence is taken before anything is read, as for rows (`change`).

Called by the API and by `amends keys create`. Invariant: a key's secret is answered once and kept nowhere.
"""

import hashlib
import secrets
from collections.abc import Sequence
from typing import Final

from services.directory import domain, store
from services.directory.domain import Key
from services.directory.usecases.change import Desk
from shared.kernel.decision import Decision
from shared.messaging import Transaction

# 48 bits name a key, 192 make its secret; both without an underscore, which divides them.
_KEY_ID_BYTES: Final = 6
_SECRET_BYTES: Final = 24


async def create_key(
    desk: Desk, tx: Transaction, name: str, scopes: Sequence[str] = (), staff_id: str | None = None, *, actor: str
) -> tuple[Key, str]:
    """Issue a key; answers its row and `amk_<key id>_<secret>`, which is kept nowhere. Raises Rejected `invalid-data`, `unknown-staff`."""
    version = await store.lock(tx.conn)
    secret = secrets.token_hex(_SECRET_BYTES)
    asked = Key(secrets.token_hex(_KEY_ID_BYTES), name, hashlib.sha256(secret.encode()).hexdigest(), tuple(scopes), staff_id)
    person = await store.member(tx.conn, staff_id) if staff_id is not None else None
    decision = domain.issue_key(version, asked, [person.row.id] if person and person.row.active else [])
    await _keep_key(tx, decision, actor, "issue key")
    return decision.state, f"amk_{decision.state.id}_{secret}"


async def revoke_key(desk: Desk, tx: Transaction, key_id: str, *, actor: str) -> Key:
    """From when listeners have heard it, the key opens nothing. Raises Rejected `unknown-key`."""
    version = await store.lock(tx.conn)
    decision = domain.revoke_key(version, await store.key(tx.conn, key_id))
    await _keep_key(tx, decision, actor, "revoke key")
    return decision.state


async def _keep_key(tx: Transaction, decision: Decision[Key], actor: str, action: str) -> None:
    if decision.is_empty:
        return
    key = decision.state
    tx.apply(decision)
    await store.save_key(tx.conn, key)
    tx.audit(actor, action, f"key:{key.id}", {"version": key.version, "scopes": list(key.scopes), "staff_id": key.staff_id})
