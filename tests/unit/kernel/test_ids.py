"""Ids in the order of their minting; references that no two cases share and that notice a slip of the tongue."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.ids import CROCKFORD, day_of, first_of, is_reference, new_id, normal_reference, reference, time_of, uuid7_at

pytestmark = pytest.mark.unit
LAST = 32**5 - 1


def test_an_id_is_a_version_7_and_tells_when_it_was_minted() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    found = new_id()
    assert found.version == 7 and before <= time_of(found) <= datetime.now(UTC)
    assert len({new_id() for _ in range(5000)}) == 5000


@given(st.timedeltas(timedelta(0), timedelta(days=2_900_000)), st.integers(1, 10**9))
def test_ids_sort_by_their_time(age: timedelta, millis: int) -> None:
    at = datetime(1970, 1, 2, tzinfo=UTC) + age
    assert abs(time_of(uuid7_at(at)) - at) <= timedelta(milliseconds=1)
    later = min(at + timedelta(milliseconds=millis), datetime(9999, 12, 31, tzinfo=UTC))
    assert uuid7_at(at).int < uuid7_at(later + timedelta(milliseconds=1)).int


@given(st.timedeltas(timedelta(0), timedelta(days=2_900_000)))
def test_the_first_number_of_a_day_parts_ids_by_the_day_of_their_minting(age: timedelta) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + age
    value, day = uuid7_at(at), at.date()
    assert day_of(value) == time_of(value).date() == day
    assert first_of(day) < value.int < first_of(day + timedelta(days=1))


@pytest.mark.parametrize("value", [uuid4(), UUID(int=0), UUID("ffffffff-ffff-7fff-bfff-ffffffffffff")])
def test_an_id_without_a_time_is_refused_by_name(value: UUID) -> None:
    with pytest.raises(ValueError, match=r"."):
        time_of(value)


@given(st.integers(0, LAST), st.integers(0, LAST))
def test_two_numbers_have_two_references(one: int, other: int) -> None:
    assert (reference(one) == reference(other)) == (one == other)


def test_references_of_a_row_are_different_and_end_where_they_are_used_up() -> None:
    assert len({reference(n) for n in range(60_000)}) == 60_000
    assert reference(LAST)
    for number in (-1, LAST + 1):
        with pytest.raises(ValueError, match="used up"):
            reference(number)


@given(st.integers(0, LAST), st.integers(0, 5), st.sampled_from(CROCKFORD))
def test_every_single_wrong_character_is_noticed(number: int, place: int, wrong: str) -> None:
    text = reference(number)
    at = (3, 4, 5, 6, 8, 9)[place]
    broken = text[:at] + wrong + text[at + 1 :]
    assert is_reference(broken) == (broken == text)


@given(st.integers(0, LAST))
def test_a_reference_is_understood_however_it_was_typed(number: int) -> None:
    text = reference(number)
    typed = text.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert normal_reference(typed) == normal_reference(text.replace("-", "")) == text


@pytest.mark.parametrize("text", ["", "AM", "AM-0000-0", "XX-0000-00", "AM-0000-000", "AM-00U0-00", "AM-ÄÖÜß-00", "AM-٠٠٠٠-٠٠"])
def test_what_is_no_reference(text: str) -> None:
    assert normal_reference(text) is None
