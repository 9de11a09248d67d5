"""What the console does: `take` (projections), `look` and `rosters` (pages), `act`, `parked`, `timers` (asking others), `sign_in` (people),
`patient`.
"""

from services.console.usecases.act import COMMANDS, ask, next_opening_in
from services.console.usecases.desk import Asker, Bell, Desk, Directory
from services.console.usecases.look import CasePage, QueuePage, case_page, kept_promises, lines_of, people, places, queue_page, trends
from services.console.usecases.many import Picked, Taken, picked, take_on
from services.console.usecases.parked import Park, parked_record, parks, redrive
from services.console.usecases.patient import PatientPage, patient_page, prove
from services.console.usecases.rosters import Covers, covers
from services.console.usecases.sign_in import SignedIn, sign_in, sign_out, whoever
from services.console.usecases.take import take_cases, take_notices, take_patients, take_restitutions
from services.console.usecases.timers import Audited, audits, note_finding

__all__ = [
    "Asker", "Audited", "Bell", "COMMANDS", "CasePage", "Covers", "Desk", "Directory", "Park", "PatientPage", "Picked", "QueuePage",
    "SignedIn", "Taken", "ask", "audits", "case_page", "covers", "kept_promises", "lines_of", "next_opening_in", "note_finding",
    "parked_record", "parks", "patient_page", "people", "picked", "places", "prove", "queue_page", "redrive", "sign_in", "sign_out",
    "take_cases", "take_notices", "take_on", "take_patients", "take_restitutions", "trends", "whoever",
]  # fmt: skip
