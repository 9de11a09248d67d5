"""What the auditor of timers asks intake: whether each order that is watched has its timer, and no other has one."""

from typing import Final

from services.intake import store
from services.intake.domain.orders import ORDER_LATE
from shared.timers import Check, check_of

check_timers: Final[Check] = check_of(ORDER_LATE, store.WATCHED)
