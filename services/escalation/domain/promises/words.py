"""Why a promise is for when it is, in a sentence for the people of the store. Invariant: it names no person and no patient."""

from datetime import timedelta
from typing import Final

from services.escalation.domain.case import Basis, Case, Promise

_MANY: Final = {
    "callback": "calls",
    "remake": "remakes",
    "order_ready": "orders",
    "delivery": "deliveries",
    "refund": "refunds",
    "other": "promises",
}
_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


def because(case: Case, one: Promise) -> str:
    """`90 % of the last 37 remakes of lab Sunlab took 6 days or less; with a buffer of 1 day, at a moment the store is open.`"""
    return f"{_rests_on(case, one)}; with a buffer of {length(one.basis.buffer_seconds)}, at a moment the store is open."


def length(seconds: int) -> str:
    """The two largest units that say something, rounded up: `6 days 4 hours`."""
    found: list[str] = []
    left = timedelta(seconds=seconds)
    for size, name in _UNITS:
        count = left // timedelta(seconds=size)
        if count and len(found) < 2:
            found.append(f"{count} {name}{'s' if count > 1 else ''}")
        left -= count * timedelta(seconds=size)
    return " ".join(found) or "less than a minute"


def _rests_on(case: Case, one: Promise) -> str:
    basis: Basis = one.basis
    if basis.rests_on == "estimate":
        return "A person's estimate, as history says nothing later" if basis.count else "A person's estimate"
    if basis.rests_on == "default":
        return f"There is too little history yet, so {length(basis.seconds)} by rule"
    where = {"lab": f"of lab {case.lab} for this store", "location": "at this store", "catalyst": "in the group"}[basis.rests_on]
    cause = case.catalyst.replace("_", " ")
    return f"90 % of the last {basis.count} {_MANY[one.what]} {where} after a {cause} took {length(basis.seconds)} or less"
