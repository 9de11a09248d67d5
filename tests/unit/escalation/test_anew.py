"""A case counted anew: each test is named for the behaviour it holds."""

from dataclasses import replace

import pytest

from services.escalation.domain import anew, clock, commands
from shared.calendars import Calendar
from tests.unit.escalation.bench import SHOP, WEEK, Bench, at, said

pytestmark = pytest.mark.unit

LATER = replace(SHOP, calendar=Calendar("America/New_York", {day: [("10:00", "16:00")] for day in WEEK}), hours=7)
CLOSED_TODAY = replace(SHOP, calendar=Calendar("America/New_York", WEEK, ["2026-11-23"]), hours=8)


def test_13_changed_hours_move_what_runs_from_the_start_of_its_segment_in_one_event() -> None:
    bench = Bench()
    moved = bench.apply(anew.on_new_hours(bench.case, LATER, at(9, 5)))
    # Thirty minutes, two, nine and twenty-seven open hours from ten o'clock, six hours a day.
    dues = {target.milestone: target.due_at for target in bench.case.current}
    assert dues == {"acknowledge": at(10, 30), "contact": at(12), "action": at(13, day=24), "resolve": at(13, day=27)}
    assert [(type(event).__name__, event.why) for event in moved.events] == [("CaseReplanned", "hours_changed")]
    assert {target.hours for target in moved.events[0].targets} == {7}
    assert bench.timers["target", "contact", 1] == at(12)
    assert bench.timers["warning", "contact:50", 1] == at(11)


def test_13_hours_that_are_changed_back_give_back_the_same_due_times_and_timers() -> None:
    bench = Bench()
    before, timers = [target.due_at for target in bench.case.current], dict(bench.timers)
    bench.apply(anew.on_new_hours(bench.case, LATER, at(9, 5)))
    bench.apply(anew.on_new_hours(bench.case, SHOP, at(9, 6)))
    assert ([target.due_at for target in bench.case.current], bench.timers) == (before, timers)


def test_13_hours_that_move_nothing_say_nothing() -> None:
    bench = Bench()
    far = replace(SHOP, calendar=Calendar("America/New_York", WEEK, ["2027-12-24"]), hours=9)
    same = anew.on_new_hours(bench.case, far, at(9, 5))
    assert (same.events, same.state) == ((), bench.case)


def test_13_a_breach_stays_and_the_ladders_next_step_moves_with_the_hours() -> None:
    bench = Bench()
    bench.run(at(9, 30))
    assert bench.timers["step", "1", 1] == at(9, 45)
    bench.apply(anew.on_new_hours(bench.case, LATER, at(9, 35)))
    assert (bench.state("acknowledge"), bench.due("acknowledge")) == ("breached", at(9, 30))
    assert bench.timers["step", "1", 1] == bench.case.step_due_at == at(10, 15)
    bench.store = LATER
    stepped = said(bench.run(at(10, 45)), "EscalationStepped")
    assert [(event.step, event.at) for event in stepped] == [(1, at(10, 15)), (2, at(10, 45))]


def test_13_a_stale_acknowledgement_and_the_end_of_a_pause_move_with_the_hours() -> None:
    bench = Bench()
    bench.acknowledge(at(9, 10))
    assert bench.timers["ack_expiry", "ack", 1] == at(13, 10)
    bench.apply(anew.on_new_hours(bench.case, LATER, at(9, 15)))
    assert bench.timers["ack_expiry", "ack", 1] == bench.case.expires_at == at(14)
    bench.apply(anew.on_new_hours(bench.case, SHOP, at(9, 16)))
    bench.apply(clock.pause(bench.case, "waiting_for_patient", bench.store, at(9, 30), "ana"))
    until = bench.case.paused_until
    moved = bench.apply(anew.on_new_hours(bench.case, LATER, at(9, 45)))
    assert until is not None and bench.case.paused_until is not None and bench.case.paused_until > until
    assert bench.timers["pause_end", "waiting_for_patient", 1] == bench.case.paused_until
    assert (bench.state("resolve"), bench.timers["target", "resolve", 1], len(moved.events)) == ("paused", None, 1)


def test_13_hours_that_put_a_deadline_behind_us_breach_it_at_once_with_its_planned_due_time() -> None:
    bench = Bench(store=LATER, now=at(9))
    bench.store = SHOP
    bench.apply(anew.on_new_hours(bench.case, SHOP, at(9, 40)))
    breached = said(bench.run(at(9, 40)), "TargetBreached")
    assert [(event.milestone, event.at, event.due_at) for event in breached] == [("acknowledge", at(9, 40), at(9, 30))]
    # Of the warnings that lie behind us none is given any more; what comes next is.
    assert [key for key in bench.timers if key[0] == "warning"] == [
        ("warning", "contact:50", 1), ("warning", "action:50", 1), ("warning", "resolve:50", 1),
    ]  # fmt: skip


def test_10_changed_hours_wake_no_case_that_is_over() -> None:
    bench = Bench()
    bench.acknowledge(at(9, 10))
    bench.hear(at(9, 20))
    bench.do(lambda case, *rest: commands.resolve(case, "lab_error", "remake", *rest), at(10))
    assert anew.on_new_hours(bench.case, CLOSED_TODAY, at(11)).is_empty
