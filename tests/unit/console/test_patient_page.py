"""What the patient's page says, and what it never says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.console.domain.patient import last_digits, tell
from services.console.domain.queue import NEVER, QueueRow
from services.console.domain.when import brief, countdown, friendly, span
from shared.kernel.ids import new_id

pytestmark = pytest.mark.unit

ZONE = "America/New_York"
NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
ROW = QueueRow(
    case_id=new_id(), version=1, reference="AM-7F3K-9X", status="open", level=0, severity=1, catalyst="rude_or_dismissed",
    location_id="elm", region="north", patient_ref="P-1", root_order_id=None, owner_staff_id="lee", incidents=1, opened_at=NOW,
    changed_at=NOW, story_confirmed=False, policy="sla 4", next_milestone="acknowledge", next_due_at=NOW, urgent_at=NEVER, breached=0,
    targets=[], contact_by=NOW + timedelta(hours=2),
)  # fmt: skip


def test_it_says_by_when_a_person_is_in_touch_in_the_stores_own_time() -> None:
    assert tell(ROW, "Elm Street", ZONE, NOW).next == "A person will contact you by today at 12:00 pm."


def test_a_promise_that_was_missed_is_owned_up_to() -> None:
    story = tell(ROW, "Elm Street", ZONE, NOW + timedelta(hours=3))
    assert story.next.startswith("A person was to contact you today at 12:00 pm. We are late, and we are sorry.")


def test_each_step_of_the_way_is_done_now_or_later() -> None:
    taken = replace(ROW, status="acknowledged")
    heard = replace(taken, story_confirmed=True)
    done = replace(heard, status="resolved")
    states = [[step.state for step in tell(row, "Elm Street", ZONE, NOW).steps] for row in (ROW, taken, heard, done)]
    assert states == [
        ["done", "now", "next", "next"],
        ["done", "done", "now", "next"],
        ["done", "done", "done", "now"],
        ["done", "done", "done", "done"],
    ]


def test_after_contact_it_says_by_when_it_is_to_be_settled() -> None:
    targets = [
        {"milestone": "contact", "state": "met", "due_at": NOW.isoformat()},
        {"milestone": "resolve", "state": "running", "due_at": "2026-11-24T21:00:00Z"},
    ]
    story = tell(replace(ROW, status="acknowledged", targets=targets), "Elm Street", ZONE, NOW)
    assert story.next == "We mean to have it settled by tomorrow at 4:00 pm."


def promised(state: str, **more: object) -> dict[str, object]:
    return {"number": 1, "what": "remake", "promised_by": "2026-12-04T15:00:00Z", "state": state, "fulfilled_at": None, **more}


@pytest.mark.parametrize(
    ("promises", "lines"),
    [
        ([promised("open")], ["It will be ready by Friday 4 December at 10:00 am."]),
        (
            [promised("moved"), promised("open")],
            ["It will be ready by Friday 4 December at 10:00 am. It takes longer than we told you first, and we are sorry."],
        ),
        ([promised("late")], ["It was to be ready on Friday 4 December at 10:00 am. We are late, and we are sorry."]),
        ([promised("late", fulfilled_at="2026-12-05T15:00:00Z")], ["It is ready, later than we promised. We are sorry."]),
        ([promised("early")], ["It is ready, sooner than promised."]),
        ([promised("kept")], ["It is ready, as promised."]),
        (
            [promised("moved"), promised("early"), promised("open")],
            ["It is ready, sooner than promised.", "It will be ready by Friday 4 December at 10:00 am."],
        ),
        ([promised("open", what="teleport")], ["It will be done by Friday 4 December at 10:00 am."]),
    ],
)
def test_what_was_promised_is_told_with_what_became_of_it(promises: list[dict[str, object]], lines: list[str]) -> None:
    for status in ("open", "resolved"):
        assert list(tell(replace(ROW, status=status, promises=promises), "Elm Street", ZONE, NOW).promises) == lines


def test_it_names_no_catalyst_no_severity_and_no_person() -> None:
    for status in ("open", "acknowledged", "resolved", "closed"):
        story = tell(replace(ROW, status=status), "Elm Street", ZONE, NOW)
        words = " ".join([story.headline, story.now, story.next, *(step.title for step in story.steps)]).lower()
        assert not any(word in words for word in ("rude", "dismissed", "critical", "severity", "lee"))


def test_the_second_factor_is_the_last_four_digits() -> None:
    assert [last_digits("+12125550112"), last_digits("112"), last_digits(None)] == ["0112", None, None]


def test_times_are_told_as_people_tell_them() -> None:
    assert friendly(NOW + timedelta(days=4), NOW, ZONE) == "on Friday 27 November at 10:00 am"
    assert [brief(NOW, NOW, ZONE), brief(NOW + timedelta(days=1), NOW, ZONE)] == ["10:00 am", "Tue 24 Nov, 10:00 am"]
    assert [span(59.9), span(60), span(3600), span(3900), span(90_000)] == ["59 s", "1 min", "1 h", "1 h 05 min", "1 d 1 h"]


def test_a_deadline_is_overdue_from_its_very_instant_on() -> None:
    assert countdown(NOW, NOW) == "overdue by 0 s"
    assert countdown(NOW, NOW - timedelta(microseconds=1)) == "in 0 s"
    assert countdown(None, NOW) == "on hold"
