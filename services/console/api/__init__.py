"""What the console is asked: pages for people, the patient's page, and the queue for programs."""

from services.console.api import case, demo, live, many, parked, patient, queue, rosters, sign_in, static, timers
from services.console.api.doors import session_hook

ROUTES = [
    queue.show_queue, queue.show_trends, queue.list_queue, queue.list_trends, case.show_case, case.act_on_case, case.list_case_timeline,
    live.live, sign_in.show_sign_in, sign_in.sign_in_person, sign_in.sign_out_person, patient.show_patient_page, patient.prove_patient,
    parked.show_parked_events, parked.show_parked_event, parked.redrive_parked_events, timers.show_timers, timers.note_timer,
    many.ask_about_picked, many.acknowledge_picked, rosters.show_rosters, demo.move_demo_clock, static.get_static,
]  # fmt: skip

__all__ = ["ROUTES", "session_hook"]
