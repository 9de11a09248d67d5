"""Timers of one transaction written in two statements end as if written one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.decision import Cancel, Schedule, Timer
from shared.timers.schedule import collapse

pytestmark = pytest.mark.unit
KINDS, SUBJECTS, NAMES = st.sampled_from("kl"), st.sampled_from("st"), st.sampled_from("ab")
GENERATIONS = st.integers(0, 1)
SCHEDULES = st.builds(Schedule, KINDS, SUBJECTS, NAMES, GENERATIONS, st.none(), st.dictionaries(st.just("n"), st.integers(0, 9)))
CANCELS = st.builds(Cancel, KINDS, SUBJECTS, st.just("why"), st.none() | NAMES, st.none() | GENERATIONS)
Row = dict[tuple[str, str, str, int], Schedule]


def one_by_one(kept: Row, timers: list[Timer]) -> Row:
    kept = dict(kept)
    for timer in timers:
        if isinstance(timer, Schedule):
            kept[timer.kind, timer.subject, timer.name, timer.generation] = timer
            continue
        for kind, subject, name, generation in list(kept):
            same = (kind, subject) == (timer.kind, timer.subject)
            if same and timer.name in (None, name) and timer.generation in (None, generation):
                del kept[kind, subject, name, generation]
    return kept


@given(st.lists(SCHEDULES, max_size=5), st.lists(SCHEDULES | CANCELS, max_size=12))
def test_the_end_is_the_same(before: list[Schedule], timers: list[Timer]) -> None:
    kept = one_by_one({}, list(before))
    cancels, schedules = collapse(timers)
    assert one_by_one(one_by_one(kept, list(cancels)), list(schedules)) == one_by_one(kept, timers)
    keys = [(s.kind, s.subject, s.name, s.generation) for s in schedules]
    assert len(keys) == len(set(keys)), "a statement may touch a row once"
