"""The clock, the ladder and the commands of a case, in virtual time: each test is named for the behaviour it holds.

Method: a tiny bench plays the part of the use cases and of the timer table. It keeps the case and the timers a decision sets, fires what is
due in order, with the due time as "now", and remembers every event.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.escalation.domain import clock, commands, explain, ladder, take
from services.escalation.domain.case import Case, Store
from services.escalation.domain.plan import Policies
from shared.calendars import Calendar
from shared.contracts.cases import CaseEvent
from shared.contracts.incidents import Incident
from shared.kernel.decision import Decision, Schedule
from shared.kernel.errors import Rejected
from shared.kernel.ids import new_id, reference

pytestmark = pytest.mark.unit

FOLDER = Path(clock.__file__).parents[1] / "policy"
POLICIES = Policies.load(*((FOLDER / f"{name}.toml").read_text() for name in ("severity", "sla", "pauses")))
WEEK = {day: [("09:00", "18:00")] for day in ("mon", "tue", "wed", "thu", "fri")}
SHOP = Store("store-12", "north", Calendar("America/New_York", WEEK), ("ana",), ("ana", "ben"), ("mia",), ("rex",))
MON_9 = datetime(2026, 11, 23, 14, tzinfo=UTC)
Key = tuple[str, str, int]


def at(hour: int, minute: int = 0, day: int = 23) -> datetime:
    """A moment of November 2026 on the wall of New York (UTC-5)."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC) + timedelta(hours=5)


def incident(kind: str = "order_remade", **fields: Any) -> Incident:
    base: dict[str, Any] = {
        "incident_id": new_id(), "incident_type": kind, "catalyst": "remade_order", "location_id": "store-12", "patient_ref": "P-1001",
        "root_order_id": "o-1", "occurred_at": MON_9, "reported_at": MON_9,
    }  # fmt: skip
    return Incident(**base | fields)


class Bench:
    """One case, its timers and its history."""

    def __init__(
        self, first: Incident | None = None, *, store: Store = SHOP, now: datetime = MON_9, load: dict[str, int] | None = None
    ) -> None:
        self.store, self.timers, self.events, self.fired = store, dict[Key, datetime | None](), list[CaseEvent](), list[Key]()
        found = first or incident()
        self.apply(take.open_case(found, POLICIES.plan_for(found), new_id(), reference(1), store, load or {}, now))

    def apply(self, decision: Decision[Case]) -> Decision[Case]:
        self.case = decision.state
        self.events += decision.events
        for timer in decision.timers:
            if isinstance(timer, Schedule):
                key = (timer.kind, timer.name, timer.generation)
                assert key not in self.fired, f"{key} was fired and is armed again without a new generation"
                self.timers[key] = timer.due_at
            else:
                for kind, name, generation in list(self.timers):
                    if kind == timer.kind and timer.name in (None, name) and timer.generation in (None, generation):
                        del self.timers[kind, name, generation]
        return decision

    def run(self, until: datetime) -> list[CaseEvent]:
        """Let time pass: every timer due by then fires once, in order. Answers what was said meanwhile."""
        said = len(self.events)
        for _ in range(500):
            due = sorted((when, key) for key, when in self.timers.items() if when is not None and when <= until)
            if not due:
                return self.events[said:]
            when, key = due[0]
            del self.timers[key]
            self.fired.append(key)
            self.apply(self._fire(key, when))
        raise AssertionError("the ladder never comes to rest")

    def _fire(self, key: Key, when: datetime) -> Decision[Case]:
        kind, name, generation = key
        if kind == "target":
            return ladder.breach(self.case, name, generation, self.store, when)  # type: ignore[arg-type]
        if kind == "warning":
            milestone, percent = name.split(":")
            return clock.warn(self.case, milestone, int(percent), generation, self.store, when)  # type: ignore[arg-type]
        if kind == "step":
            return ladder.step(self.case, int(name), generation, self.store, when)
        if kind == "ack_expiry":
            return ladder.expire(self.case, generation, self.store, when)
        return clock.pause_ran_out(self.case, name, generation, self.store, when)

    def do(self, command: Callable[..., Decision[Case]], when: datetime, *args: Any, **kwargs: Any) -> Decision[Case]:
        return self.apply(command(self.case, *args, self.store, when, "ana", **kwargs))

    def acknowledge(self, when: datetime) -> Decision[Case]:
        return self.apply(commands.acknowledge(self.case, self.store, when, "ana", "ana"))

    def hear(self, when: datetime) -> Decision[Case]:
        return self.do(commands.tell_story, when, has_words=True, is_new=True, read_back=True)

    def due(self, milestone: str) -> datetime | None:
        target = self.case.target(milestone)  # type: ignore[arg-type]
        assert target is not None
        return target.due_at

    def state(self, milestone: str) -> str:
        target = self.case.target(milestone)  # type: ignore[arg-type]
        assert target is not None
        return target.state


