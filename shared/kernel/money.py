"""Money: Decimal in, whole minor units stored, half up in the patient's favour. No float comes near it."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

# Minor units per major unit where it is not a hundred (ISO 4217).
_EXPONENTS = {"JPY": 0, "KRW": 0, "CLP": 0, "ISK": 0, "BHD": 3, "KWD": 3, "OMR": 3, "TND": 3}


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount in minor units (cents) of one currency (ISO 4217 code)."""

    amount_minor: int
    currency: str

    def __add__(self, other: "Money") -> "Money":
        if other.currency != self.currency:
            raise ValueError(f"cannot add {other.currency} to {self.currency}")
        return Money(self.amount_minor + other.amount_minor, self.currency)

    def __str__(self) -> str:
        exponent = _EXPONENTS.get(self.currency, 2)
        return f"{Decimal(self.amount_minor).scaleb(-exponent):,.{exponent}f} {self.currency}"


def minor(amount: Decimal, currency: str) -> int:
    """`amount` in major units (dollars) as whole minor units, half up: `minor(Decimal("5.945"), "USD") == 595`."""
    return int(amount.scaleb(_EXPONENTS.get(currency, 2)).quantize(Decimal(1), rounding=ROUND_HALF_UP))
