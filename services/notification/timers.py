"""What time has come for notification: notices that are to leave."""

from collections.abc import Sequence

from services.notification import usecases
from services.notification.domain.notice import TIMER
from services.notification.usecases import Desk
from shared.messaging import Transaction
from shared.timers import Due, TimerHandler


def kinds(desk: Desk) -> dict[str, TimerHandler]:
    """The timers of notification by kind."""

    async def when_notice_is_due(tx: Transaction, due: Sequence[Due]) -> None:
        await usecases.send_due(desk, tx, due)

    return {TIMER: when_notice_is_due}
