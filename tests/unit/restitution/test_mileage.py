"""Mileage is data: the rate of each trip's own date, never the newest."""

from datetime import date
from decimal import Decimal

import pytest

from services.restitution.domain import CURRENCY, Policies
from shared.kernel.money import minor
from shared.policy import PolicyError
from tests.unit.restitution.making import POLICIES, policy_texts

RATES = [
    ("business", "2022-01-01", "58.5"), ("business", "2022-06-30", "58.5"), ("business", "2022-07-01", "62.5"),
    ("business", "2022-12-31", "62.5"), ("business", "2023-01-01", "65.5"), ("business", "2024-02-29", "67"),
    ("business", "2025-12-31", "70"), ("business", "2026-01-01", "72.5"), ("business", "2026-12-31", "72.5"),
    ("medical", "2022-01-01", "18"), ("medical", "2022-07-01", "22"), ("medical", "2023-12-31", "22"), ("medical", "2024-01-01", "21"),
    ("medical", "2025-06-15", "21"), ("medical", "2026-06-15", "20.5"),
]  # fmt: skip


@pytest.mark.parametrize(("basis", "on", "cents"), RATES)
def test_each_date_has_its_own_rate(basis: str, on: str, cents: str) -> None:
    assert POLICIES.rate(date.fromisoformat(on), basis) == Decimal(cents)


@pytest.mark.parametrize("on", ["2021-12-31", "2027-01-01", "2030-05-05"])
def test_a_date_without_a_rate_is_out_of_policy_and_never_the_newest(on: str) -> None:
    assert POLICIES.rate(date.fromisoformat(on)) is None


@pytest.mark.parametrize(("basis", "cents"), [("business", 5220), ("medical", 1476)])
def test_72_miles_in_2026(basis: str, cents: int) -> None:
    rate = POLICIES.rate(date(2026, 5, 1), basis)
    assert rate is not None
    assert minor(72 * rate / 100, CURRENCY) == cents


def test_the_last_known_date_is_told() -> None:
    assert POLICIES.rates_end() == date(2026, 12, 31)


def test_ranges_that_overlap_are_refused_at_load_by_name() -> None:
    texts = policy_texts()
    texts["mileage"] = texts["mileage"].replace("to = 2025-12-31", "to = 2026-01-15", 1)
    with pytest.raises(PolicyError, match="business-2025 and business-2026"):
        Policies.load(texts)


def test_a_gap_is_refused_where_only_a_person_could_fill_it() -> None:
    texts = policy_texts()
    texts["goodwill"] = texts["goodwill"].replace('budget = ["within", "soft"]', 'budget = ["within"]')
    with pytest.raises(PolicyError, match="budget = soft"):
        Policies.load(texts)
