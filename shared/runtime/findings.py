"""What the auditor of timers found in a service, over HTTP, under the service's name.

Called by the process, which adds it to each service's own routes. Scope `parked:write`: subjects are of all stores, so it is for who keeps
the machinery going, not for who sees one store.
"""

from typing import Any

from litestar import get

from shared import timers
from shared.web import requires


def findings_routes(service: str) -> list[Any]:
    """`GET /v1/timers/SERVICE`."""

    @get(f"/v1/timers/{service}", guards=[requires("parked:write")])
    async def list_timer_findings(desk: Any) -> dict[str, Any]:
        """Timers that are not as they ought to be, oldest first; none in a healthy system."""
        return {"items": await timers.findings(desk.engine.pool), "next_cursor": None}

    return [list_timer_findings]
