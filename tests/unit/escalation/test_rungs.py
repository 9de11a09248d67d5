"""Ladders as data: what may be written, whom its words mean, hand-overs, and pages that belong together."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter

from services.escalation.domain import anew, ladder, rungs, storms, take, who
from services.escalation.domain.case import Plan, Store
from services.escalation.domain.rungs import USUAL, Rung
from shared.kernel.ids import new_id
from shared.policy import BadTable
from tests.unit.escalation.bench import FOLDER, SHOP, Bench, at, incident, plan_of, said

pytestmark = pytest.mark.unit

# Ana until one, Ben from one: the roster that the stories of a shift play by.
MORNING = replace(SHOP, on_duty=("ana",), on_duty_before=("ana",), rostered=frozenset({"ana", "ben"}), shifts_change_at=at(13))
AT_ONE = replace(MORNING, on_duty=("ben",), on_duty_before=("ana",), shifts_change_at=at(18))
AFTERNOON = replace(AT_ONE, on_duty_before=("ben",))
NIGHT = replace(MORNING, on_duty=(), on_duty_before=("ben",), shifts_change_at=at(9, day=24))


def with_rungs(*steps: Rung, store: Store = SHOP, now: Any = None) -> Bench:
    """A case whose ladder has these rungs."""
    bench = Bench.__new__(Bench)
    found = incident()
    plan = replace(plan_of(found), ladder=replace(USUAL, rungs=steps))
    bench.store, bench.timers, bench.events, bench.fired = store, {}, [], []
    bench.apply(take.open_case(found, plan, new_id(), "AM-0000-00", store, {}, now or at(9)))
    return bench


def test_the_shipped_ladder_is_the_contracts_and_stands_in_each_plan() -> None:
    assert {plan.ladder.rungs for plan in (plan_of(incident()), plan_of(incident("repeat_visit")))} == {USUAL.rungs}


def test_a_plan_kept_before_ladders_were_data_has_the_usual_one() -> None:
    plans = TypeAdapter(Plan)
    kept = plans.dump_python(plan_of(incident()), mode="json")
    assert plans.validate_python(kept).ladder == plan_of(incident()).ladder
    del kept["ladder"]
    assert plans.validate_python(kept | {"step_seconds": 900, "repeat_seconds": 1800}).ladder == USUAL


@pytest.mark.parametrize(
    ("was", "becomes", "sentence"),
    [
        ("severities = [1, 2, 3]", "severities = [1, 2]", "severity 3 has no ladder"),
        ("severities = [1, 2, 3]", "severities = [1, 2, 3, 1]", "severity 1 has two ladders"),
        ('who = ["managers"]', 'who = ["manager"]', "ladder 1, rung 1: nobody is called 'manager'"),
        ('who = ["managers"]', 'who = ["staff:"]', "ladder 1, rung 1: nobody is called 'staff:'"),
        ('who = ["managers"]', "who = []", "ladder 1, rung 1 pages nobody"),
        ('how = ["text"]', 'how = ["fax"]', "ladder 1, rung 0: 'fax' is no channel"),
        ('hours = "open"', 'hours = "day"', "ladder 1, rung 1: hours are open or always"),
        ("level = 2", "level = 3", "ladder 1, rung 2: a level is 0 to 2"),
        ("level = 1", "level = 0", "ladder 1: the second rung is above level 0, for a breached acknowledgement is seen to have climbed"),
        ("level = 2", "level = 0", "ladder 1 starts at level 0 and never climbs down"),
        ("level = 2", "level = 2\nwait_minutes = 0", "ladder 1, rung 2: wait_minutes is 1 to 10080"),
        ('repeats = "until-taken"', "repeats = 3", 'ladder 1: the last rung, and it alone, is paged "until-taken"'),
        ("level = 2", "level = 2\nwait = 15", "ladder 1, rung 2: wait is no field of a rung"),
        (
            "level = 1",
            "level = 1\nwait_minutes = 5",
            "ladder 1: the first rung is for an opened case, the second for a late acknowledgement: neither has wait_minutes",
        ),
        (
            "effective_from = 2020-01-01",
            "",
            'it has a name, which is "ladder", a version, which is a number, and effective_from, which is a date',
        ),
    ],
)
def test_a_ladder_that_somebody_could_fall_off_is_refused_with_the_reason(was: str, becomes: str, sentence: str) -> None:
    text = (FOLDER / "ladder" / "0001.toml").read_text()
    assert was in text
    with pytest.raises(BadTable) as refused:
        rungs.load([text.replace(was, becomes)], [1, 2, 3])
    assert sentence in refused.value.problems


def test_versions_stand_side_by_side_by_the_day_they_begin_on() -> None:
    first = (FOLDER / "ladder" / "0001.toml").read_text()
    second = first.replace("version = 1", "version = 2").replace("2020-01-01", "2026-12-01")
    ladders = rungs.load([second, first], [1, 2, 3])
    assert [ladders.in_force(day)[1].version for day in (date(2026, 11, 30), date(2026, 12, 1))] == [1, 2]
    for texts in ([], [first, first], [first, first.replace("version = 1", "version = 2")]):
        with pytest.raises(BadTable):
            rungs.load(texts, [1, 2, 3])
    with pytest.raises(BadTable):
        ladders.in_force(date(2019, 12, 31))


def test_a_step_that_is_due_is_counted_by_a_ladder_that_a_person_asked_for() -> None:
    bench = Bench()
    bench.run(at(9, 30))
    quick = replace(bench.case.plan, ladder=replace(USUAL, rungs=(*USUAL.rungs[:2], replace(USUAL.rungs[2], wait_seconds=300))))
    bench.apply(anew.on_new_plan(bench.case, quick, SHOP, at(9, 31), "mia", "store_manager"))
    assert [event.at for event in said(bench.run(at(9, 40)), "EscalationStepped")] == [at(9, 35)]


def test_a_case_keeps_the_ladder_it_was_opened_with() -> None:
    own = with_rungs(
        Rung(0, ("owner",), hours="always"),
        Rung(1, ("associates",), repeat_seconds=600, repeats=2),
        replace(USUAL.rungs[2], wait_seconds=60),
    )
    climbed = [event for event in own.run(at(10, 25)) if getattr(event, "milestone", "acknowledge") == "acknowledge" and event.level]
    told = [(event.at, event.level, event.page) for event in climbed if hasattr(event, "page") and type(event).__name__ != "TargetAtRisk"]
    assert told == [
        (at(9, 30), 1, ("ana", "ben")),
        (at(9, 40), 1, ("ana", "ben")),
        (at(9, 50), 1, ("ana", "ben")),
        (at(9, 51), 2, ("rex",)),
        (at(10, 21), 2, ("rex",)),
    ]


def test_a_rung_around_the_clock_does_not_wait_for_the_opening_and_one_with_hours_does() -> None:
    always = with_rungs(*USUAL.rungs[:2], replace(USUAL.rungs[2], hours="always"), now=at(17, 40))
    stepped = said(always.run(at(9, 30, day=24)), "EscalationStepped")
    # Breached at 9:10 on Tuesday; then 15 minutes on the wall.
    assert [event.at for event in stepped] == [at(9, 25, day=24)]
    night = with_rungs(replace(USUAL.rungs[0], hours="open"), *USUAL.rungs[1:], now=at(20))
    assert night.events[0].page == ()  # type: ignore[attr-defined]
    woken = night.run(at(9, day=24))
    assert [(type(event).__name__, event.at, event.page, event.level) for event in woken] == [  # type: ignore[attr-defined]
        ("EscalationStepped", at(9, day=24), ("ana",), 0)
    ]
    assert [(type(e).__name__, e.at) for e in night.run(at(9, 30, day=24)) if e.level] == [("TargetBreached", at(9, 30, day=24))]
    assert [e.at for e in said(night.run(at(9, 45, day=24)), "EscalationStepped")] == [at(9, 45, day=24)]


@pytest.mark.parametrize(
    ("word", "people"),
    [
        ("owner", ("ana",)),
        ("on_duty", ("ana", "mia")),
        ("on_duty:store_manager", ("mia",)),
        ("on_duty:regional_manager", ()),
        ("associates", ("ana", "ben")),
        ("managers", ("mia",)),
        ("region", ("rex",)),
        ("staff:zoe", ("zoe",)),
        ("staff:gone", ()),
        ("next:associate", ("ben",)),
    ],
)
def test_whom_the_words_of_a_ladder_mean(word: str, people: tuple[str, ...]) -> None:
    store = replace(SHOP, on_duty=("ana", "mia"), named=("zoe",), turns={"ana": 4, "ben": 3})
    assert who.paged_on(Rung(0, (word,)), Bench().case, store) == people


def test_a_rung_that_finds_nobody_pages_the_first_of_the_others_that_does() -> None:
    case = Bench().case
    assert who.paged_on(Rung(1, ("managers",), ("on_duty", "region")), case, replace(SHOP, managers=(), on_duty=())) == ("rex",)
    assert who.paged_on(Rung(1, ("managers", "region", "managers"), ("owner",)), case, SHOP) == ("mia", "rex")


def test_whoever_comes_on_duty_is_paged_when_the_owners_shift_ends_and_the_owner_stays() -> None:
    bench = Bench(store=MORNING, now=at(12, 45))
    bench.store = AT_ONE
    handed = said(bench.run(at(13)), "PageHandedOver")
    assert [(event.at, event.page, event.owner_staff_id) for event in handed] == [(at(13), ("ben",), "ana")]
    bench.store = AFTERNOON
    assert {event.page for event in said(bench.run(at(14)), "TargetAtRisk")} == {("ben",)}, "warnings go to who stands in"
    assert bench.case.owner_staff_id == "ana"


def test_a_night_between_two_shifts_is_waited_for() -> None:
    bench = Bench(store=replace(MORNING, shifts_change_at=at(18)), now=at(17, 50))
    bench.store = NIGHT
    assert said(bench.run(at(18)), "PageHandedOver") == []
    bench.store = replace(AT_ONE, on_duty_before=(), shifts_change_at=at(18, day=24))
    assert [(e.at, e.page) for e in said(bench.run(at(9, day=24)), "PageHandedOver")] == [(at(9, day=24), ("ben",))]


def test_who_was_on_duty_beside_the_owner_is_paged_when_the_owner_goes_and_nobody_twice() -> None:
    case = Bench(store=MORNING).case
    beside = replace(MORNING, on_duty=("ben", "ana"))
    assert who.came_on_duty(case, beside) == ()
    assert who.came_on_duty(case, replace(AT_ONE, on_duty_before=("ben", "ana"))) == ("ben",)
    assert who.came_on_duty(case, replace(AFTERNOON, on_duty=("ben", "cleo"))) == ("cleo",)
    assert who.came_on_duty(case, replace(AT_ONE, rostered=frozenset({"ben"}))) == (), "an owner who is on no roster has no shift to end"


@pytest.mark.parametrize("end", ["acknowledged", "resolved"])
def test_16_a_case_that_was_taken_is_handed_to_nobody(end: str) -> None:
    bench = Bench(store=MORNING, now=at(12, 45))
    bench.acknowledge(at(12, 50))
    assert not any(kind == "hand_over" for kind, _, _ in bench.timers)
    assert ladder.hand_over(bench.case, 1, AT_ONE, at(13)).is_empty


def test_16_an_expired_acknowledgement_is_watched_over_changes_of_shifts_again() -> None:
    bench = Bench(store=MORNING)
    bench.acknowledge(at(9, 5))
    bench.store = AT_ONE
    (expired,) = said(bench.run(at(13, 5)), "AcknowledgementExpired")
    assert (expired.page, [key for key in bench.timers if key[0] == "hand_over"]) == (
        ("ana", "ben"),
        [("hand_over", "2026-11-23T23:00", 2)],
    )


def test_16_a_silent_case_wakes_nobody_whatever_comes_due() -> None:
    # The store is closed for two weeks: an acknowledgement, a breach and a warning come due after them.
    bench = Bench(now=at(17, 55))
    case = replace(bench.case, last_activity_at=at(17, 55) - timedelta(days=7))
    for decision in (
        ladder.breach(case, "acknowledge", 1, SHOP, at(17, 55)),
        ladder.breach(case, "contact", 1, SHOP, at(17, 55)),
        ladder.expire(replace(case, status="acknowledged", expires_at=at(17, 55)), 1, SHOP, at(17, 55)),
    ):
        assert decision.events and {event.page for event in decision.events if hasattr(event, "page")} == {()}
    assert ladder.hand_over(case, 1, AT_ONE, at(17, 55)).is_empty


def test_a_case_that_is_nobodys_gets_an_owner_once_somebody_is_there() -> None:
    empty = replace(SHOP, on_duty=(), associates=(), managers=(), regionals=())
    bench = Bench(store=empty)
    assert (bench.case.owner_staff_id, bench.events[0].page) == (None, ())  # type: ignore[attr-defined]
    assert ladder.find_owner(bench.case, False, empty, {}, at(10)).is_empty
    (assigned,) = bench.apply(ladder.find_owner(bench.case, False, SHOP, {}, at(10))).events
    assert (assigned.owner_staff_id, assigned.page, assigned.was, assigned.by) == ("ana", ("ana",), None, None)
    assert ladder.find_owner(bench.case, False, replace(SHOP, on_duty=("ben",)), {}, at(11)).is_empty
    (again,) = ladder.find_owner(bench.case, True, replace(SHOP, on_duty=("ben",)), {}, at(11)).events
    assert (again.owner_staff_id, again.was) == ("ben", "ana"), "who has left is replaced"


def test_18_pages_of_one_moment_to_one_person_belong_together() -> None:
    first, second, third = (Bench(incident("repeat_visit", patient_ref=f"P-{n}")) for n in range(3))
    third.store = replace(SHOP, managers=("ken",))
    told = [ladder.breach(b.case, "acknowledge", 1, b.store, at(9, 15)).events for b in (first, second, third)]
    storm_id = new_id()
    one, two, alone = storms.bundle(told, storm_id)
    assert [(event.storm.storm_id, event.storm.pages) for (event,) in (one, two)] == [(storm_id, {"mia": 2})] * 2
    assert alone[0].storm is None and storms.bundle([told[0]], storm_id) == [told[0]]


def test_18_two_pages_for_one_case_are_no_storm() -> None:
    bench = Bench()
    bench.run(at(9, 30))
    events = tuple(event for event in bench.events if hasattr(event, "page"))
    assert storms.bundle([events], new_id()) == [events]
