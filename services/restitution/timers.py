"""What time has come for restitution: a payout to send, or to look up."""

from collections.abc import Sequence

from services.restitution import usecases
from services.restitution.domain.payout import KIND
from services.restitution.usecases import Desk
from shared.messaging import Transaction
from shared.timers import Due, TimerHandler


def kinds(desk: Desk) -> dict[str, TimerHandler]:
    """The timers of restitution by kind."""

    async def when_payout_is_due(tx: Transaction, due: Sequence[Due]) -> None:
        await usecases.pay_due(desk, tx, due)

    return {KIND: when_payout_is_due}
