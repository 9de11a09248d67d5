"""What time has come for escalation: targets, warnings, steps, changes of shifts, stale acknowledgements, pauses that ran out,
promises and their internal targets.

And `recount`: the next batch of cases whose store changed its hours."""

from collections.abc import Sequence

from services.escalation import usecases
from services.escalation.usecases import Desk
from shared.messaging import Transaction
from shared.timers import Due, TimerHandler


def kinds(desk: Desk) -> dict[str, TimerHandler]:
    """The timers of escalation by kind; each has the case's id as its subject, but for `recount`."""

    async def when_target_is_due(tx: Transaction, due: Sequence[Due]) -> None:
        await usecases.breach_targets(desk, tx, due)

    async def when_warning_is_due(tx: Transaction, due: Sequence[Due]) -> None:
        await usecases.warn_owners(desk, tx, due)

    async def when_step_is_due(tx: Transaction, due: Sequence[Due]) -> None:
        await usecases.climb(desk, tx, due)

    async def when_hand_over_is_due(tx: Transaction, due: Sequence[Due]) -> None:
        await usecases.hand_over(desk, tx, due)

    async def when_ack_expiry_is_due(tx: Transaction, due: Sequence[Due]) -> None:
        await usecases.expire_acknowledgements(desk, tx, due)

    async def when_pause_end_is_due(tx: Transaction, due: Sequence[Due]) -> None:
        await usecases.end_pauses(desk, tx, due)

    async def when_promise_is_due(tx: Transaction, due: Sequence[Due]) -> None:
        await usecases.lapse_promises(desk, tx, due)

    async def when_promise_aim_is_due(tx: Transaction, due: Sequence[Due]) -> None:
        await usecases.warn_of_promises(desk, tx, due)

    async def when_recount_is_due(tx: Transaction, due: Sequence[Due]) -> None:
        await usecases.recount(desk, tx, due)

    return {
        "target": when_target_is_due,
        "warning": when_warning_is_due,
        "step": when_step_is_due,
        "hand_over": when_hand_over_is_due,
        "ack_expiry": when_ack_expiry_is_due,
        "pause_end": when_pause_end_is_due,
        "promise": when_promise_is_due,
        "promise_aim": when_promise_aim_is_due,
        "recount": when_recount_is_due,
    }
