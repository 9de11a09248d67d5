"""The ladder, the owner, the commands and what attaching does: tests are named for the behaviour they hold."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.escalation.domain import commands, ladder, take, who
from tests.unit.escalation.bench import MON_9, SHOP, Bench, at, code_of, incident, names, plan_of, said

pytestmark = pytest.mark.unit


def test_15_each_step_of_the_ladder_fires_once_at_its_deadline_and_the_owner_stays() -> None:
    bench = Bench()
    climbed: list[Any] = [
        event for event in bench.run(at(11)) if type(event).__name__ in ("TargetBreached", "EscalationStepped") and event.level
    ]
    told = [
        (type(event).__name__, event.at, event.level, event.page)
        for event in climbed
        if getattr(event, "milestone", "acknowledge") == "acknowledge"
    ]
    assert told == [
        ("TargetBreached", at(9, 30), 1, ("mia",)),
        ("EscalationStepped", at(9, 45), 2, ("rex",)),
        ("EscalationStepped", at(10, 15), 2, ("rex",)),
        ("EscalationStepped", at(10, 45), 2, ("rex",)),
    ]
    assert len(bench.fired) == len(set(bench.fired))
    assert bench.case.owner_staff_id == "ana"
    assert ladder.step(bench.case, 1, 1, SHOP, at(11)).is_empty, "a step that was taken is not taken again"


def test_15_a_breach_that_is_fired_again_changes_nothing() -> None:
    bench = Bench()
    bench.run(at(9, 30))
    again = ladder.breach(bench.case, "acknowledge", 1, SHOP, at(9, 30))
    assert again.is_empty and again.state == bench.case


def test_16_acknowledgement_wins_the_race() -> None:
    bench = Bench()
    bench.run(at(9, 40))
    decision = bench.acknowledge(at(9, 45))
    assert not any(kind == "step" for kind, _, _ in bench.timers)
    acknowledged = said(list(decision.events), "CaseAcknowledged")[0]
    assert (acknowledged.generation, acknowledged.expires_at, bench.state("acknowledge")) == (1, at(13, 45), "met_late")
    assert ladder.step(bench.case, 1, 1, SHOP, at(9, 45)).is_empty, "the step that was due in the same moment finds it taken"
    assert bench.acknowledge(at(9, 50)).is_empty


def test_16_an_acknowledgement_expires_and_pages_its_giver_and_whoever_is_on_duty_now() -> None:
    bench = Bench()
    bench.acknowledge(at(9, 10))
    bench.store = replace(SHOP, on_duty=("ben",))
    events = bench.run(at(13, 40))
    expired = said(events, "AcknowledgementExpired")[0]
    assert (expired.at, expired.page, expired.status, expired.level, expired.generation) == (at(13, 10), ("ana", "ben"), "open", 0, 2)
    stepped = said(events, "EscalationStepped")[0]
    assert (stepped.at, stepped.level, stepped.page, stepped.generation, stepped.step) == (at(13, 40), 1, ("mia",), 2, 1)


def test_16_contact_or_action_keeps_an_acknowledgement_fresh() -> None:
    bench = Bench()
    bench.acknowledge(at(9, 10))
    bench.do(commands.act, at(13, 0), "call")
    assert said(bench.run(at(18, day=25)), "AcknowledgementExpired") == []


def test_16_an_expired_acknowledgement_climbs_on_from_its_level() -> None:
    bench = Bench()
    bench.run(at(9, 45))
    bench.acknowledge(at(9, 50))
    events = bench.run(at(14, 20))
    assert said(events, "AcknowledgementExpired")[0].level == 2
    assert [(event.at, event.level) for event in said(events, "EscalationStepped")] == [(at(14, 20), 2)]


def test_16_a_case_silent_for_seven_days_wakes_nobody_until_something_stirs() -> None:
    bench = Bench()
    events = bench.run(at(18, day=30))
    late = [event for event in said(events, "EscalationStepped") if event.at >= MON_9 + timedelta(days=7)]
    assert (late, bench.case.is_asleep) == ([], True)
    mild = incident("order_late")
    morning = at(9, day=30) + timedelta(days=1)
    bench.apply(take.attach(bench.case, mild, plan_of(mild), bench.store, morning))
    woken = said(bench.run(morning + timedelta(minutes=30)), "EscalationStepped")
    assert [event.generation for event in woken] == [2]


def test_17_what_follows_a_late_timer_counts_from_its_due_time() -> None:
    late, on_time = Bench(), Bench()
    on_time.run(at(9, 30))
    on_time.run(at(9, 45))
    # The first one was down from 09:00 to 10:00: the same steps, with the same times, in one go.
    late.run(at(10))
    assert [(e.at, e.level) for e in late.events if e.at <= at(9, 45)] == [(e.at, e.level) for e in on_time.events]


def test_19_a_resolution_before_the_story_is_confirmed_is_refused() -> None:
    bench = Bench()
    assert code_of(lambda: commands.resolve(bench.case, "lab_error", "remake", SHOP, at(10), "ana")) == "story-not-confirmed"
    bench.do(commands.tell_story, at(10), has_words=True, is_new=True, read_back=False)
    assert code_of(lambda: commands.resolve(bench.case, "lab_error", "remake", SHOP, at(10), "ana")) == "story-not-confirmed"
    assert (
        code_of(lambda: commands.tell_story(bench.case, SHOP, at(10), "ana", has_words=False, is_new=False, read_back=True))
        == "story-empty"
    )
    bench.hear(at(10, 1))
    bench.do(lambda case, *rest: commands.resolve(case, "lab_error", "remake", *rest), at(10, 2))
    assert bench.case.status == "resolved"


def test_obeyed_commands_repeat_as_empty_decisions() -> None:
    bench = Bench()
    bench.acknowledge(at(9, 10))
    bench.hear(at(9, 11))
    assert bench.do(commands.tell_story, at(9, 12), has_words=True, is_new=False, read_back=True).is_empty
    bench.do(lambda case, *rest: commands.assign(case, "ben", *rest), at(9, 13))
    assert bench.do(lambda case, *rest: commands.assign(case, "ben", *rest), at(9, 14)).is_empty
    for command in (lambda case, *rest: commands.resolve(case, "lab_error", "remake", *rest), commands.close):
        assert not bench.do(command, at(9, 15)).is_empty
        version = bench.case.version
        assert bench.do(command, at(9, 16)).is_empty and bench.case.version == version
    assert code_of(lambda: commands.acknowledge(bench.case, SHOP, at(9, 17), "ana", "ana")) == "case-closed"


def test_milestones_are_met_by_what_the_contract_says() -> None:
    bench = Bench()
    bench.do(commands.act, at(9, 5), "visit")
    assert (bench.state("contact"), bench.state("action"), bench.state("acknowledge")) == ("met", "running", "running")
    bench.do(commands.act, at(9, 6), "offer")
    assert bench.state("action") == "met"


def test_the_owner_is_who_is_on_duty_then_the_least_loaded_associate_then_the_manager_then_the_region() -> None:
    nobody = replace(SHOP, on_duty=())
    assert who.owner_now(SHOP, {"ana": 9}) == "ana"
    assert who.owner_now(nobody, {"ana": 2, "ben": 1}) == "ben"
    assert who.owner_now(nobody, {}) == "ana"
    assert who.owner_now(replace(nobody, associates=()), {}) == "mia"
    assert who.owner_now(replace(nobody, associates=(), managers=()), {}) == "rex"
    unowned = Bench(store=replace(nobody, associates=(), managers=(), regionals=()))
    assert unowned.case.owner_staff_id is None


def test_an_incident_for_a_resolved_case_reopens_it() -> None:
    bench = Bench()
    bench.hear(at(9, 11))
    bench.do(lambda case, *rest: commands.resolve(case, "lab_error", "remake", *rest), at(9, 12))
    more = incident("order_late")
    decision = bench.apply(take.attach(bench.case, more, plan_of(more), bench.store, at(9, 20)))
    assert names(list(decision.events)) == ["IncidentAttached", "CaseReopened"]
    assert (bench.case.status, bench.case.incidents, bench.due("acknowledge")) == ("open", 2, at(9, 50))


def test_every_event_has_a_version_of_its_own_and_the_case_after_it() -> None:
    bench = Bench(incident("repeat_visit"))
    bench.run(at(10))
    bench.acknowledge(at(10, 1))
    assert [event.version for event in bench.events] == list(range(1, bench.case.version + 1))
    assert bench.events[-1].status == "acknowledged"


def test_15_a_step_of_an_older_generation_finds_nothing_to_do() -> None:
    bench = Bench()
    bench.acknowledge(at(9, 10))
    bench.run(at(13, 10))
    assert (bench.case.status, bench.case.generation, bench.case.step) == ("open", 2, 0)
    assert ladder.step(bench.case, 1, 1, SHOP, at(13, 11)).is_empty


def test_16_an_acknowledgement_cannot_expire_once_the_case_is_resolved() -> None:
    bench = Bench()
    bench.acknowledge(at(9, 10))
    bench.hear(at(9, 20))
    bench.do(lambda case, *rest: commands.resolve(case, "lab_error", "remake", *rest), at(10))
    assert bench.case.expires_at is None
    assert ladder.expire(bench.case, 1, SHOP, at(13, 10)).is_empty
