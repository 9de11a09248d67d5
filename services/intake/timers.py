"""What time has come for intake: the closing of a day for which an order was promised."""

from collections.abc import Sequence

from services.intake import usecases
from services.intake.domain.orders import ORDER_LATE
from services.intake.usecases import Desk
from shared.messaging import Transaction
from shared.timers import Due, TimerHandler


def kinds(desk: Desk) -> dict[str, TimerHandler]:
    """The timers of intake by kind."""

    async def when_order_late_is_due(tx: Transaction, due: Sequence[Due]) -> None:
        await usecases.close_watch(desk, tx, due)

    return {ORDER_LATE: when_order_late_is_due}
