"""What notification does. One function, one transaction, many facts; a send is two, with the call between."""

from services.notification.usecases.check import check_timers, timer_cases
from services.notification.usecases.desk import Desk
from services.notification.usecases.inbound import Incoming, quarantine, receive
from services.notification.usecases.people import (
    case_of,
    consents_of,
    messages_of,
    notices_of,
    patient_of,
    record_consent,
    take_back,
    type_notice,
)
from services.notification.usecases.queue import take_cases, take_patients, take_restitutions
from services.notification.usecases.results import Report, look_at_silent, report, watch
from services.notification.usecases.send import send_due
from services.notification.usecases.standing import measure

__all__ = [
    "Desk",
    "Incoming",
    "Report",
    "case_of",
    "check_timers",
    "consents_of",
    "look_at_silent",
    "measure",
    "messages_of",
    "notices_of",
    "patient_of",
    "quarantine",
    "receive",
    "record_consent",
    "report",
    "send_due",
    "take_back",
    "take_cases",
    "take_patients",
    "take_restitutions",
    "timer_cases",
    "type_notice",
    "watch",
]
