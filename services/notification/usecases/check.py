"""What the auditor of timers asks notification: whether each notice that waits has its timer, and no other has one; and whose it is."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from services.notification import store
from services.notification.domain.notice import TIMER
from shared.db import Connection
from shared.timers import Check, check_of

check_timers: Final[Check] = check_of(TIMER, store.notices.WAITING)


async def timer_cases(conn: Connection, subjects: Sequence[UUID]) -> Mapping[UUID, UUID]:
    """The cases that these timers are for, by subject."""
    return await store.notices.cases_of(conn, subjects)
