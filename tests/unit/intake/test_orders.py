"""Histories of orders: trips, remakes, promises, in whatever order their events come."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.intake import domain
from services.intake.domain import History, Ids, Patient, Rules, Verdict, Whom
from services.intake.domain.orders import Order, blank, deadline, heard, window_of
from shared.calendars import Calendar
from shared.contracts.incidents import IncidentReported
from shared.contracts.ingress import TYPES, PosEvent
from shared.kernel.decision import Cancel, Decision, Schedule

pytestmark = pytest.mark.unit

RULES = Rules.read((Path(domain.__file__).parents[1] / "policy" / "incidents.toml").read_text("utf-8"))
START = datetime(2026, 11, 2, 15, tzinfo=UTC)
WEEK = {day: [("09:00", "18:00")] for day in ("mon", "tue", "wed", "thu", "fri", "sat")}
CALENDARS = {"store-12": Calendar("America/New_York", WEEK), "store-7": Calendar("America/Los_Angeles", WEEK)}


def pos(kind: str, days: float = 0, **data: Any) -> PosEvent:
    name = f"amends.{kind}"
    read = TYPES[name].model_validate({"location_id": "store-12", **data})
    return PosEvent(id=f"{kind}-{days}", source="pos", type=name, time=START + timedelta(days=days), data=read)


def visit(days: float = 0, order_id: str | None = "O-1", reason: str = "problem", **data: Any) -> PosEvent:
    return pos("pos.visit.checked_in", days, order_id=order_id, reason=reason, **data)


def ids(n: int) -> Ids:
    return Ids(UUID(int=n), UUID(int=10_000 + n))


def take(history: History | None, event: PosEvent, n: int = 1, patient: Whom | None = None) -> Decision[Verdict]:
    return domain.report(RULES, history, event, ids(n), now=START, calendars=CALENDARS, patient=patient)


def take_all(events: Sequence[PosEvent]) -> tuple[History, list[IncidentReported]]:
    history = blank("O-1")
    told: list[IncidentReported] = []
    for n, event in enumerate(events):
        decision = take(history, event, n)
        assert decision.state.history is not None
        history = decision.state.history
        told += decision.events
    return history, told


def test_the_third_trip_within_sixty_days_is_an_incident_and_each_one_after() -> None:
    _, told = take_all([visit(0), visit(10, reason="adjustment"), visit(20), visit(30)])
    assert [event.incident.repeat_count for event in told] == [3, 4]
    assert [len(event.incident.trips) for event in told] == [3, 4]
    assert {event.incident.incident_type for event in told} == {"repeat_visit"}
    assert told[0].incident.catalyst == "fit_adjustment" and told[0].key == "order:O-1"


def test_pickups_and_exams_are_no_trips() -> None:
    _, told = take_all([visit(0), visit(1, reason="pickup"), visit(2, reason="exam"), visit(3)])
    assert told == []


def test_trips_further_apart_than_sixty_days_do_not_add_up() -> None:
    assert take_all([visit(0), visit(30), visit(60.01)])[1] == []
    assert len(take_all([visit(0), visit(30), visit(60)])[1]) == 1


def test_a_trip_carries_its_date_at_its_own_store_and_its_miles() -> None:
    late_evening = datetime(2026, 11, 3, 2, tzinfo=UTC) - START
    events = [
        visit(late_evening / timedelta(days=1), distance_miles="9"),
        visit(1.5, location_id="store-7", distance_miles="8.2"),
        visit(2),
    ]
    _, told = take_all(events)
    assert [(str(trip.on), str(trip.miles)) for trip in told[0].incident.trips] == [
        ("2026-11-02", "9"),
        ("2026-11-03", "8.2"),
        ("2026-11-04", "None"),
    ]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_whatever_the_order_of_arrival_the_fourth_of_four_trips_raises_the_second_incident(order: tuple[int, ...]) -> None:
    trips = [visit(days) for days in (0, 10, 20, 30)]
    _, told = take_all([trips[n] for n in order])
    assert [event.incident.repeat_count for event in told] == [3, 4]


def test_the_busiest_span_around_a_visit_counts() -> None:
    history, _ = take_all([visit(days) for days in (0, 50, 55, 100)])
    assert len(window_of(history.visits, START + timedelta(days=55), RULES.within)) == 3


STORY = [
    pos("pos.order.placed", 0, order_id="O-1", promised_at="2026-11-10T17:00:00Z", patient={"ref": "P-1"}, lab="Lab A"),
    pos("pos.order.promised", 3, order_id="O-1", promised_at="2026-11-12T17:00:00Z"),
    pos("pos.order.received", 5, order_id="O-1"),
    pos("pos.order.notified", 5, order_id="O-1"),
    pos("pos.order.picked_up", 6, order_id="O-1", patient={"ref": "P-1"}),
]


@pytest.mark.parametrize("order", list(permutations(range(5))))
def test_an_order_ends_the_same_in_whatever_order_its_events_come(order: tuple[int, ...]) -> None:
    expected, actual = Order("O-1", "O-1"), Order("O-1", "O-1")
    for event in STORY:
        expected = heard(expected, event)
    for n in order:
        actual = heard(actual, STORY[n])
    assert actual == expected
    assert (actual.state, actual.promised_at, actual.lab) == ("picked_up", datetime(2026, 11, 12, 17, tzinfo=UTC), "Lab A")


def test_a_promise_is_watched_until_the_closing_of_its_local_date() -> None:
    decision = take(blank("O-1"), STORY[0])
    (timer,) = decision.timers
    assert isinstance(timer, Schedule)
    assert (timer.kind, timer.subject, timer.generation) == ("order_late", "O-1", 1)
    assert timer.due_at == datetime(2026, 11, 10, 23, tzinfo=UTC)


def test_a_promise_for_a_closed_day_is_missed_when_that_day_ends() -> None:
    sunday = heard(Order("O-1", "O-1"), pos("pos.order.placed", order_id="O-1", promised_at="2026-11-08T17:00:00Z"))
    assert deadline(sunday, CALENDARS) == datetime(2026, 11, 9, 5, tzinfo=UTC)


def test_a_moved_promise_moves_the_timer_and_a_ready_order_cancels_it() -> None:
    history = take(blank("O-1"), STORY[0]).state.history
    moved = take(history, STORY[1])
    (timer,) = moved.timers
    assert isinstance(timer, Schedule) and (timer.generation, timer.due_at) == (1, datetime(2026, 11, 12, 23, tzinfo=UTC))
    (cancelled,) = take(moved.state.history, STORY[2]).timers
    assert isinstance(cancelled, Cancel) and (cancelled.reason, cancelled.generation) == ("received", 1)


def late(history: History, due_at: datetime) -> Decision[Verdict]:
    order = history.orders["O-1"]
    return domain.when_late(RULES, history, order, due_at, UUID(int=99), calendars=CALENDARS, patient=None)


def test_a_promise_that_passes_is_an_incident_once_and_a_new_promise_is_watched_anew() -> None:
    history = take(blank("O-1"), STORY[0]).state.history
    assert history is not None
    decision = late(history, datetime(2026, 11, 10, 23, tzinfo=UTC))
    assert [event.incident.incident_type for event in decision.events] == ["order_late"]
    assert decision.events[0].incident.occurred_at == datetime(2026, 11, 10, 23, tzinfo=UTC)
    again = take(decision.state.history, visit(9))
    assert again.timers == ()
    (timer,) = take(again.state.history, pos("pos.order.promised", 9, order_id="O-1", promised_at="2026-11-14T17:00:00Z")).timers
    assert isinstance(timer, Schedule) and timer.generation == 2


def test_an_order_that_is_ready_is_not_late_although_the_timer_fires() -> None:
    history = take(take(blank("O-1"), STORY[0]).state.history, STORY[2]).state.history
    assert history is not None
    assert late(history, datetime(2026, 11, 10, 23, tzinfo=UTC)).events == ()


def test_hours_that_changed_since_move_the_watch_instead_of_firing_early() -> None:
    history = take(blank("O-1"), STORY[0]).state.history
    assert history is not None
    decision = late(history, datetime(2026, 11, 10, 22, tzinfo=UTC))
    assert decision.events == ()
    (timer,) = decision.timers
    assert isinstance(timer, Schedule) and (timer.generation, timer.due_at) == (2, datetime(2026, 11, 10, 23, tzinfo=UTC))


def test_an_incident_names_the_lab_of_its_order_else_of_the_newest_that_has_one() -> None:
    placed = [
        pos("pos.order.placed", n, order_id=order, root_order_id="O-1", lab=lab) for n, order, lab in ((0, "O-1", "Old"), (3, "O-2", "New"))
    ]
    _, told = take_all([*placed, *(visit(n) for n in (4, 5, 6)), pos("pos.order.remade", 7, order_id="O-3", root_order_id="O-1")])
    assert [(event.incident.incident_type, event.incident.lab) for event in told] == [("repeat_visit", "Old"), ("order_remade", "New")]


def test_the_second_remake_of_a_root_order_says_so() -> None:
    remakes = [pos("pos.order.remade", n, order_id=f"O-1-R{n}", root_order_id="O-1") for n in (1, 2)]
    _, told = take_all(remakes)
    assert [(e.incident.incident_type, e.incident.repeat_count, e.incident.catalyst) for e in told] == [
        ("order_remade", 1, "remade_order"),
        ("order_remade", 2, "remade_order"),
    ]


def test_money_back_and_disputes() -> None:
    refund = take(blank("O-1"), pos("pos.refund.created", order_id="O-1", amount_minor=12_000, currency="USD")).events[0].incident
    dispute = take(blank("O-1"), pos("pos.dispute.created", order_id="O-1", amount_minor=12_000, currency="USD")).events[0].incident
    assert (refund.incident_type, refund.is_dispute, refund.amount_minor, refund.catalyst) == (
        "refund_or_return",
        False,
        12_000,
        "billing_error",
    )
    assert dispute.is_dispute


def test_a_complaint_belongs_to_its_patient_and_keeps_the_catalyst_that_was_named() -> None:
    patient = Patient("P-1", "store-12", payer="va", household="h").whom
    said = pos("complaint.submitted", channel="phone", text="Three trips.", catalyst="wait_time")
    incident = take(None, said, patient=patient).events[0].incident
    assert (incident.belongs_to, incident.catalyst, incident.payer_class, incident.household) == ("P-1", "wait_time", "federal", "h")
    assert incident.has_words and incident.channel == "phone"


def test_without_patient_and_order_it_is_kept_and_told_to_nobody() -> None:
    decision = take(None, pos("complaint.submitted", channel="web", text="Nobody calls back."))
    assert decision.events == () and decision.state.status == "unattributed" and decision.state.incident is not None


def test_trips_counted_apart_are_counted_together_once_their_root_is_known() -> None:
    """Two trips for a remake and one for its root, before the remake's order was heard of."""
    own = History("O-2", {"O-2": Order("O-2", "O-2")}, take_all([visit(0), visit(5)])[0].visits)
    root, _ = take_all([visit(8)])
    merged = domain.merge(root, own)
    placed = pos("pos.order.placed", 0, order_id="O-2", root_order_id="O-1")
    decision = domain.report(RULES, merged, placed, ids(50), now=START, calendars=CALENDARS, patient=None, joined=(own, root))
    assert [event.incident.repeat_count for event in decision.events] == [3]
    assert decision.events[0].incident.root_order_id == "O-1"
