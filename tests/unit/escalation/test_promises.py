"""Promises: by when, moved once, and what becomes of them. The shop is open nine to six on weekdays in New York; Monday is November 23."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.escalation.domain import anew, commands, promises
from services.escalation.domain.case import ALWAYS, Promise, Store
from services.escalation.domain.plan import Policies
from services.escalation.domain.promises import Past, when
from services.escalation.domain.promises.states import PROMISES_MAX
from shared.calendars import DAYS, Calendar, local_date, next_opening, open_seconds
from shared.kernel.errors import Rejected
from shared.policy import BadTable
from tests.unit.escalation.bench import MON_9, POLICIES, SHOP, TEXTS, WEEK, Bench, at, code_of, names, said

pytestmark = pytest.mark.unit
DAY = 86_400
CLOSED = replace(SHOP, calendar=Calendar("America/New_York", {}))
# It opens for one more hour and never again.
CLOSING = replace(SHOP, calendar=Calendar("America/New_York", {}, overrides={date(2026, 11, 30): [("09:00", "10:00")]}))
SHOPS = (
    SHOP,
    replace(SHOP, calendar=Calendar("America/Phoenix", {"mon": [("09:10", "13:00"), ("14:00", "18:00")], "sat": [("22:00", "24:00")]})),
    replace(SHOP, calendar=Calendar("Asia/Kathmandu", {day: [("00:00", "24:00")] for day in DAYS})),
    CLOSED,
    CLOSING,
)
_kinds = st.sampled_from(["callback", "remake", "order_ready", "delivery", "refund", "other"])
_moments = st.integers(0, 500 * DAY).map(lambda seconds: MON_9 + timedelta(seconds=seconds))
_past = st.lists(st.builds(Past, st.sampled_from(when.LEVELS), st.integers(1, 60), st.integers(0, 40 * DAY)), max_size=3)


def last(bench: Bench) -> Promise:
    return bench.case.promises[-1]


def test_an_estimate_for_thursday_ten_o_clock_is_promised_for_friday() -> None:
    bench = Bench()
    bench.promise(MON_9, "delivery", at(10, day=26))
    assert (last(bench).promised_by, last(bench).aim_by) == (at(10, day=27), at(10, day=26))


@pytest.mark.parametrize(("hour", "state"), [(9, "early"), (17, "early")])
def test_delivered_on_thursday_is_early_and_says_so(hour: int, state: str) -> None:
    bench = Bench()
    bench.promise(MON_9, "delivery", at(10, day=26))
    bench.do(commands.act, at(hour, day=26), "delivery")
    assert bench.promised == [("delivery", state)]
    assert [event.outcome for event in said(bench.events, "PromiseFulfilled")] == [state]


def test_delivered_on_the_promised_day_is_kept_and_at_the_promised_moment_late() -> None:
    for done_at, state in ((at(10, day=27) - timedelta(microseconds=1), "kept"), (at(10, day=27), "late")):
        bench = Bench()
        bench.promise(MON_9, "delivery", at(10, day=26))
        bench.do(commands.act, done_at, "delivery")
        assert bench.promised == [("delivery", state)]


def test_on_the_promised_day_the_internal_target_tells_early_from_kept() -> None:
    for minutes, state in ((0, "early"), (1, "kept")):
        bench = Bench()
        bench.promise(MON_9, "callback", at(12))
        assert (last(bench).aim_by, last(bench).promised_by) == (at(12), at(13))
        bench.do(commands.act, at(12, minutes), "call")
        assert bench.promised == [("callback", state)]


def test_a_promise_is_for_a_moment_at_which_the_store_is_open_and_a_quarter_of_an_hour() -> None:
    bench = Bench()
    bench.promise(MON_9, "callback", at(17, 7, day=27))
    assert (last(bench).promised_by, last(bench).aim_by) == (at(9, day=30), at(18, day=27))
    bench.promise(MON_9, "delivery", at(10, 7, day=24))
    assert last(bench).promised_by == at(10, 15, day=25)


def test_history_speaks_once_there_is_enough_of_it_and_the_nearest_speaks_first() -> None:
    bench, thin, lab = Bench(), Past("lab", 19, 99 * DAY), Past("lab", 20, 3 * DAY)
    store, group = Past("location", 40, 2 * DAY), Past("catalyst", 90, 9 * DAY)
    rule = POLICIES.promise_rule("remake", date(2026, 11, 23))
    found = [when.basis_of(rule, past, MON_9, None) for past in ((group, store, lab), (thin, group, store), (thin, group), (thin,))]
    assert [(basis.rests_on, basis.seconds, basis.count) for basis in found] == [
        ("lab", 3 * DAY, 20), ("location", 2 * DAY, 40), ("catalyst", 9 * DAY, 90), ("default", 7 * DAY, 0),
    ]  # fmt: skip
    bench.promise(MON_9, "remake", None, (lab,))
    assert last(bench).promised_by == at(9, day=27)


def test_an_optimist_is_not_believed_against_history_and_a_pessimist_is() -> None:
    past = (Past("location", 37, 6 * DAY),)
    for estimate_at, rests_on, promised in (
        (at(10, day=24), "location", at(9, day=30)),
        (at(12, day=30), "estimate", at(12, day=30) + timedelta(days=1)),
    ):
        bench = Bench()
        bench.promise(MON_9, "remake", estimate_at, past)
        assert (last(bench).basis.rests_on, last(bench).promised_by) == (rests_on, promised)


def test_the_answer_says_why() -> None:
    bench = Bench()
    bench.promise(MON_9, "remake", None, (Past("lab", 37, 6 * DAY),))
    bench.case = replace(bench.case, lab="Sunlab")
    assert promises.because(bench.case, last(bench)) == (
        "90 % of the last 37 remakes of lab Sunlab for this store after a remade order took 6 days or less; with a buffer of 1 day, "
        "at a moment the store is open."
    )
    bench.promise(MON_9, "callback")
    assert promises.because(bench.case, last(bench)).startswith("There is too little history yet, so 4 hours by rule;")
    bench.promise(MON_9, "refund", at(12, day=25))
    assert promises.because(bench.case, last(bench)).startswith("A person's estimate;")


@settings(max_examples=300, deadline=None)
@given(_kinds, _moments, st.none() | st.timedeltas(timedelta(seconds=1), timedelta(days=366)), _past, st.sampled_from(SHOPS))
def test_whatever_is_promised_is_open_no_sooner_than_estimate_and_buffer_and_the_target_is_before_it(
    what: Any, now: datetime, ahead: timedelta | None, past: list[Past], store: Store
) -> None:
    rule = POLICIES.promise_rule(what, local_date(store.calendar, now))
    basis = when.basis_of(rule, past, now, now + ahead if ahead else None)
    promised = when.promised_by(basis, rule, now, store, now)
    aim = when.aim_by(now, promised, basis.buffer_seconds, store)
    assert now < aim < promised
    assert promised >= now + (ahead or timedelta(0)) + timedelta(seconds=rule.buffer_seconds)
    if store is CLOSING:
        return
    calendar = ALWAYS if store is CLOSED else store.calendar
    assert next_opening(calendar, promised) == promised
    assert open_seconds(calendar, now, promised) >= rule.least_open_seconds
    assert next_opening(calendar, aim - timedelta(seconds=1)) <= aim  # open, or the moment it closes


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5 * 1440), st.integers(1, 20 * 1440)), min_size=1, max_size=8))
def test_however_often_it_is_asked_a_promise_moves_once_later_and_never_after_its_time(asks: list[tuple[int, int]]) -> None:
    bench, now = Bench(), MON_9
    for pause, ahead in asks:
        now += timedelta(minutes=pause)
        bench.run(now)
        try:
            bench.promise(now, "remake", now + timedelta(minutes=ahead))
        except Rejected as refused:
            assert refused.code in ("promise-lapsed", "promise-moved-already", "promise-not-later")
    first, *rest = bench.case.promises
    assert len(rest) <= 1
    for moved in rest:
        assert first.state == "moved" and moved.was_by == first.promised_by < moved.promised_by and moved.set_at < first.promised_by
    assert names(bench.events).count("PromiseMoved") == len(rest)


def test_it_is_moved_later_once_and_each_refusal_says_what_to_do() -> None:
    bench = Bench()
    bench.promise(MON_9, "remake", at(10, day=25))
    assert code_of(lambda: bench.promise(at(11), "remake", at(9, day=25))) == "promise-not-later"
    bench.promise(at(11), "remake", at(12, day=26))
    assert bench.promised == [("remake", "moved"), ("remake", "open")]
    moved = said(bench.events, "PromiseMoved")[0]
    assert (moved.was_by, moved.promised_by, moved.number) == (at(10, day=26), at(12, day=27), 2)
    assert code_of(lambda: bench.promise(at(12), "remake", at(12, day=30))) == "promise-moved-already"
    bench.run(at(12, day=27))
    assert code_of(lambda: bench.promise(at(13, day=27), "remake", at(12, day=30))) == "promise-lapsed"


def test_the_same_estimate_again_changes_nothing() -> None:
    bench = Bench()
    bench.promise(MON_9, "remake", at(10, day=25))
    again = bench.promise(at(11), "remake", at(10, day=25))
    assert (again.events, again.timers) == ((), ())
    bench.promise(MON_9, "callback")
    assert bench.promise(at(11), "callback").events == ()
    assert bench.promise(at(11), "remake").events == ()


@pytest.mark.parametrize("estimate_at", [MON_9, MON_9 - timedelta(days=1), MON_9 + timedelta(days=367)])
def test_an_estimate_lies_ahead_and_not_beyond_a_year(estimate_at: datetime) -> None:
    assert code_of(lambda: Bench().promise(MON_9, "remake", estimate_at)) == "invalid-estimate"


def test_the_owner_is_warned_at_the_internal_target_and_told_when_it_lapses_once_each() -> None:
    bench = Bench()
    bench.promise(MON_9, "remake", at(10, day=25))
    told = bench.run(at(9, day=30))
    at_risk, lapsed = said(told, "PromiseAtRisk"), said(told, "PromiseLapsed")
    assert [(event.at, event.page) for event in at_risk] == [(at(10, day=25), ("ana",))]
    assert [(event.at, event.page) for event in lapsed] == [(at(10, day=26), ("ana",))]
    assert bench.promised == [("remake", "late")]


def test_a_promise_wakes_people_even_where_the_case_was_silent_for_days() -> None:
    bench = Bench()
    bench.promise(MON_9, "remake")
    told = bench.run(MON_9 + timedelta(days=12))
    assert [event.page for event in (*said(told, "PromiseAtRisk"), *said(told, "PromiseLapsed"))] == [("ana",), ("ana",)]


def test_a_late_one_stays_late_is_still_owed_and_can_be_promised_again_once_done() -> None:
    bench = Bench()
    bench.promise(MON_9, "remake", at(10, day=25))
    bench.run(at(12, day=26))
    bench.do(commands.act, at(13, day=26), "delivery")
    assert bench.promised == [("remake", "late")] and last(bench).fulfilled_at == at(13, day=26)
    bench.promise(at(14, day=26), "remake", at(10, day=30))
    assert bench.promised == [("remake", "late"), ("remake", "open")]


def test_what_is_not_named_by_an_action_is_kept_by_saying_so_once() -> None:
    bench = Bench()
    assert code_of(lambda: promises.keep(bench.case, "refund", SHOP, MON_9, "ana")) == "no-such-promise"
    bench.promise(MON_9, "refund", at(10, day=24))
    bench.do(commands.act, at(11), "call")
    assert bench.promised == [("refund", "open")]
    bench.apply(promises.keep(bench.case, "refund", SHOP, at(12), "ana"))
    assert bench.promised == [("refund", "early")]
    assert promises.keep(bench.case, "refund", SHOP, at(13), "ana").events == ()


def test_a_remake_that_was_ordered_is_not_one_that_is_ready() -> None:
    bench = Bench()
    bench.promise(MON_9, "remake")
    bench.do(commands.act, at(10), "remake")
    assert bench.promised == [("remake", "open")]
    bench.do(commands.act, at(10, day=25), "delivery")
    assert bench.promised == [("remake", "early")]


def test_a_resolved_case_owes_nothing_and_no_timer_of_a_promise_is_left() -> None:
    bench = Bench()
    bench.hear(at(10))
    bench.promise(at(10), "remake")
    bench.promise(at(10), "callback")
    bench.do(lambda case, *rest: commands.resolve(case, "lab_error", "remake", *rest), at(11))
    assert bench.promised == [("remake", "early"), ("callback", "early")]
    assert not [key for key in bench.timers if key[0].startswith("promise")]
    assert code_of(lambda: bench.promise(at(12), "remake")) == "case-resolved"


def test_new_hours_move_the_internal_target_and_never_the_promise() -> None:
    bench = Bench()
    bench.promise(MON_9, "delivery", at(17, 30, day=26))
    before = last(bench)
    assert (before.aim_by, before.promised_by) == (at(17, 30, day=26), at(17, 30, day=27))
    early = replace(SHOP, calendar=Calendar("America/New_York", {day: [("08:00", "12:00")] for day in WEEK}), hours=2)
    bench.apply(anew.on_new_hours(bench.case, early, at(10)))
    assert (last(bench).aim_by, last(bench).promised_by) == (at(12, day=26), before.promised_by)
    assert bench.timers["promise_aim", "delivery", 1] == at(12, day=26)
    assert [event.why for event in said(bench.events, "CaseReplanned")] == ["hours_changed"]


def test_a_store_that_does_not_open_any_more_keeps_its_promises_and_their_targets() -> None:
    bench = Bench()
    bench.promise(MON_9, "delivery", at(17, 30, day=26))
    bench.apply(anew.on_new_hours(bench.case, replace(CLOSED, hours=2), at(10)))
    assert last(bench).promised_by == at(17, 30, day=27) and at(10) < last(bench).aim_by < last(bench).promised_by


def test_a_promise_stirs_a_case_that_fell_asleep() -> None:
    bench = Bench()
    bench.run(at(9) + timedelta(days=9))
    was_asleep = bench.case.is_asleep
    bench.promise(at(9) + timedelta(days=9), "remake")
    assert (was_asleep, bench.case.is_asleep) == (True, False) and bench.case.step_due_at is not None


def test_a_change_is_counted_once_by_what_became_of_it_and_how_long_it_took() -> None:
    bench = Bench()
    steps = []
    for act in (
        lambda: bench.promise(MON_9, "remake", at(10, day=25)),
        lambda: bench.promise(at(11), "remake", at(12, day=26)),
        lambda: bench.run(at(12, day=27)),
        lambda: bench.do(commands.act, at(9, day=30), "delivery"),
    ):
        before = bench.case
        act()
        steps.append((list(promises.outcomes(before, bench.case)), [seconds for _, seconds in promises.fulfilled(before, bench.case)]))
    assert steps == [([("remake", "made")], []), ([("remake", "moved")], []), ([("remake", "late")], []), ([], [7 * DAY])]


def test_a_case_has_no_end_of_promises_but_a_limit() -> None:
    bench = Bench()
    for n in range(PROMISES_MAX):
        bench.promise(MON_9 + timedelta(minutes=n), "refund", at(10, day=25) + timedelta(minutes=n))
        bench.apply(promises.keep(bench.case, "refund", SHOP, MON_9 + timedelta(minutes=n), "ana"))
    assert code_of(lambda: bench.promise(at(12), "callback")) == "promise-limit"


@pytest.mark.parametrize(
    ("was", "becomes", "sentence"),
    [
        ("buffer_minutes = 60", "buffer_minutes = 0", "row callback: buffer_minutes is at least 1"),
        ("sample = 20", "sample = 201", "row callback: sample is at most 200, for that many of the newest are looked at"),
        ('kept_by = ["call", "visit"]', 'kept_by = ["fax"]', "row callback: kept_by names actions"),
    ],
)
def test_a_policy_that_no_promise_can_rest_on_is_refused(was: str, becomes: str, sentence: str) -> None:
    with pytest.raises(BadTable, match=sentence):
        Policies.load(TEXTS | {"promises": [TEXTS["promises"][0].replace(was, becomes, 1)]}, date(2026, 11, 1))