def said(events: list[CaseEvent], name: str) -> list[Any]:
    return [event for event in events if type(event).__name__ == name]


def names(events: list[CaseEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(Rejected) as refused:
        act()
    return refused.value.code


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
    assert POLICIES.plan_for(found).severity == severity


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
    bench.apply(take.attach(bench.case, worse, POLICIES.plan_for(worse), bench.store, at(9, 50)))
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
    bench.apply(take.attach(bench.case, mild, POLICIES.plan_for(mild), bench.store, at(9, 5)))
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
    assert clock.elapsed_percent(contact, SHOP, at(10, 59)) == 99


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
    bench.apply(take.attach(bench.case, mild, POLICIES.plan_for(mild), bench.store, morning))
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
    assert ladder.owner_now(SHOP, {"ana": 9}) == "ana"
    assert ladder.owner_now(nobody, {"ana": 2, "ben": 1}) == "ben"
    assert ladder.owner_now(nobody, {}) == "ana"
    assert ladder.owner_now(replace(nobody, associates=()), {}) == "mia"
    assert ladder.owner_now(replace(nobody, associates=(), managers=()), {}) == "rex"
    unowned = Bench(store=replace(nobody, associates=(), managers=(), regionals=()))
    assert unowned.case.owner_staff_id is None


def test_an_incident_for_a_resolved_case_reopens_it() -> None:
    bench = Bench()
    bench.hear(at(9, 11))
    bench.do(lambda case, *rest: commands.resolve(case, "lab_error", "remake", *rest), at(9, 12))
    more = incident("order_late")
    decision = bench.apply(take.attach(bench.case, more, POLICIES.plan_for(more), bench.store, at(9, 20)))
    assert names(list(decision.events)) == ["IncidentAttached", "CaseReopened"]
    assert (bench.case.status, bench.case.incidents, bench.due("acknowledge")) == ("open", 2, at(9, 50))


def test_every_event_has_a_version_of_its_own_and_the_case_after_it() -> None:
    bench = Bench(incident("repeat_visit"))
    bench.run(at(10))
    bench.acknowledge(at(10, 1))
    assert [event.version for event in bench.events] == list(range(1, bench.case.version + 1))
    assert bench.events[-1].status == "acknowledged"


def test_the_clock_is_told_in_plain_words() -> None:
    bench = Bench()
    bench.run(at(9, 40))
    bench.acknowledge(at(9, 45))
    kept = [explain.Recorded(e.version, e.at, e.by, e.type_name, e.model_dump(mode="json")) for e in bench.events]
    first = explain.tell(bench.case, kept, SHOP, at(9, 50))[0]
    assert [line.what for line in first.history] == ["planned", "warned", "warned", "breached", "met late"]
    assert first.history[0].words == "30 min of open time, until Mon 23 Nov 09:30."
    assert first.history[-1].words == "Reached late at Mon 23 Nov 09:45 by ana."
