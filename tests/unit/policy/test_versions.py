"""Versions side by side: the one of the day decides, and what cannot be in force is refused when it is loaded."""

from datetime import date

import pytest

from shared.policy import BadTable, NoneInForce, Table, Versions

pytestmark = pytest.mark.unit


def text(version: int, begins: str | None, *, name: str = "sla", when: str = "{}") -> str:
    date_line = f"effective_from = {begins}\n" if begins else ""
    return (
        f'name = "{name}"\nversion = {version}\n{date_line}[inputs]\nn = {{ type = "int", min = 1, max = 3 }}\n[outputs]\nminutes = "int"\n'
        f'[[rows]]\nid = "all"\nwhen = {when}\nthen = {{ minutes = {version} }}\n'
    )


def problems(*texts: str) -> tuple[str, ...]:
    with pytest.raises(BadTable) as refused:
        Versions.load("sla", texts)
    return refused.value.problems


def test_the_version_of_the_day_is_the_last_that_has_begun() -> None:
    versions = Versions.load("sla", [text(3, "2026-07-01"), text(1, "2026-01-01"), text(2, "2026-03-01")])
    days = [date(2026, 1, 1), date(2026, 2, 28), date(2026, 3, 1), date(2026, 6, 30), date(2026, 7, 1), date(2030, 1, 1)]
    assert [versions.in_force(day).version for day in days] == [1, 1, 2, 2, 3, 3]


def test_a_day_before_the_first_version_is_an_error_that_says_when_it_begins() -> None:
    versions = Versions.load("sla", [text(2, "2026-03-01")])
    with pytest.raises(NoneInForce, match="no version is in force on 2026-02-28; the first, version 2, begins on 2026-03-01"):
        versions.in_force(date(2026, 2, 28))


def test_what_cannot_be_in_force_is_refused_with_every_reason() -> None:
    assert problems() == ("there is no version of it",)
    assert problems(text(1, None)) == ("version 1 needs the date it begins on (effective_from = 2026-01-01)",)
    assert problems(text(1, "2026-01-01"), text(1, "2026-02-01")) == ("version 1 is there twice",)
    assert problems(text(1, "2026-02-01"), text(2, "2026-02-01")) == ("version 2 begins on 2026-02-01, which is not after version 1",)
    assert problems(text(1, "2026-02-01", name="pauses")) == ("version 1 is called pauses",)
    assert problems(text(1, "2026-02-01", when="{ n = { from = 2 } }")) == ("version 1: no row covers n = 1",)


def test_a_date_is_a_date() -> None:
    for odd in ('"2026-01-01"', "2026-01-01T09:00:00Z", "20260101"):
        with pytest.raises(BadTable, match="effective_from is a date"):
            Table.load(text(1, odd))
