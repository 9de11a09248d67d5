"""The ladder as a list: what was paged as it was, what comes next as it would be now."""

from dataclasses import replace
from datetime import datetime

import pytest

from services.escalation.domain import explain, steps
from services.escalation.domain.steps import Step
from tests.unit.escalation.bench import SHOP, Bench, at, incident

pytestmark = pytest.mark.unit


def told(bench: Bench, now: datetime) -> list[Step]:
    kept = [explain.Recorded(e.version, e.at, e.by, e.type_name, e.model_dump(mode="json")) for e in bench.events]
    return list(steps.tell(bench.case, kept, bench.store, now))


def lines(bench: Bench, now: datetime) -> list[tuple[str, str, int | None, tuple[str, ...], datetime | None]]:
    return [
        (step.state, step.what, step.rule.level if step.rule else None, step.people, step.at or step.due_at) for step in told(bench, now)
    ]


def test_a_new_case_tells_the_page_that_was_sent_and_each_rung_that_comes_with_its_time_and_people() -> None:
    bench = Bench()
    assert lines(bench, at(9)) == [
        ("paged", "opened", 0, ("ana",), at(9)),
        ("next", "late", 1, ("mia",), at(9, 30)),
        ("later", "step", 2, ("rex",), at(9, 45)),
    ]
    assert told(bench, at(9))[-1].rule.repeats is None  # type: ignore[union-attr]


def test_what_comes_is_what_then_comes_and_people_are_those_of_now() -> None:
    bench = Bench()
    foreseen = [(step.rung, step.due_at) for step in told(bench, at(9)) if step.state != "paged"]
    bench.run(at(9, 50))
    assert [(step.rung, step.at) for step in told(bench, at(9, 50)) if step.what in ("late", "step") and step.at] == foreseen
    bench.store = replace(SHOP, regionals=("zoe",))
    assert lines(bench, at(9, 50))[-2:] == [
        ("paged", "step", 2, ("rex",), at(9, 45)),
        ("next", "step", 2, ("zoe",), at(10, 15)),
    ]


def test_an_acknowledgement_ends_the_list_and_stands_beside_each_page_of_its_generation() -> None:
    bench = Bench()
    bench.run(at(9, 35))
    bench.acknowledge(at(9, 40))
    assert [(step.what, step.taken.by, step.taken.at) for step in told(bench, at(9, 41)) if step.taken] == [
        ("opened", "ana", at(9, 40)),
        ("late", "ana", at(9, 40)),
    ]
    assert all(step.state == "paged" for step in told(bench, at(9, 41)))


def test_after_an_acknowledgement_went_stale_the_next_generation_climbs_on_from_its_level() -> None:
    bench = Bench()
    bench.run(at(9, 35))
    bench.acknowledge(at(9, 40))
    bench.run(at(13, 41))
    found = told(bench, at(13, 41))
    assert [(step.what, step.generation, bool(step.taken)) for step in found if step.at] == [
        ("opened", 1, True),
        ("late", 1, True),
        ("stale", 2, False),
    ]
    assert [(step.state, step.rule.level if step.rule else None, step.people) for step in found if not step.at] == [("next", 2, ("rex",))]


def test_the_repeats_of_the_last_rung_are_counted() -> None:
    bench = Bench()
    bench.run(at(11))
    found = told(bench, at(11))
    assert [step.repeat for step in found if step.rung == 2 and step.at] == [0, 1, 2]
    assert [(step.state, step.repeat, step.due_at) for step in found if not step.at] == [("next", 3, at(11, 15))]


def test_a_case_opened_at_night_waits_for_nothing_but_its_late_acknowledgement() -> None:
    bench = Bench(incident(), now=at(20))
    assert [(step.state, step.what, step.due_at) for step in told(bench, at(20))] == [
        ("paged", "opened", None),
        ("next", "late", at(9, 30, day=24)),
        ("later", "step", at(9, 45, day=24)),
    ]


def test_a_case_that_sleeps_or_is_over_has_nothing_to_come() -> None:
    bench = Bench()
    bench.run(at(9, 35))
    bench.case = replace(bench.case, is_asleep=True, step_due_at=None)
    assert all(step.state == "paged" for step in told(bench, at(9, 36)))
