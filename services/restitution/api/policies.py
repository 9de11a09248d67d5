"""`/v1/policies`: the tables money is decided by, as they are, and the proof of a draft."""

from typing import Annotated, Any, Final

from litestar import get, post
from pydantic import BaseModel, ConfigDict, Field

from services.restitution.domain.policies import MAY_HAVE_GAPS
from services.restitution.usecases import Desk
from shared.kernel.errors import Rejected
from shared.policy import PolicyError, Table, check
from shared.web import requires


class Draft(BaseModel):
    """A table to be proven, as TOML; without one, the table in force."""

    model_config = ConfigDict(extra="ignore")

    toml: Annotated[str, Field(max_length=200_000)] | None = None


@get("/v1/policies/{name:str}", guards=[requires("restitutions:read")])
async def get_policy(desk: Desk, name: str) -> dict[str, Any]:
    """The table in force."""
    table = _table(desk, name)
    return {"name": table.name, "version": table.version, "about": table.about, "toml": table.source}


@post("/v1/policies/{name:str}/check", status_code=200, guards=[requires("restitutions:read")])
async def check_policy(desk: Desk, name: str, data: Draft | None = None) -> dict[str, Any]:
    """Whether a table has a gap or an overlap, with inputs that show it."""
    current = _table(desk, name)
    try:
        table = Table.load(data.toml) if data and data.toml is not None else current
        proof = check(table)
    except PolicyError as bad:
        return {"name": name, "holds": False, "gaps": [], "overlaps": [], "problems": list(getattr(bad, "problems", (str(bad),)))}
    gaps, overlaps = [gap.words() for gap in proof.gaps], [overlap.words() for overlap in proof.overlaps]
    unreachable = [f"row {row} can never apply" for row in proof.unreachable]
    renamed = [] if table.name == name else [f"the table is called {table.name}, not {name}"]
    holds = not (overlaps or unreachable or renamed) and (not gaps or name in MAY_HAVE_GAPS)
    return {"name": name, "holds": holds, "gaps": gaps, "overlaps": overlaps, "problems": unreachable + renamed}


def _table(desk: Desk, name: str) -> Table:
    if name not in desk.policies.tables:
        raise Rejected("not-found", "There is no such policy.")
    return desk.policies.tables[name]


ROUTES: Final = [get_policy, check_policy]
