"""Keys: issue, list and revoke. What opens one is answered once, when it is issued."""

from collections.abc import Mapping
from typing import Any, Final

from litestar import delete, get, post
from pydantic import BaseModel, ConfigDict, Field

from services.directory import store, usecases
from services.directory.api.doors import GUARDS, Limit, View, after_of, id_of
from services.directory.domain import ID, Key
from services.directory.usecases import Desk
from shared.kernel.errors import Rejected
from shared.web import Principal, page


class KeyWanted(BaseModel):
    """Scopes of its own, a member of staff it acts as, or both."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]*$")
    scopes: list[str] = Field([], max_length=50)
    staff_id: str | None = Field(None, pattern=ID)


@get("/v1/keys", guards=GUARDS)
async def list_keys(desk: Desk, cursor: str | None = None, limit: Limit = 100) -> Mapping[str, Any]:
    """Keys by id, without what opens them."""
    rows = await store.keys(desk.engine.pool, after_of(cursor), limit + 1)
    return page(rows, limit, key_view, lambda key: (key.id,))


@get("/v1/keys/{key_id:str}", guards=GUARDS)
async def get_key(desk: Desk, key_id: str) -> View:
    """One key, without what opens it."""
    found = await store.key(desk.engine.pool, id_of(key_id, "unknown-key"))
    if found is None:
        raise Rejected("unknown-key", "There is no such key.")
    return key_view(found)


@post("/v1/keys", guards=GUARDS)
async def create_key(desk: Desk, principal: Principal, data: KeyWanted) -> View:
    """Issue a key; `key` is shown this once."""
    async with desk.engine.transaction() as tx:
        issued, shown = await usecases.create_key(desk, tx, data.name, data.scopes, data.staff_id, actor=principal.actor)
    return {**key_view(issued), "key": shown}


@delete("/v1/keys/{key_id:str}", guards=GUARDS, status_code=200)
async def revoke_key(desk: Desk, principal: Principal, key_id: str) -> View:
    """Revoke a key; it stays in the list."""
    async with desk.engine.transaction() as tx:
        return key_view(await usecases.revoke_key(desk, tx, id_of(key_id, "unknown-key"), actor=principal.actor))


def key_view(key: Key) -> View:
    return {"id": key.id, "name": key.name, "scopes": key.scopes, "staff_id": key.staff_id, "revoked": key.revoked, "version": key.version}


ROUTES: Final = [list_keys, get_key, create_key, revoke_key]
