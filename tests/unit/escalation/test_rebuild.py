"""A clock rebuilt from what was said: undamaged it differs in nothing, damaged it becomes what it was."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.escalation.domain import anew, clock, commands, explain, promises, rebuild, take
from services.escalation.domain.case import Case, Plan, Store, Target
from services.escalation.domain.rebuild import Rebuilt
from shared.calendars import Calendar
from shared.contracts.incidents import Incident
from shared.kernel.decision import Decision
from shared.kernel.errors import Rejected
from tests.unit.escalation.bench import MON_9, SHOP, WEEK, Bench, Key, at, incident, plan_of

pytestmark = pytest.mark.unit
EVERY = 4 * 3600
OTHER_HOURS = replace(SHOP, calendar=Calendar("America/New_York", {day: [("10:00", "12:00"), ("12:30", "17:00")] for day in WEEK}), hours=4)


def look(bench: Bench, now: datetime) -> Rebuilt:
    kept = [explain.Recorded(e.version, e.at, e.by, e.type_name, e.model_dump(mode="json")) for e in bench.events]
    return rebuild.rebuild(bench.case, kept, bench.timers, set(bench.fired), bench.store, now)


def worse() -> tuple[Incident, Plan]:
    found = incident("refund_or_return", is_dispute=True)
    return found, plan_of(found)


class Shifts(Bench):
    """A store whose shifts change every four hours."""

    def _fire(self, key: Key, when: datetime) -> Decision[Case]:
        self.store = on_shift(self.store, when)
        return super()._fire(key, when)


def on_shift(store: Store, when: datetime) -> Store:
    """The store as it is then: Ana and Ben take turns."""
    begun = int(when.timestamp()) // EVERY
    on_duty, before = ((("ana",), ("ben",)), (("ben",), ("ana",)))[begun % 2]
    is_now = int(when.timestamp()) % EVERY == 0
    change = datetime.fromtimestamp((begun + 1) * EVERY, UTC)
    return replace(
        store, on_duty=on_duty, on_duty_before=before if is_now else on_duty, rostered=frozenset({"ana", "ben"}), shifts_change_at=change
    )


def toggle_hours(bench: Bench, now: datetime) -> None:
    other = SHOP if bench.store.hours == OTHER_HOURS.hours else OTHER_HOURS
    bench.store = replace(bench.store, calendar=other.calendar, hours=other.hours)
    bench.apply(anew.on_new_hours(bench.case, bench.store, now))


# What may happen to a case, each at a moment.
ACTS: dict[str, Callable[[Bench, datetime], object]] = {
    "acknowledge": lambda bench, now: bench.acknowledge(now),
    "call": lambda bench, now: bench.do(commands.act, now, "call"),
    "remake": lambda bench, now: bench.do(commands.act, now, "remake"),
    "hear": lambda bench, now: bench.hear(now),
    "pause": lambda bench, now: bench.apply(clock.pause(bench.case, "waiting_for_lab", bench.store, now, "ana")),
    "resume": lambda bench, now: bench.apply(clock.resume(bench.case, bench.store, now, "ana")),
    "worse": lambda bench, now: bench.apply(take.attach(bench.case, *worse(), bench.store, now)),
    "resolve": lambda bench, now: bench.do(lambda case, *rest: commands.resolve(case, "lab_error", "remake", *rest), now),
    "reopen": lambda bench, now: bench.do(commands.reopen, now),
    "close": lambda bench, now: bench.do(commands.close, now),
    "note": lambda bench, now: bench.do(commands.add_note, now),
    "hours": toggle_hours,
    "promise": lambda bench, now: bench.promise(now, "remake", now + timedelta(days=1, minutes=now.minute)),
    "promise a call": lambda bench, now: bench.promise(now, "callback"),
    "keep": lambda bench, now: bench.apply(promises.keep(bench.case, "remake", bench.store, now, "ana")),
}
_lives = st.lists(st.tuples(st.sampled_from(sorted(ACTS)), st.integers(1, 2000)), max_size=12)


def live(acts: list[tuple[str, int]], is_rostered: bool) -> tuple[Bench, datetime]:
    """A case to which these happened, so many minutes apart; what the case refuses did not happen."""
    bench, now = Shifts(store=on_shift(SHOP, MON_9)) if is_rostered else Bench(), MON_9
    for name, minutes in acts:
        now += timedelta(minutes=minutes)
        bench.run(now)
        if is_rostered:
            bench.store = on_shift(bench.store, now)
        try:
            ACTS[name](bench, now)
        except Rejected:
            continue
    return bench, now


@settings(max_examples=300, deadline=None)
@given(_lives, st.integers(0, 300), st.booleans())
def test_whatever_happened_to_a_case_its_history_gives_its_targets_and_its_timers(
    acts: list[tuple[str, int]], later: int, is_rostered: bool
) -> None:
    bench, now = live(acts, is_rostered)
    now += timedelta(minutes=later)
    bench.run(now)
    assert look(bench, now).differences == ()


@settings(max_examples=150, deadline=None)
@given(_lives, st.data(), st.booleans())
def test_whatever_is_damaged_becomes_what_it_was(acts: list[tuple[str, int]], data: st.DataObject, is_rostered: bool) -> None:
    """Method: a target is bent or lost and a timer is bent or lost; what is rebuilt equals the case and the timers from before."""
    bench, now = live(acts, is_rostered)
    bench.run(now)
    case, timers = bench.case, dict(bench.timers)
    bench.case = replace(case, targets=_bent(case, data))
    for key in data.draw(st.sets(st.sampled_from(sorted(timers)), max_size=3)) if timers else ():
        if key[0] == "hand_over" or data.draw(st.booleans()):
            del bench.timers[key]
        else:
            bench.timers[key] = now + timedelta(days=900)
    bench.timers["target", "resolve", 77] = now + timedelta(days=1)
    bench.apply(look(bench, now).decision)
    assert replace(bench.case, version=0, targets=()) == replace(case, version=0, targets=())
    assert _plain(bench.case) == _plain(case)
    assert {key: due for key, due in bench.timers.items() if due is None or due > now} == {
        key: due for key, due in timers.items() if due is None or due > now
    }
    assert look(bench, now).differences == ()


def _bent(case: Case, data: st.DataObject) -> tuple[Target, ...]:
    n = data.draw(st.integers(0, len(case.targets) - 1))
    bent = data.draw(st.sampled_from(["state", "due", "warned", "length", "lost"]))
    target = case.targets[n]
    ways: dict[str, dict[str, Any]] = {
        "state": {"state": "cancelled" if target.state != "cancelled" else "running"},
        "due": {"due_at": MON_9 + timedelta(days=500)},
        "warned": {"warned": (33,), "next_warning": "resolve:33"},
        "length": {"open_seconds": 1, "starts_at": MON_9 - timedelta(days=9)},
    }
    changes = ways.get(bent, {})
    return (*case.targets[:n], *((replace(target, **changes),) if bent != "lost" else ()), *case.targets[n + 1 :])


def _plain(case: Case) -> list[Target]:
    """In one order, and without the warning that a target which is over had set last: nobody waits for it."""
    ordered = sorted(case.targets, key=lambda target: (target.segment, target.milestone))
    return [target if target.state in ("running", "paused") else replace(target, next_warning=None) for target in ordered]


def test_the_difference_is_told_in_words_and_mending_it_is_one_recorded_act() -> None:
    bench = Bench()
    contact = bench.case.target("contact")
    assert contact is not None
    bench.case = replace(bench.case, targets=tuple(replace(t, due_at=at(17)) if t == contact else t for t in bench.case.targets))
    del bench.timers["target", "resolve", 1]
    found = look(bench, at(9, 5))
    assert [(one.what, one.name, one.ought) for one in found.differences] == [
        ("target", "contact of segment 1, due at", at(11).isoformat()),
        ("timer", "target resolve", at(18, day=25).isoformat()),
    ]
    assert [(type(event).__name__, event.why) for event in found.decision.events] == [("CaseReplanned", "rebuilt")]


def test_a_timer_that_fired_already_is_told_and_not_set_again() -> None:
    bench = Bench()
    del bench.timers["target", "contact", 1]
    bench.fired.append(("target", "contact", 1))
    found = look(bench, at(9, 5))
    assert [(one.name, one.can_mend) for one in found.differences] == [("target contact", False)]
    assert found.decision.timers == ()
