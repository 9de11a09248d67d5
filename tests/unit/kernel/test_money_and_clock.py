"""Half up to the cent, never a float; business time that never runs back."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel import clock
from shared.kernel.clock import MovableClock
from shared.kernel.money import Money, minor

pytestmark = pytest.mark.unit
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("amount", "currency", "cents"),
    [
        ("5.945", "USD", 595), ("5.9449", "USD", 594), ("0.005", "USD", 1), ("0.004", "USD", 0), ("26.10", "USD", 2610), ("0", "USD", 0),
        ("1234.5", "JPY", 1235), ("1234.4", "JPY", 1234), ("1.2345", "KWD", 1235), ("99999999999999999.995", "USD", 10**19),
    ],
)  # fmt: skip
def test_half_up(amount: str, currency: str, cents: int) -> None:
    assert minor(Decimal(amount), currency) == cents


@given(st.decimals(0, 10**9, places=6))
def test_minor_is_the_nearest_cent_and_a_half_goes_up(amount: Decimal) -> None:
    found = minor(amount, "USD")
    assert found == int((amount * 100).to_integral_value(ROUND_HALF_UP))
    assert Decimal("-0.5") < found - amount * 100 <= Decimal("0.5")


def test_money_of_two_currencies_does_not_mix_and_is_read_with_its_places() -> None:
    assert Money(2610, "USD") + Money(5, "USD") == Money(2615, "USD")
    with pytest.raises(ValueError, match="cannot add"):
        Money(1, "USD") + Money(1, "EUR")
    assert [str(Money(123456, c)) for c in ("USD", "JPY", "KWD")] == ["1,234.56 USD", "123,456 JPY", "123.456 KWD"]


class Machine:
    """The machine's clock, in the test's hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = NOON
        monkeypatch.setattr(clock, "machine_now", lambda: self.at)


def test_business_time_runs_at_its_rate_and_jumps_forward_only(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    moved = MovableClock(NOON, NOON, rate=60)
    machine.at += timedelta(seconds=2)
    assert moved.now() == NOON + timedelta(minutes=2)
    moved.jump_to(NOON)
    assert moved.now() == NOON + timedelta(minutes=2)
    moved.jump_to(NOON + timedelta(hours=5))
    machine.at += timedelta(seconds=1)
    assert moved.now() == NOON + timedelta(hours=5, minutes=1)


@given(st.lists(st.one_of(st.floats(0, 1000), st.integers(-3600, 3600), st.timedeltas(timedelta(-5), timedelta(5))), max_size=30))
def test_whatever_is_done_to_it_business_time_never_runs_back(steps: list[float | int | timedelta]) -> None:
    """Floats are rates, whole numbers seconds that the machine's clock moves (a correction moves it back), spans are jumps."""
    with pytest.MonkeyPatch.context() as patch:
        machine = Machine(patch)
        moved = MovableClock(NOON, NOON)
        last = moved.now()
        for step in steps:
            if isinstance(step, timedelta):
                moved.jump_to(moved.now() + step)
            elif isinstance(step, float):
                moved.set_rate(step)
            else:
                machine.at += timedelta(seconds=step)
            assert moved.now() >= last
            last = moved.now()


@pytest.mark.parametrize("rate", [-1, 100_001, float("nan")])
def test_a_rate_that_makes_no_sense_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        MovableClock(NOON, NOON).set_rate(rate)
