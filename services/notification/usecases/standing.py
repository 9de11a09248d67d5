"""How the notices stand, as gauges. Called by the runtime every few seconds."""

from services.notification import store
from services.notification.usecases.desk import Desk
from shared.telemetry.metrics import NOTICES_NOW

STATUSES = ("queued", "held", "sending", "uncertain")


async def measure(desk: Desk) -> None:
    """Set the gauges of what is not at an end. Raises one of DATABASE_DOWN."""
    found = await store.notices.standing(desk.engine.pool)
    for status in STATUSES:
        NOTICES_NOW.labels(status).set(found.get(status, 0))
