"""I3: the ledger sums to zero and equals what was approved; nothing is paid twice, and nothing over anybody's authority.

The limits are those of the public contract, written down again: a check that asked the product's own table could not find it wrong.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from uuid import UUID

from tests.chaos.checks.finding import Finding

LIMITS = {"system": 5_000, "associate": 0, "store_manager": 15_000, "regional_manager": 50_000, "compliance": 50_000, "admin": 200_000}
TWO_PEOPLE_ABOVE = 100_000
PAID = frozenset({"gas_money", "refund", "store_credit"})
# What the legs of a grant must be, by the restitution's status; a reversed one was voided, or posted and booked back.
GRANT = {"approved": "pending", "offered": "pending", "accepted": "pending", "payout_uncertain": "pending", "settled": "posted"}


@dataclass(frozen=True, slots=True)
class Trip:
    """A trip as a restitution carries it."""

    visit_id: UUID
    miles: Decimal | None
    cents_per_mile: Decimal | None


@dataclass(frozen=True, slots=True)
class Granted:
    """A restitution, whatever came of it."""

    restitution_id: UUID
    kind: str
    amount_minor: int
    status: str
    requested_by: str
    approved_by: tuple[str, ...] = ()
    trips: tuple[Trip, ...] = ()
    location_id: str = ""
    month: str = ""


@dataclass(frozen=True, slots=True)
class Leg:
    entry_id: UUID
    restitution_id: UUID
    purpose: str
    account: str
    amount_minor: int
    state: str


@dataclass(frozen=True, slots=True)
class Money:
    """`visits`: each trip intake knows, with its root order and its miles; `codes`: each payout's amounts, as often as it was paid;
    `budgets`: (location, month) to what is reserved and posted; `requested`: how many requests of each person were answered with 200;
    `roles`: of the staff."""

    granted: Sequence[Granted] = ()
    legs: Sequence[Leg] = ()
    visits: Mapping[UUID, tuple[str, Decimal | None]] = field(default_factory=dict)
    codes: Sequence[tuple[UUID, int]] = ()
    budgets: Mapping[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    requested: Mapping[str, int] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)


def entries_balance(seen: Money) -> Iterator[Finding]:
    """Every entry has two legs of one state that sum to zero."""
    entries: dict[UUID, list[Leg]] = defaultdict(list)
    for leg in seen.legs:
        entries[leg.entry_id].append(leg)
    for entry_id, legs in entries.items():
        total, states = sum(leg.amount_minor for leg in legs), {leg.state for leg in legs}
        if total or len(legs) != 2 or len(states) != 1:
            yield Finding("I3", "entries_balance", f"entry {entry_id} has {len(legs)} legs, sum {total}, {sorted(states)}")


def ledger_is_what_was_approved(seen: Money) -> Iterator[Finding]:
    """Each restitution has the legs that its status asks for, of its amount, and no others."""
    booked: dict[UUID, Counter[tuple[str, str, int]]] = defaultdict(Counter)
    for leg in seen.legs:
        if leg.account.startswith("patient:"):
            booked[leg.restitution_id][leg.purpose, leg.state, leg.amount_minor] += 1
    for r in seen.granted:
        legs = booked.pop(r.restitution_id, Counter())
        if legs not in _right_legs(r):
            yield Finding(
                "I3", "ledger_is_what_was_approved", f"{r.kind} {r.restitution_id} is {r.status} of {r.amount_minor}: {dict(legs)}"
            )
    for restitution_id in booked:
        yield Finding("I3", "ledger_is_what_was_approved", f"legs of {restitution_id}, which nobody proposed")


def _right_legs(r: Granted) -> list[Counter[tuple[str, str, int]]]:
    nothing: Counter[tuple[str, str, int]] = Counter()
    if r.amount_minor == 0:
        return [nothing]
    if r.status == "reversed":
        back = Counter({("grant", "posted", r.amount_minor): 1, ("reversal", "posted", -r.amount_minor): 1})
        return [Counter({("grant", "voided", r.amount_minor): 1}), back]
    state = GRANT.get(r.status)
    return [Counter({("grant", state, r.amount_minor): 1}) if state else nothing]


def no_visit_paid_twice(seen: Money) -> Iterator[Finding]:
    """A trip is in one restitution at most, it was made, and of a root order's trips at least one is not paid: the first."""
    carried = Counter(trip.visit_id for r in seen.granted for trip in r.trips)
    of_root: Counter[str] = Counter(root for root, _ in seen.visits.values())
    paid_of_root: Counter[str] = Counter()
    for visit_id, times in carried.items():
        if times > 1:
            yield Finding("I3", "no_visit_paid_twice", f"visit {visit_id} is in {times} restitutions")
        if visit_id not in seen.visits:
            yield Finding("I3", "no_visit_paid_twice", f"visit {visit_id} is paid and was never made")
        else:
            paid_of_root[seen.visits[visit_id][0]] += 1
    for root, paid in paid_of_root.items():
        if paid >= of_root[root]:
            yield Finding("I3", "no_visit_paid_twice", f"all {paid} trips of {root} are paid, the first too")


