"""What the queue shows of a case, and what is due first."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.console.domain.queue import NEVER, newest, row_of, shown_first
from shared.contracts.cases import CaseAcknowledged, CaseClosed, CaseEvent, CaseOpened, PolicyRef, Target
from shared.contracts.incidents import Incident
from shared.kernel.ids import new_id

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)


def at(minutes: int) -> datetime:
    return NOW + timedelta(minutes=minutes)


def event(cls: type[CaseEvent] = CaseAcknowledged, **changes: Any) -> Any:
    incident = Incident(
        incident_id=new_id(), incident_type="repeat_visit", catalyst="fit_adjustment", location_id="elm", occurred_at=NOW, reported_at=NOW
    )
    base = {
        "case_id": new_id(), "reference": "AM-7F3K-9X", "at": NOW, "status": "open", "level": 0, "severity": 2, "catalyst": "other",
        "location_id": "elm", "region": "north", "incidents": 1, "opened_at": NOW, "policy": PolicyRef(name="sla", version=4),
        "targets": (), "incident": incident, "next_contact_by": at(60), "generation": 1, "expires_at": at(240),
    }  # fmt: skip
    return cls.model_validate(base | changes)


def test_an_unmet_contact_target_shows_first_even_when_a_later_kind_is_nearer() -> None:
    found = shown_first((Target(milestone="action", due_at=at(10)), Target(milestone="contact", due_at=at(60))))
    assert found is not None
    assert found.milestone == "contact"


@pytest.mark.parametrize("state", ["met", "met_late", "cancelled"])
def test_once_contact_is_over_the_nearest_of_the_rest_shows(state: Any) -> None:
    targets = (
        Target(milestone="contact", state=state, due_at=at(5)),
        Target(milestone="resolve", due_at=at(90)),
        Target(milestone="action", due_at=at(80)),
    )
    found = shown_first(targets)
    assert found is not None
    assert found.milestone == "action"


def test_a_breached_target_is_still_owed_and_shows_as_overdue() -> None:
    row = row_of(event(targets=(Target(milestone="acknowledge", state="breached", due_at=at(-5)),)))
    assert (row.next_milestone, row.next_due_at, row.breached) == ("acknowledge", at(-5), 1)


def test_a_paused_target_has_no_due_time_and_goes_behind_everything_that_has() -> None:
    row = row_of(event(status="acknowledged", targets=(Target(milestone="contact", state="paused", due_at=None),)))
    assert (row.next_milestone, row.next_due_at, row.urgent_at) == ("contact", None, NEVER)


def test_a_closed_case_has_nothing_due_whatever_its_targets_say() -> None:
    row = row_of(event(CaseClosed, status="closed", targets=(Target(milestone="resolve", due_at=at(-50)),)))
    assert (row.next_milestone, row.next_due_at) == (None, None)


def test_of_a_batch_the_highest_version_of_each_case_counts_and_the_promise_of_its_opening_is_kept() -> None:
    case_id = new_id()
    opened = event(CaseOpened, case_id=case_id, version=1)
    taken = event(CaseAcknowledged, case_id=case_id, version=2, status="acknowledged")
    for batch in ([opened, taken], [taken, opened]):
        (row,) = newest(batch)
        assert (row.version, row.status, row.contact_by) == (2, "acknowledged", at(60))
