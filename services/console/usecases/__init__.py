"""What the console does: `take` (projections), `look` (pages), `act` (asking others), `sign_in` (people), `patient` (patients)."""

from services.console.usecases.act import COMMANDS, ask, next_opening_in
from services.console.usecases.desk import Asker, Bell, Desk, Directory
from services.console.usecases.look import CasePage, QueuePage, case_page, lines_of, people, places, queue_page, trends
from services.console.usecases.patient import PatientPage, patient_page, prove
from services.console.usecases.sign_in import SignedIn, sign_in, sign_out, whoever
from services.console.usecases.take import take_cases, take_incidents, take_notices, take_patients, take_restitutions

__all__ = [
    "COMMANDS", "Asker", "Bell", "CasePage", "Desk", "Directory", "PatientPage", "QueuePage", "SignedIn", "ask", "case_page", "lines_of",
    "next_opening_in", "patient_page", "people", "places", "prove", "queue_page", "sign_in", "sign_out", "take_cases", "take_incidents",
    "take_notices", "take_patients", "take_restitutions", "trends", "whoever",
]  # fmt: skip
