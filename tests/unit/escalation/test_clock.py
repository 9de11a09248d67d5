"""Targets, warnings, breaches, pauses and segments: each test is named for the behaviour it holds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.escalation.domain import clock, commands, explain, take, warning
from services.escalation.domain.case import elapsed_percent
from shared.calendars import Calendar
from shared.contracts.incidents import Incident
from shared.kernel.ids import new_id, reference
from tests.unit.escalation.bench import MON_9, SHOP, WEEK, Bench, at, code_of, incident, plan_of, said

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("found", "severity"),
    [
        (incident("refund_or_return", is_dispute=True), 1),
        (incident("refund_or_return"), 3),
        (incident("repeat_visit"), 2),
        (incident("voice_of_patient"), 2),
        (incident("order_remade"), 3),
        (incident("order_remade", repeat_count=2), 2),
        (incident("order_late"), 3),
    ],
)
def test_severity_by_table(found: Incident, severity: int) -> None:
    assert plan_of(found).severity == severity


def test_an_opened_case_has_an_owner_targets_in_open_time_and_a_promise() -> None:
    bench = Bench(incident("repeat_visit"))
    opened = bench.events[0]
    assert [bench.due(m) for m in clock.MILESTONES] == [at(9, 15), at(10), at(13), at(18, day=24)]
    assert opened.page == ("ana",)  # type: ignore[attr-defined]
    assert opened.next_contact_by == at(10)  # type: ignore[attr-defined]
    assert (bench.case.owner_staff_id, bench.case.level, bench.case.version) == ("ana", 0, 1)


def test_4_a_due_time_that_lands_on_closing_is_spelled_as_the_closing() -> None:
    assert Bench(incident("repeat_visit")).due("resolve") == at(18, day=24)


def test_6_targets_count_in_the_stores_own_zone() -> None:
    phoenix = replace(SHOP, calendar=Calendar("America/Phoenix", WEEK))
    # 22:30Z is 15:30 in Phoenix and 17:30 in New York: 2 h from there.
    start = datetime(2026, 11, 23, 22, 30, tzinfo=UTC)
    assert Bench(store=phoenix, now=start).due("contact") == start + timedelta(hours=2)
    assert Bench(now=start).due("contact") == at(10, 30, day=24)


def test_7_warnings_count_in_open_time_and_go_to_the_owner_only() -> None:
    bench = Bench(now=at(17))
    warned = said(bench.run(at(9, 36, day=24)), "TargetAtRisk")
    # Contact: 2 open hours from Mon 17:00; 80 % is Tue 09:36, not Mon 18:36.
    assert ("contact", 80, at(9, 36, day=24)) in [(event.milestone, event.percent, event.at) for event in warned]
    assert {event.page for event in warned} == {("ana",)}
    assert bench.case.target("contact").warned == (50, 80)  # type: ignore[union-attr]


def test_8_pause_stops_clock_and_notices_and_resume_moves_by_paused_open_time() -> None:
    bench = Bench(now=at(9, day=20))
    bench.acknowledge(at(9, 10, day=20))
    bench.do(commands.act, at(9, 20, day=20), "call")
    before = bench.due("resolve")
    assert before == at(18, day=24)
    bench.apply(clock.pause(bench.case, "waiting_for_lab", bench.store, at(17, day=20), "ana"))
    assert bench.state("resolve") == "paused"
    assert bench.run(at(10)) == []
    # Fri 17:00 to Mon 10:00 are 2 open hours (17-18, 9-10), not 65.
    bench.apply(clock.resume(bench.case, bench.store, at(10), "ana"))
    assert bench.due("resolve") == at(11, day=25)
    assert (bench.state("resolve"), bench.timers["target", "resolve", 1]) == ("running", at(11, day=25))


def test_8_each_pause_reason_has_a_budget_and_the_clock_runs_again_when_it_is_used_up() -> None:
    bench = Bench()
    bench.acknowledge(at(9, 10))
    budget = bench.case.plan.pause_budgets["waiting_for_patient"]
    bench.apply(clock.pause(bench.case, "waiting_for_patient", bench.store, at(9, 30), "ana"))
    events = bench.run(at(18, day=30))
    resumed = said(events, "ClockResumed")[0]
    assert clock.spent(bench.case, "waiting_for_patient", SHOP) == budget
    assert (resumed.at, resumed.owner_staff_id) == (at(9, 30, day=26), "ana")
    # A new acknowledgement and the next attempt: nothing is left to spend.
    bench.acknowledge(at(9, day=30) + timedelta(days=1))
    refusal = code_of(lambda: clock.pause(bench.case, "waiting_for_patient", bench.store, at(10, day=30) + timedelta(days=1), "ana"))
    assert refusal == "pause-budget-used"


def test_8_a_pause_cannot_silence_the_ladder_and_takes_known_reasons_only() -> None:
    bench = Bench()
    assert code_of(lambda: clock.pause(bench.case, "waiting_for_lab", bench.store, at(9, 1), "ana")) == "not-acknowledged"
    assert code_of(lambda: clock.pause(bench.case, "lunch", bench.store, at(9, 1), "ana")) == "unknown-pause-reason"


def test_8_the_patients_clock_never_pauses() -> None:
    bench = Bench()
    bench.acknowledge(at(9, 10))
    bench.apply(clock.pause(bench.case, "waiting_for_lab", bench.store, at(9, 30), "ana"))
    assert explain.patients_clock_seconds(bench.case, at(11)) == 2 * 3600


def test_9_reopening_starts_a_new_segment_and_the_old_result_stays() -> None:
    bench = Bench()
    bench.acknowledge(at(9, 10))
    bench.hear(at(9, 20))
    bench.do(lambda case, *rest: commands.resolve(case, "lab_error", "remake", *rest), at(10))
    bench.do(commands.reopen, at(11))
    old = [target.state for target in bench.case.targets if target.segment == 1 and target.milestone == "resolve"]
    assert (old, bench.state("resolve"), bench.due("acknowledge")) == (["met"], "running", at(11, 30))
    assert (bench.case.status, bench.case.level, bench.case.generation) == ("open", 0, 2)
    assert bench.run(at(11, 30))[-1].level == 1


def test_10_resolving_and_closing_stop_every_clock() -> None:
    bench = Bench()
    bench.acknowledge(at(9, 10))
    bench.hear(at(9, 20))
    bench.do(lambda case, *rest: commands.resolve(case, "lab_error", "remake", *rest), at(10))
    assert (bench.timers, bench.state("contact"), bench.state("resolve")) == ({}, "cancelled", "met")
    bench.do(commands.close, at(10, 5))
    assert bench.timers == {}
    bench.do(commands.add_note, at(12))
    assert (bench.timers, bench.run(at(18, day=30))) == ({}, [])
    assert explain.patients_clock_seconds(bench.case, at(18)) == 3600


def test_11_reply_and_wait_for_the_patient_first_meets_the_contact_target_then_pauses() -> None:
    bench = Bench()
    bench.acknowledge(at(9, 10))
    bench.do(commands.act, at(9, 20), "text")
    bench.apply(clock.pause(bench.case, "waiting_for_patient", bench.store, at(9, 20), "ana"))
    assert (bench.state("contact"), bench.state("action"), bench.state("resolve")) == ("met", "paused", "paused")


def test_12_an_unmet_contact_target_shows_first_even_when_a_later_kind_is_nearer() -> None:
    bench = Bench()
    bench.acknowledge(at(9, 10))
    action = bench.case.target("action")
    assert action is not None
    nearer = replace(action, due_at=at(9, 15))
    case = replace(bench.case, targets=tuple(nearer if target == action else target for target in bench.case.targets))
    shown = clock.shown_first(case)
    assert shown is not None and shown.milestone == "contact"


def test_13_a_more_severe_incident_plans_anew_from_the_start_and_breaches_stay() -> None:
    bench = Bench()
    bench.run(at(9, 45))
    assert bench.state("acknowledge") == "breached"
    worse = incident("refund_or_return", is_dispute=True)
    bench.apply(take.attach(bench.case, worse, plan_of(worse), bench.store, at(9, 50)))
    assert (bench.case.severity, bench.case.incidents, bench.due("action"), bench.due("resolve")) == (1, 2, at(11), at(17))
    assert (bench.state("acknowledge"), bench.due("acknowledge")) == ("breached", at(9, 30))
    raised = said(bench.events, "SeverityRaised")[0]
    assert (raised.was, raised.severity) == (3, 1)
    # Contact was due at 09:30 by the new plan: breached at once, recorded with the planned due time.
    breached = said(bench.run(at(9, 50)), "TargetBreached")
    assert [(event.milestone, event.at, event.due_at) for event in breached] == [("contact", at(9, 50), at(9, 30))]


def test_13_a_case_keeps_its_plan_when_a_milder_incident_attaches() -> None:
    bench = Bench(incident("repeat_visit"))
    plan, timers = bench.case.plan, dict(bench.timers)
    mild = incident("order_late")
    bench.apply(take.attach(bench.case, mild, plan_of(mild), bench.store, at(9, 5)))
    assert (bench.case.plan, bench.timers, bench.case.incidents) == (plan, timers, 2)


@pytest.mark.parametrize(("early", "state"), [(1, "met"), (0, "met_late")])
def test_14_breach_iff_now_is_not_before_due_to_the_microsecond(early: int, state: str) -> None:
    bench = Bench()
    bench.acknowledge(at(9, 30) - timedelta(microseconds=early))
    assert bench.state("acknowledge") == state
    assert said(bench.events, "TargetMet")[0].late == (early == 0)


def test_14_percentages_floor() -> None:
    bench = Bench()
    contact = bench.case.target("contact")
    assert contact is not None
    assert elapsed_percent(bench.case, contact, SHOP, at(10, 59)) == 99


def test_the_clock_is_told_in_plain_words() -> None:
    bench = Bench()
    bench.run(at(9, 40))
    bench.acknowledge(at(9, 45))
    kept = [explain.Recorded(e.version, e.at, e.by, e.type_name, e.model_dump(mode="json")) for e in bench.events]
    first = explain.tell(bench.case, kept, SHOP, at(9, 50))[0]
    assert [line.what for line in first.history] == ["planned", "warned", "warned", "breached", "met late"]
    assert first.history[0].words == "30 min of open time, until Mon 23 Nov, 9:30 am."
    assert first.history[-1].words == "Reached late at Mon 23 Nov, 9:45 am by ana."


def test_7_a_warning_that_was_given_is_not_given_again() -> None:
    bench = Bench()
    bench.run(at(9, 15))
    again = warning.warn(bench.case, "acknowledge", "50", 1, SHOP, at(9, 16))
    assert again.is_empty and again.state == bench.case


@pytest.mark.parametrize("kind", ["order_remade", "repeat_visit"])
def test_cases_that_begin_together_get_what_each_would_get_alone(kind: str) -> None:
    """A batch shares one value of the store, on which the first case's targets are kept: the others differ by their subject alone."""
    together, patients = replace(SHOP), ("P-1", "P-2", "P-3")
    for patient in patients:
        found = incident(kind, patient_ref=patient)
        number = new_id()
        shared, alone = (
            take.open_case(found, plan_of(found), number, reference(1), store, {}, MON_9) for store in (together, replace(SHOP))
        )
        assert shared == alone
        assert {timer.subject for timer in shared.timers} == {str(number)}
    assert len(together.begun) == 1
    elsewhere = replace(together, calendar=Calendar("America/Chicago", WEEK))
    counted_anew = take.open_case(incident(kind), plan_of(incident(kind)), new_id(), reference(1), elsewhere, {}, MON_9)
    assert counted_anew.state.targets[0].due_at != shared.state.targets[0].due_at