def gas_money_is_of_the_trips(seen: Money) -> Iterator[Finding]:
    """What the system approved is there and back for each trip, rounded once."""
    for r in seen.granted:
        if r.kind != "gas_money" or any(trip.miles is None or trip.cents_per_mile is None for trip in r.trips):
            continue
        cents = sum((2 * (trip.miles or Decimal(0)) * (trip.cents_per_mile or Decimal(0)) for trip in r.trips), Decimal(0))
        if (due := int(cents.quantize(Decimal(1), ROUND_HALF_UP))) != r.amount_minor:
            yield Finding("I3", "gas_money_is_of_the_trips", f"{r.restitution_id} is {r.amount_minor}, its trips make {due}")
        for trip in r.trips:
            if seen.visits.get(trip.visit_id, ("", trip.miles))[1] != trip.miles:
                yield Finding("I3", "gas_money_is_of_the_trips", f"visit {trip.visit_id} is paid for {trip.miles} miles")


def paid_once(seen: Money) -> Iterator[Finding]:
    """What is settled in money was paid once and in full; what was never offered was not paid."""
    paid: dict[UUID, list[int]] = defaultdict(list)
    for payout_id, amount in seen.codes:
        paid[payout_id].append(amount)
    for r in seen.granted:
        amounts = paid.pop(r.restitution_id, [])
        if r.kind in PAID and r.status == "settled" and amounts != [r.amount_minor]:
            yield Finding("I3", "paid_once", f"{r.restitution_id} is settled of {r.amount_minor}, paid: {amounts}")
        if amounts and r.status in ("proposed", "referred", "approved", "declined"):
            yield Finding("I3", "paid_once", f"{r.restitution_id} is {r.status} and was paid {amounts}")
        if len(amounts) > 1:
            yield Finding("I3", "paid_once", f"{r.restitution_id} was paid {len(amounts)} times")
    for payout_id, amounts in paid.items():
        yield Finding("I3", "paid_once", f"{payout_id} was paid {amounts} and is no restitution")


def within_authority(seen: Money) -> Iterator[Finding]:
    """Somebody whose limit covers it said yes, two people where it is much, and nobody to their own."""
    for r in seen.granted:
        if r.status not in (*GRANT, "reversed"):
            continue
        limits = [LIMITS.get(seen.roles.get(who, who), 0) for who in r.approved_by]
        if not limits or max(limits) < r.amount_minor:
            yield Finding("I3", "within_authority", f"{r.restitution_id} of {r.amount_minor} was approved by {list(r.approved_by)}")
        if r.amount_minor > TWO_PEOPLE_ABOVE and len(set(r.approved_by)) < 2:
            yield Finding("I3", "within_authority", f"{r.restitution_id} of {r.amount_minor} was approved by one person")
        if r.requested_by != "system" and r.requested_by in r.approved_by:
            yield Finding("I3", "within_authority", f"{r.restitution_id} was approved by who asked for it")


def every_request_is_there(seen: Money) -> Iterator[Finding]:
    """What a person asked for and was answered for is there once; what was never answered may be there too."""
    there = Counter(r.requested_by for r in seen.granted)
    for person, times in seen.requested.items():
        if there[person] < times:
            yield Finding("I3", "every_request_is_there", f"{person} was answered for {times} requests, {there[person]} are there")


def budgets_add_up(seen: Money) -> Iterator[Finding]:
    """What a store's month has reserved and posted is what its restitutions hold."""
    held: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for r in seen.granted:
        if state := GRANT.get(r.status):
            held[r.location_id, r.month][state == "posted"] += r.amount_minor
    for place in held.keys() | seen.budgets.keys():
        reserved, posted = held[place]
        if (found := seen.budgets.get(place, (0, 0))) != (reserved, posted):
            yield Finding("I3", "budgets_add_up", f"{place}: reserved and posted are {found}, restitutions hold {(reserved, posted)}")
