"""How the live cases stand, as gauges. Called by the runtime every few seconds.

By severity, not by location: a group has hundreds of stores, and `GET /v1/queue?location=` answers for one.
"""

from services.escalation import store
from services.escalation.usecases.desk import Desk
from shared.telemetry.metrics import CASES_BREACHED, CASES_OPEN, CASES_UNOWNED

SEVERITIES = (1, 2, 3)


async def measure(desk: Desk) -> None:
    """Set the gauges of open, unowned and breached cases. Raises one of DATABASE_DOWN."""
    rows = await store.standing(desk.engine.pool)
    for severity in sorted({*SEVERITIES, *(row["severity"] for row in rows)}):
        of_it = [row for row in rows if row["severity"] == severity]
        for status in ("open", "acknowledged"):
            CASES_OPEN.labels(status, severity).set(sum(row["cases"] for row in of_it if row["status"] == status))
        CASES_UNOWNED.labels(severity).set(sum(row["unowned"] for row in of_it))
        CASES_BREACHED.labels(severity).set(sum(row["breached"] for row in of_it))
