"""What restitution does: hear of cases, carry out what people decide, pay what is due.

One function, one transaction, many facts. Called by the handlers, the API and the timers.
"""

from services.restitution.usecases.check import check_timers, timer_cases
from services.restitution.usecases.command import accept, approve, decline, offer, request, reverse, settle_in_kind
from services.restitution.usecases.desk import Asker, Book, Desk
from services.restitution.usecases.hear import take_cases, take_notices
from services.restitution.usecases.pay import pay_due
from services.restitution.usecases.standing import measure

__all__ = [
    "Asker",
    "Book",
    "Desk",
    "accept",
    "approve",
    "check_timers",
    "decline",
    "measure",
    "offer",
    "pay_due",
    "request",
    "reverse",
    "settle_in_kind",
    "take_cases",
    "take_notices",
    "timer_cases",
]
