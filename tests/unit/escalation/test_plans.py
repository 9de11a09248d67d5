"""The plan of a case: which row of which version gives it, the next update, elapsed time, warnings, and planning anew."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from pydantic import TypeAdapter

from services.escalation.domain import anew, clock, commands, explain
from services.escalation.domain.case import Case, Plan, elapsed_percent
from services.escalation.domain.plan import Facts, Policies
from shared.calendars import Calendar
from shared.contracts.incidents import Incident
from shared.policy import BadTable, NoneInForce
from tests.unit.escalation.bench import SHOP, TEXTS, WEEK, Bench, at, code_of, incident, names, plan_of, said

pytestmark = pytest.mark.unit

ALL_HOURS = {day: [("00:00", "24:00")] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
EIGHT_TO_SIX = {day: [("08:00", "18:00")] for day in WEEK}


def sla(begins: str, version: int, *changes: tuple[str, str]) -> str:
    """Another version of the shipped SLA table."""
    text = TEXTS["sla"][0].replace("version = 1", f"version = {version}").replace("2020-01-01", begins)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def with_sla(*texts: str) -> Policies:
    return Policies.load(TEXTS | {"sla": [*TEXTS["sla"], *texts]}, date(2026, 11, 1))


def problems(*changes: tuple[str, str]) -> tuple[str, ...]:
    with pytest.raises(BadTable) as refused:
        Policies.load(TEXTS | {"sla": [sla("2020-01-01", 1, *changes)]}, date(2026, 11, 1))
    return refused.value.problems


def resolved(bench: Bench, when: datetime) -> None:
    bench.hear(when)
    bench.do(lambda case, *rest: commands.resolve(case, "lab_error", "remake", *rest), when)


@pytest.mark.parametrize(
    ("found", "row", "minutes"),
    [
        (incident("refund_or_return", is_dispute=True), "severity-1", (10, 30, 120, 480)),
        (incident("repeat_visit", repeat_count=3), "severity-2", (15, 60, 240, 1080)),
        (incident("order_late"), "severity-3", (30, 120, 540, 1620)),
    ],
)
def test_26_the_plan_shipped_is_the_contracts_and_says_which_row_gave_it(found: Incident, row: str, minutes: tuple[int, ...]) -> None:
    plan = plan_of(found)
    assert tuple(plan.seconds[name] // 60 for name in clock.MILESTONES) == minutes
    assert (plan.warn_percents, plan.warn_before_seconds, plan.elapsed) == ((50, 80), (), ())
    assert plan.decision == {
        "table": "sla", "version": 1, "row": row,
        "inputs": {
            "incident_type": found.incident_type, "severity": plan.severity, "catalyst": "remade_order", "channel": None,
            "payer": "unknown", "repeat_count": found.repeat_count,
        },
    }  # fmt: skip
    assert plan.severity_decision is not None and plan.severity_decision["table"] == "severity"


def test_26_every_input_of_the_table_can_decide() -> None:
    """A table in force from a day on gives a federal patient who wrote on the web for the third time a contact within ten minutes."""
    row = '[[rows]]\nid = "severity-3"\nwhen = { severity = { from = 3 }'
    text = sla("2026-11-23", 2, (row, f'{row}, payer = {{ not = "federal" }}'))
    then = text.partition('id = "severity-3"')[2].partition("\nthen = ")[2]
    cells = 'incident_type = "order_late", catalyst = "late_order", channel = "web", repeat_count = { from = 3 }'
    others = [
        'incident_type = { not = "order_late" }',
        'incident_type = "order_late", catalyst = { not = "late_order" }',
        'incident_type = "order_late", catalyst = "late_order", channel = { not = "web" }',
        'incident_type = "order_late", catalyst = "late_order", channel = "unknown"',
        'incident_type = "order_late", catalyst = "late_order", channel = "web", repeat_count = { to = 2 }',
    ]
    federal = 'when = { severity = { from = 3 }, payer = "federal", '
    text += f'[[rows]]\nid = "exact"\n{federal}{cells} }}\nthen = {then.replace("contact_minutes = 120", "contact_minutes = 10")}'
    for n, other in enumerate(others):
        text += f'[[rows]]\nid = "other-{n}"\n{federal}{other} }}\nthen = {then}'
    policies = with_sla(text)
    asked = Facts("order_late", False, 3, "late_order", "web", "federal")
    assert policies.plan_for(asked, date(2026, 11, 23)).seconds["contact"] == 600
    assert policies.plan_for(asked, date(2026, 11, 22)).seconds["contact"] == 7200
    for change in ({"payer": "self"}, {"channel": None}, {"repeat_count": 2}, {"catalyst": "other"}, {"incident_type": "no_pickup"}):
        plan = policies.plan_for(replace(asked, **change), date(2026, 11, 23))
        assert plan.seconds["contact"] == 7200, change


def test_26_a_table_that_no_clock_can_run_by_is_refused_with_every_reason() -> None:
    assert problems(("contact_minutes = 120", "contact_minutes = 0")) == ("row severity-3: contact_minutes is at least 1",)
    assert problems(("action_minutes = 540", "action_minutes = -1")) == ("row severity-3: action_minutes is at least 0",)
    percents = "row severity-1: warn_percents are whole numbers from 1 to 99, each higher than the one before"
    assert problems(("[50, 80]", "[80, 50]"))[0] == percents
    assert problems(("elapsed = []", 'elapsed = ["answer"]'))[0].startswith("row severity-1: elapsed names targets")
    assert problems(("warn_minutes_before = []", "warn_minutes_before = [0]"))[0].startswith("row severity-1: warn_minutes_before")
    with_gap = ("severity = { from = 3 }", 'severity = { from = 3 }, payer = "self"')
    assert problems(with_gap)[0].startswith("version 1: no row covers")


def test_26_no_version_in_force_is_an_error_when_the_tables_are_loaded() -> None:
    with pytest.raises(NoneInForce, match="no version is in force on 2026-11-01; the first, version 1, begins on 2026-11-23"):
        Policies.load(TEXTS | {"sla": [sla("2026-11-23", 1)]}, date(2026, 11, 1))


def test_1_elapsed_time_is_utc_time() -> None:
    """24x7, New York: 8 hours over the change of the clocks, for a store that never closes and for a target in elapsed time."""
    plan = replace(plan_of(incident()), elapsed=("contact",), seconds={"acknowledge": 600, "contact": 8 * 3600, "resolve": 8 * 3600})
    never_closes = replace(SHOP, calendar=Calendar("America/New_York", ALL_HOURS))
    spring, autumn = datetime(2026, 3, 8, 1, tzinfo=UTC), datetime(2026, 11, 1, 0, tzinfo=UTC)
    for start, due in ((spring, datetime(2026, 3, 8, 9, tzinfo=UTC)), (autumn, datetime(2026, 11, 1, 8, tzinfo=UTC))):
        bench = Bench(store=never_closes, now=start, plan=plan)
        assert (bench.due("contact"), bench.due("resolve")) == (due, due)


def test_7_warnings_count_back_in_open_time_as_well() -> None:
    """SLA 4 open hours from Mon 17:00, open 8-18: due Tue 11:00; "1 h before" fires Tue 10:00, not at midnight."""
    text = sla(
        "2026-11-23", 2, ("contact_minutes = 120", "contact_minutes = 240"), ("warn_minutes_before = []", "warn_minutes_before = [60]")
    )
    plan = plan_of(incident(), with_sla(text))
    bench = Bench(store=replace(SHOP, calendar=Calendar("America/New_York", EIGHT_TO_SIX)), now=at(17), plan=plan)
    assert bench.due("contact") == at(11, day=24)
    warned = [event for event in said(bench.run(at(11, day=24)), "TargetAtRisk") if event.milestone == "contact"]
    assert [(event.at, event.percent, event.minutes_before) for event in warned] == [
        (at(9, day=24), 50, None), (at(10, day=24), 75, 60), (at(10, 12, day=24), 80, None),
    ]  # fmt: skip
    assert {event.page for event in warned} == {("ana",)}
    assert warned[-1].targets[1].warned


def test_7_warnings_of_elapsed_time_fire_while_the_store_is_closed() -> None:
    plan = replace(plan_of(incident()), elapsed=("contact",), warn_before_seconds=(1800,))
    bench = Bench(now=at(17, 30), plan=plan)
    assert bench.due("contact") == at(19, 30)
    warned = [(event.at, event.minutes_before) for event in said(bench.run(at(20)), "TargetAtRisk") if event.milestone == "contact"]
    assert warned == [(at(18, 30), None), (at(19), 30), (at(19, 6), None)]
    assert ("contact", at(19, 30)) in [(event.milestone, event.at) for event in said(bench.events, "TargetBreached")]


def test_8_a_paused_warning_stands_and_comes_back_with_its_deadline() -> None:
    bench = Bench(plan=replace(plan_of(incident()), warn_before_seconds=(1800,)))
    bench.acknowledge(at(9, 10))
    bench.run(at(10))
    bench.apply(clock.pause(bench.case, "waiting_for_lab", bench.store, at(10, 20), "ana"))
    assert bench.run(at(12, 20)) == []
    assert {when for (kind, _, _), when in bench.timers.items() if kind in ("target", "warning")} == {None}
    bench.apply(clock.resume(bench.case, bench.store, at(12, 20), "ana"))
    warned = [(event.at, event.percent) for event in said(bench.run(at(13)), "TargetAtRisk") if event.milestone == "contact"]
    # Half of the two hours was told at ten; what was to come at 10:30 and 10:36 comes two paused hours later.
    assert (warned, bench.due("contact")) == ([(at(12, 30), 75), (at(12, 36), 80)], at(13))


def test_8_elapsed_time_moves_by_all_of_the_pause() -> None:
    plan = replace(plan_of(incident()), elapsed=("resolve",))
    bench = Bench(now=at(9, day=20), plan=plan)
    bench.acknowledge(at(9, 10, day=20))
    bench.do(commands.act, at(9, 20, day=20), "call")
    assert bench.due("resolve") == at(9, day=20) + timedelta(hours=27)
    bench.apply(clock.pause(bench.case, "waiting_for_lab", bench.store, at(17, day=20), "ana"))
    bench.apply(clock.resume(bench.case, bench.store, at(10), "ana"))
    # Fri 17:00 to Mon 10:00 are 65 hours on the wall and 2 open ones.
    assert bench.due("resolve") == at(9, day=20) + timedelta(hours=27 + 65)
    target = bench.case.target("resolve")
    assert target is not None and elapsed_percent(bench.case, target, SHOP, at(10)) == 8 * 100 // 27


def test_8_a_budget_that_is_used_up_is_told_to_the_owner() -> None:
    bench = Bench()
    bench.acknowledge(at(9, 10))
    bench.apply(clock.pause(bench.case, "waiting_for_patient", bench.store, at(9, 30), "ana"))
    told = said(bench.run(at(9, 30, day=26)), "ClockResumed")
    assert [(event.at, event.page) for event in told] == [(at(9, 30, day=26), ("ana",))]
    by_hand = bench.apply(clock.pause(bench.case, "waiting_for_lab", bench.store, at(9, 40, day=26), "ana"))
    by_hand = bench.apply(clock.resume(bench.case, bench.store, at(9, 50, day=26), "ana"))
    assert [event.page for event in said(list(by_hand.events), "ClockResumed")] == [()]


def test_the_update_begins_with_the_first_contact_and_again_with_each_further_one() -> None:
    bench = Bench(incident("repeat_visit"))
    assert bench.case.target("update") is None
    bench.acknowledge(at(9, 5))
    bench.do(commands.act, at(9, 30), "remake")
    assert bench.case.target("update") is None, "what is done for the glasses is no word to the patient"
    first = bench.do(commands.act, at(10), "call")
    # Nine open hours, a business day of this store; the event that tells of the contact has the update already.
    assert (bench.due("update"), bench.state("update")) == (at(10, day=24), "running")
    met = said(list(first.events), "TargetMet")
    assert [(event.milestone, [t.milestone for t in event.targets]) for event in met] == [
        ("contact", ["acknowledge", "contact", "action", "update", "resolve"])
    ]
    again = bench.do(commands.act, at(16), "text")
    assert [(event.milestone, event.late) for event in said(list(again.events), "TargetMet")] == [("update", False)]
    assert (bench.due("update"), bench.state("update")) == (at(16, day=24), "running")
    assert len([target for target in bench.case.targets if target.milestone == "update"]) == 1


def test_a_missed_update_is_told_to_the_owner_once_and_counted_when_it_comes_late() -> None:
    bench = Bench(incident("repeat_visit"))
    bench.acknowledge(at(9, 5))
    bench.do(commands.act, at(10), "call")
    events = [event for event in bench.run(at(12, day=25)) if getattr(event, "milestone", "") == "update"]
    told = [(type(event).__name__, event.at, event.page, getattr(event, "percent", None)) for event in events]  # type: ignore[attr-defined]
    assert told == [
        ("TargetAtRisk", at(14, 30), ("ana",), 50),
        ("TargetAtRisk", at(17, 12), ("ana",), 80),
        ("TargetBreached", at(10, day=24), ("ana",), None),
    ]
    assert (bench.state("update"), bench.case.level) == ("breached", 0)
    late = said(list(bench.do(commands.act, at(12, day=25), "email").events), "TargetMet")[0]
    assert (late.milestone, late.late, [target.missed for target in late.targets]) == ("update", True, [0, 0, 0, 1, 0])
    assert (bench.state("update"), bench.due("update")) == ("running", at(12, day=26))


def test_14_an_update_is_late_from_its_due_time_on_to_the_microsecond() -> None:
    for early, late in ((1, False), (0, True)):
        bench = Bench(incident("repeat_visit"))
        bench.acknowledge(at(9, 5))
        bench.do(commands.act, at(10), "call")
        met = bench.do(commands.act, at(10, day=24) - timedelta(microseconds=early), "call")
        assert [event.late for event in said(list(met.events), "TargetMet")] == [late]


def test_10_thanks_after_the_resolution_starts_nothing() -> None:
    bench = Bench()
    bench.acknowledge(at(9, 5))
    bench.do(commands.act, at(9, 10), "call")
    resolved(bench, at(10))
    assert (bench.state("update"), bench.timers) == ("cancelled", {})
    assert code_of(lambda: commands.act(bench.case, "text", SHOP, at(10, 5), "ana")) == "case-resolved"
    bench.do(commands.add_note, at(10, 6))
    assert (bench.timers, bench.run(at(18, day=30)), bench.state("update")) == ({}, [], "cancelled")


def test_9_a_reopened_case_owes_an_update_only_after_its_own_first_contact() -> None:
    bench = Bench()
    bench.acknowledge(at(9, 5))
    bench.do(commands.act, at(9, 10), "call")
    resolved(bench, at(10))
    bench.do(commands.reopen, at(11))
    assert bench.case.target("update") is None
    bench.do(commands.act, at(11, 30), "call")
    rounds = [(target.segment, target.round, target.state) for target in bench.case.targets if target.milestone == "update"]
    assert rounds == [(1, 1, "cancelled"), (2, 2, "running")]
    assert ("target", "update", 2) in bench.timers


def test_11_reply_and_wait_for_the_patient_is_one_act_with_two_facts() -> None:
    bench = Bench()
    bench.acknowledge(at(9, 5))
    act = commands.act_then_pause(bench.case, "text", "waiting_for_patient", SHOP, at(9, 20), "ana")
    bench.apply(act)
    assert names(list(act.events)) == ["ActionRecorded", "TargetMet", "ClockPaused"]
    assert [bench.state(name) for name in ("contact", "action", "update", "resolve")] == ["met", "paused", "paused", "paused"]
    assert bench.run(at(18)) == []
    bench.apply(clock.resume(bench.case, SHOP, at(11, 20), "ana"))
    # 18 open hours from 9:20, the two paused ones left out.
    assert bench.due("update") == at(11, 20, day=25)


def test_11_where_the_clock_may_not_stand_nothing_is_recorded() -> None:
    bench = Bench()
    assert code_of(lambda: commands.act_then_pause(bench.case, "text", "waiting_for_patient", SHOP, at(9, 20), "ana")) == "not-acknowledged"
    bench.acknowledge(at(9, 5))
    assert code_of(lambda: commands.act_then_pause(bench.case, "text", "lunch", SHOP, at(9, 20), "ana")) == "unknown-pause-reason"


def test_12_an_unmet_contact_shows_before_an_update_could_be_nearer() -> None:
    bench = Bench()
    bench.acknowledge(at(9, 5))
    bench.do(commands.act, at(9, 10), "call")
    shown = clock.shown_first(bench.case)
    assert shown is not None and shown.milestone == "action"
    resolved(bench, at(10))
    bench.do(commands.reopen, at(11))
    bench.acknowledge(at(11, 5))
    shown = clock.shown_first(bench.case)
    assert shown is not None and (shown.milestone, shown.segment) == ("contact", 2)


def replanned(bench: Bench, plan: Plan, when: datetime, role: str | None = "store_manager") -> list[str]:
    return names(list(bench.apply(anew.on_new_plan(bench.case, plan, bench.store, when, "mia", role)).events))


def test_13_a_case_keeps_its_plan_until_it_is_planned_anew_by_a_recorded_act() -> None:
    text = sla("2026-11-24", 2, ("resolve_minutes = 1620", "resolve_minutes = 540"), ("action_minutes = 540", "action_minutes = 120"))
    policies, facts = with_sla(text), Facts.of(incident())
    bench = Bench(plan=policies.plan_for(facts, date(2026, 11, 23)))
    bench.run(at(9, 40))
    bench.acknowledge(at(9, 40))
    bench.do(commands.act, at(9, 50), "call")
    bench.apply(clock.pause(bench.case, "waiting_for_lab", bench.store, at(10), "ana"))
    bench.apply(clock.resume(bench.case, bench.store, at(11), "ana"))
    assert (bench.case.plan.version, bench.due("action"), bench.due("resolve")) == (1, at(10, day=24), at(10, day=26))
    plan = policies.plan_for(facts, date(2026, 11, 24))
    assert replanned(bench, plan, at(9, day=24)) == ["CaseReplanned"]
    event = said(bench.events, "CaseReplanned")[0]
    assert (event.by, event.why, event.row, event.was.version, event.policy.version) == ("mia", "plan_changed", "severity-3", 1, 2)
    # From the start, Mon 9:00, the paused hour left out: action was due Mon 12:00, resolve is due at Tue 10:00.
    assert (bench.due("action"), bench.due("resolve"), bench.due("acknowledge")) == (at(12), at(10, day=24), at(9, 30))
    assert bench.case.target("acknowledge").state == "met_late"  # type: ignore[union-attr]
    assert (bench.timers["target", "resolve", 1], bench.timers["target", "action", 1]) == (at(10, day=24), at(9, day=24))
    breached = said(bench.run(at(9, day=24)), "TargetBreached")
    assert [(e.milestone, e.due_at) for e in breached] == [("action", at(12))]
    assert replanned(bench, plan, at(9, 5, day=24)) == [], "the plan it has already"


def test_13_breaches_stay_and_a_target_the_plan_has_no_more_is_cancelled() -> None:
    bench = Bench()
    bench.run(at(9, 40))
    lax = replace(bench.case.plan, version=2, seconds={"acknowledge": 7200, "contact": 14_400, "resolve": 97_200})
    replanned(bench, lax, at(9, 45))
    assert (bench.state("acknowledge"), bench.due("acknowledge")) == ("breached", at(9, 30))
    assert (bench.due("contact"), bench.state("action")) == (at(13), "cancelled")
    assert not any(name.startswith("action") for _, name, _ in bench.timers)
    strict = replace(lax, version=3, seconds=lax.seconds | {"update": 3600})
    bench.do(commands.act, at(10), "call")
    replanned(bench, strict, at(10, 5))
    assert (bench.state("update"), bench.due("update")) == ("running", at(11, 5))


def test_13_a_pause_ends_by_the_budget_of_the_new_plan() -> None:
    bench = Bench()
    bench.acknowledge(at(9, 5))
    bench.apply(clock.pause(bench.case, "waiting_for_lab", bench.store, at(9, 30), "ana"))
    budgets = bench.case.plan.pause_budgets | {"waiting_for_lab": 3600}
    replanned(bench, replace(bench.case.plan, version=2, pause_budgets=budgets), at(9, 40))
    assert [event.at for event in said(bench.run(at(12)), "ClockResumed")] == [at(10, 30)]


def test_13_planning_anew_is_a_managers_and_for_a_live_case() -> None:
    bench = Bench()
    plan = replace(bench.case.plan, version=2)
    assert code_of(lambda: anew.on_new_plan(bench.case, plan, SHOP, at(10), "ana", "associate")) == "forbidden"
    resolved(bench, at(10))
    assert code_of(lambda: anew.on_new_plan(bench.case, plan, SHOP, at(10), "mia", "store_manager")) == "case-resolved"


def test_13_the_worst_incident_of_a_case_gives_its_plan_the_earlier_among_equals() -> None:
    mild, bad, worst = (Facts.of(incident(*kind)) for kind in (("order_late",), ("repeat_visit",), ("voice_of_patient",)))
    plan = with_sla().plan_by_worst([mild, bad, worst], date(2026, 11, 23))
    assert plan.decision is not None and plan.decision["inputs"]["incident_type"] == "repeat_visit"


def test_a_case_that_was_kept_before_plans_had_all_this_is_read_and_goes_on() -> None:
    kept = TypeAdapter(Case).dump_python(Bench().case, mode="json")
    for name in ("warn_before_seconds", "elapsed", "decision", "severity_decision"):
        del kept["plan"][name]
    del kept["plan"]["seconds"]["update"]
    for target in kept["targets"]:
        for name in ("is_elapsed", "warned_before", "next_warning", "round", "missed"):
            del target[name]
    bench = Bench()
    bench.case = TypeAdapter(Case).validate_python(kept)
    bench.run(at(9, 20))
    bench.do(commands.act, at(9, 25), "call")
    assert (bench.state("contact"), bench.case.target("update"), bench.case.target("acknowledge").warned) == ("met", None, (50,))  # type: ignore[union-attr]


def test_the_clock_tells_the_rounds_of_the_update_in_words() -> None:
    bench = Bench(incident("repeat_visit"))
    bench.acknowledge(at(9, 5))
    bench.do(commands.act, at(10), "call")
    bench.run(at(11, day=24))
    bench.do(commands.act, at(12, day=24), "text")
    kept = [explain.Recorded(e.version, e.at, e.by, e.type_name, e.model_dump(mode="json")) for e in bench.events]
    told = {line.target.milestone: line for line in explain.tell(bench.case, kept, SHOP, at(13, day=24))}["update"]
    assert [line.what for line in told.history] == ["planned", "warned", "warned", "breached", "met late", "planned"]
    assert told.history[0].words == "9 h of open time, until Tue 24 Nov, 10:00 am."
    assert told.history[-1].words == "9 h of open time, until Wed 25 Nov, 12:00 pm."
    assert told.elapsed_percent == 11
