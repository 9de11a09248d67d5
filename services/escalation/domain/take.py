"""Incidents: a case is opened for the first, later ones attach to it.

One case that is not closed exists per patient (else per root order). An incident for a case that is resolved but not closed reopens it: the
same patient is upset again before the recovery was over, and whoever takes it should have the whole story before them.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from services.escalation.domain import clock, commands, ladder
from services.escalation.domain.case import Case, Plan, Store, Turn
from services.escalation.domain.who import owner_now
from shared.contracts import cases as say
from shared.contracts.incidents import Incident
from shared.kernel.decision import Decision
from shared.kernel.errors import Rejected


def open_case(
    incident: Incident, plan: Plan, case_id: UUID, reference: str, store: Store, load: Mapping[str, int], now: datetime
) -> Decision[Case]:
    """The first incident of a patient (or root order). The clock starts now; `load` counts live cases by staff id.

    Raises Rejected(unattributed) for an incident that belongs to nobody.
    """
    if incident.patient_ref is None and incident.root_order_id is None:
        raise Rejected("unattributed", "An incident without a patient and without an order belongs to nobody.")
    blank = Case(
        case_id=case_id,
        reference=reference,
        belongs_to=incident.belongs_to,
        status="open",
        severity=plan.severity,
        catalyst=incident.catalyst,
        location_id=store.location_id,
        region=store.region,
        patient_ref=incident.patient_ref,
        root_order_id=incident.root_order_id,
        household=incident.household,
        payer_class=incident.payer_class,
        opened_at=now,
        plan=plan,
        promised_contact_by=now,
        last_activity_at=now,
        owner_staff_id=owner_now(store, load),
        lab=incident.lab,
    )
    turn = Turn(blank, store, now)
    targets = clock.begin(turn, now)
    contact_by = next((target.due_at for target in targets if target.milestone == "contact"), None)
    turn.change(targets=targets, promised_contact_by=contact_by or now)
    page, how = ladder.first_page(turn)
    turn.page(say.CaseOpened, page, how, incident=incident, next_contact_by=turn.case.promised_contact_by)
    return turn.decision()


def attach(case: Case, incident: Incident, plan: Plan, store: Store, now: datetime) -> Decision[Case]:
    """Another incident of the same patient. `plan` is what the incident alone would get: a more severe one raises the case's."""
    turn = Turn(case, store, now)
    turn.touch()
    payer = incident.payer_class if case.payer_class == "unknown" else case.payer_class
    turn.change(incidents=case.incidents + 1, payer_class=payer, household=case.household or incident.household)
    turn.change(lab=case.lab or incident.lab)
    turn.say(say.IncidentAttached, incident=incident)
    is_worse = plan.severity < case.severity
    if is_worse:
        turn.change(severity=plan.severity, plan=plan)
    if case.status == "resolved":
        commands.start_segment(turn, "new_incident")
    elif is_worse:
        clock.replan(turn)
    if is_worse:
        turn.say(say.SeverityRaised, was=case.severity)
    ladder.wake(turn)
    return turn.decision()
