"""What lies parked in a service, over HTTP: the same four questions for every service, under its name.

Called by the runtime, which adds them to each service's own routes. Scope `parked:write`. Invariant: a record of the integrations' topic
holds patients' words and is shown only to who sees every case; the records of our own topics hold ciphertext at most.
"""

import base64
import json
from collections.abc import Mapping
from typing import Annotated, Any, Final
from uuid import UUID

from litestar import get, post
from litestar.params import QueryParameter

from shared.contracts.flow import INGRESS
from shared.kernel.errors import Rejected
from shared.messaging import parked
from shared.messaging.wire import shown
from shared.web.auth import Principal, requires
from shared.web.pages import page, read_cursor

GUARDS: Final = [requires("parked:write")]
# Of a record's body as text, on a page.
TEXT_MAX: Final = 20_000


def parked_routes(service: str) -> list[Any]:
    """List, show, and try again: one key's events, or all."""

    @get(f"/v1/parked/{service}", guards=GUARDS)
    async def list_parked(desk: Any, cursor: str | None = None, limit: Annotated[int, QueryParameter(ge=1, le=200)] = 100) -> Any:
        """What lies parked, oldest first, without the records."""
        after = read_cursor(cursor, UUID)
        rows = await parked.listed(desk.engine.pool, after[0] if after else None, limit + 1)
        return page(rows, limit, lambda row: _view(service, row), lambda row: (row["parked_id"],))

    @get(f"/v1/parked/{service}/{{parked_id:uuid}}", guards=GUARDS)
    async def show_parked(desk: Any, principal: Principal, parked_id: UUID) -> dict[str, Any]:
        """One parked event with its record: key, headers and body as base64, and the body as text where it is text."""
        row = await parked.shown(desk.engine.pool, parked_id)
        if row is None:
            raise _unknown()
        if row["topic"] != INGRESS:
            return _view(service, row) | {"record": _record(row["record"]), "withheld": None}
        if not (principal.may("cases:read") and principal.sees(None, None)):
            return _view(service, row) | {"record": None, "withheld": "It holds a patient's words, for who may read every case."}
        async with desk.engine.transaction(door="http") as tx:
            tx.audit(principal.actor, "read parked", f"parked:{parked_id}", {"topic": row["topic"]})
        return _view(service, row) | {"record": _record(row["record"]), "withheld": None}

    @post(f"/v1/parked/{service}/{{parked_id:uuid}}/redrive", guards=GUARDS, status_code=200)
    async def redrive_parked(desk: Any, principal: Principal, parked_id: UUID) -> dict[str, Any]:
        """Try one again, with all that waits behind it."""
        return {"id": str(parked_id), "redriven": await _redrive(desk, principal, parked_id)}

    @post(f"/v1/parked/{service}/redrive", guards=GUARDS, status_code=200)
    async def redrive_all_parked(desk: Any, principal: Principal) -> dict[str, Any]:
        """Try everything again, each key in its order; for after a fix was rolled out."""
        return {"id": None, "redriven": await _redrive(desk, principal, None)}

    return [list_parked, show_parked, redrive_parked, redrive_all_parked]


async def _redrive(desk: Any, principal: Principal, parked_id: UUID | None) -> int:
    async with desk.engine.transaction(door="http") as tx:
        count = await parked.redrive(tx.conn, parked_id)
        if not count and parked_id is not None:
            raise _unknown()
        tx.audit(principal.actor, "redrive", f"parked:{parked_id or 'all'}", {"events": count})
    return count


def _unknown() -> Rejected:
    return Rejected("unknown-parked", "Nothing of that id lies parked here.")


def _view(service: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """`tries` counts those after it was parked; `retry_at` says that the next one is about to come."""
    return {
        "id": str(row["parked_id"]),
        "service": service,
        "topic": row["topic"],
        "partition": row["partition"],
        "offset": row["offset"],
        "key": row["key"],
        "event_id": str(row["ce_id"]) if row["ce_id"] else None,
        "type": row["type"],
        "reason": row["reason"],
        "detail": row["detail"],
        "is_behind": row["is_behind"],
        "tries": row["attempts"],
        "retry_at": row["retry_at"].isoformat() if row["retry_at"] else None,
        "parked_at": row["created_at"].isoformat(),
    }


def _record(packed: bytes) -> dict[str, Any]:
    """As it lies: base64 throughout, with text beside it where there is some."""
    record: dict[str, Any] = json.loads(packed)
    return {
        "key": record["key"],
        "value": record["value"],
        "text": _text(record["value"]),
        "headers": [{"name": shown(name), "value": value, "text": _text(value)} for name, value in record["headers"]],
    }


def _text(value: str | None) -> str | None:
    if value is None:
        return None
    try:
        return base64.b64decode(value).decode()[:TEXT_MAX]
    except UnicodeDecodeError:
        return None
