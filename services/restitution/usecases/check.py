"""What the auditor of timers asks restitution: whether each payout under way has its timer, and no other has one; and whose it is."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from services.restitution import store
from services.restitution.domain.payout import KIND
from shared.db import Connection
from shared.timers import Check, check_of

check_timers: Final[Check] = check_of(KIND, store.PAYING)


async def timer_cases(conn: Connection, subjects: Sequence[UUID]) -> Mapping[UUID, UUID]:
    """The cases that these timers are for, by subject."""
    return await store.whose(conn, subjects)
