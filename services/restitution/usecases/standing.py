"""How the restitutions stand, and how long mileage rates are known for, as gauges. Called by the runtime every few seconds."""

from services.restitution import store
from services.restitution.usecases.desk import Desk
from shared.telemetry.metrics import MILEAGE_DAYS_LEFT, RESTITUTIONS_NOW

STATUSES = ("proposed", "referred", "approved", "offered", "accepted", "payout_uncertain")


async def measure(desk: Desk) -> None:
    """Set the gauges of what is not at an end and of the mileage rates. Raises one of DATABASE_DOWN."""
    found = await store.standing(desk.engine.pool)
    for status in STATUSES:
        RESTITUTIONS_NOW.labels(status).set(found.get(status, 0))
    last = desk.policies.rates_end()
    MILEAGE_DAYS_LEFT.set((last - desk.engine.clock.now().date()).days if last is not None else -1)
