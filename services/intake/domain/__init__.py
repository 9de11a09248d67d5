"""What is right at intake: which input is a POS event, what an order's history says, which events are incidents, what a patient said.

Called by the use cases. Pure: ids, the time and calendars are handed in.
"""

from services.intake.domain.incidents import ORDINARY, Ids, Rules, Verdict, complaint_words, looks_back, report, when_late
from services.intake.domain.orders import History, Order, Visit, blank, merge
from services.intake.domain.patients import Patient, Whom, hear, household_of, payer_class_of
from services.intake.domain.reading import Arrival, Problem, judge, read_binary, read_json, read_structured

__all__ = [
    "ORDINARY",
    "Arrival",
    "History",
    "Ids",
    "Order",
    "Patient",
    "Problem",
    "Rules",
    "Verdict",
    "Visit",
    "Whom",
    "blank",
    "complaint_words",
    "hear",
    "household_of",
    "judge",
    "looks_back",
    "merge",
    "payer_class_of",
    "read_binary",
    "read_json",
    "read_structured",
    "report",
    "when_late",
]
