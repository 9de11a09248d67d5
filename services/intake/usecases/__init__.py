"""What intake does: take events from any door, look at promises when their time has come, learn which case an incident went to.

One function, one transaction, many facts. Called by the handlers, the API and the timers.
"""

from services.intake.usecases.check import check_timers
from services.intake.usecases.commit import submit
from services.intake.usecases.desk import Desk
from services.intake.usecases.hear import close_watch, take_cases, take_ingress, take_notices
from services.intake.usecases.patients import say_again
from services.intake.usecases.queries import event_status, incident_view
from services.intake.usecases.report import Outcome, report

__all__ = [
    "Desk",
    "Outcome",
    "check_timers",
    "close_watch",
    "event_status",
    "incident_view",
    "report",
    "say_again",
    "submit",
    "take_cases",
    "take_ingress",
    "take_notices",
]
