"""What happens to a patient's order at a store, as the POS events that tell of it.

Called by the day. Pure apart from the random source that is handed in, so the same seed tells the same stories. A journey is a list of
events, each with the minutes of business time after which it is sent; one that lies in the past carries its own earlier time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

from shared.embedded.day import words

Event = dict[str, Any]
PATIENTS_PER_STORE: Final = 36


@dataclass(frozen=True, slots=True)
class Step:
    """One event, `after_minutes` from the journey's start; `days_ago` lie between its time and the moment it is sent."""

    after_minutes: int
    type_name: str
    data: dict[str, Any]
    days_ago: int = 0


@dataclass(frozen=True, slots=True)
class Person:
    """A patient of a store; the same number is the same person on every day."""

    ref: str
    name: str
    phone: str
    data: dict[str, Any]
    miles: int | None


def patient(store_id: str, store_phone: str, number: int, seed: int) -> Person:
    """Patient `number` of a store. Their numbers share the store's area code, so that their day is the store's."""
    random = Random(f"{seed}/{store_id}/{number}")
    ref = f"P-{store_id}-{number:02}"
    # 555-0100 to 555-0139 of each area; staff and stores have others.
    phone = f"{store_phone[:5]}55501{1 + number:02}"
    name = f"{random.choice(words.FIRST)} {random.choice(words.LAST)}"
    payer = random.choices(("commercial", "self", "medicare", "medicaid", "unknown"), (60, 22, 9, 4, 5))[0]
    agreed = ["care", *(["compensation"] if random.random() < 0.75 else [])]
    consents = [{"purpose": p, "granted": True, "at": "2026-01-05T15:00:00Z", "source": "welcome form"} for p in agreed]
    data = {"ref": ref, "name": name, "phone": phone, "language": "en", "payer": payer, "consents": consents}
    return Person(ref, name, phone, data, random.randint(2, 24) if random.random() < 0.85 else None)


def smooth(random: Random, order: str, now: datetime) -> list[Step]:
    """Ready on time and picked up; most orders are like this."""
    ready = random.randint(2, 40)
    steps = [_placed(random, order, now + timedelta(days=1), days_ago=6)]
    names = (("received", ready), ("notified", ready + random.randint(3, 20)), ("picked_up", ready + random.randint(40, 200)))
    return steps + [Step(minutes, f"pos.order.{name}", {"order_id": order}) for name, minutes in names]


def third_trip(random: Random, order: str, now: datetime, miles: int | None) -> list[Step]:
    """Bought a month ago, back twice already, and here again."""
    first, second = random.randint(9, 20), random.randint(2, 7)
    visit = {"order_id": order, "distance_miles": miles}
    return [
        _placed(random, order, None, days_ago=30),
        Step(0, "pos.visit.checked_in", visit | {"reason": "problem"}, days_ago=first),
        Step(0, "pos.visit.checked_in", visit | {"reason": "adjustment"}, days_ago=second),
        Step(random.randint(0, 5), "pos.visit.checked_in", visit | {"reason": "problem"}),
    ]


def remade(random: Random, order: str, now: datetime) -> list[Step]:
    """Came out wrong and is made again."""
    again = {
        "order_id": f"{order}-R",
        "root_order_id": order,
        "reason": random.choice(("scratched in edging", "wrong centre", "frame broke")),
    }
    return [_placed(random, order, None, days_ago=9), Step(random.randint(0, 15), "pos.order.remade", again)]


def late(random: Random, order: str, now: datetime) -> list[Step]:
    """Promised for today and not back from the lab: nobody complains yet, and the closing time tells."""
    return [_placed(random, order, now + timedelta(hours=1), days_ago=8)]


def complaint(random: Random, order: str, now: datetime) -> list[Step]:
    """The patient says so, in their own words."""
    said, wish, catalyst = random.choice(words.COMPLAINTS)
    channel = random.choices(("phone", "web", "store", "email"), (4, 3, 2, 1))[0]
    told = {"channel": channel, "text": said, "wished_outcome": wish, "order_id": order, "catalyst": catalyst}
    return [_placed(random, order, None, days_ago=12), Step(random.randint(0, 10), "complaint.submitted", told)]


def refund(random: Random, order: str, now: datetime) -> list[Step]:
    """Money goes back; once in a while the card's bank asks for it."""
    name = "pos.dispute.created" if random.random() < 0.12 else "pos.refund.created"
    amount = random.randrange(2500, 32000, 50)
    back = {"order_id": order, "amount_minor": amount, "currency": "USD", "reason": random.choice(words.REFUND_REASONS)}
    return [_placed(random, order, None, days_ago=16), Step(random.randint(0, 10), name, back)]


def any_journey(random: Random, order: str, now: datetime, miles: int | None) -> list[Step]:
    """One of them, as often as stores know it."""
    plain: tuple[Callable[[Random, str, datetime], list[Step]], ...] = (smooth, complaint, remade, refund, late)
    chosen = random.choices((*plain, None), (62, 9, 8, 5, 6, 10))[0]
    return third_trip(random, order, now, miles) if chosen is None else chosen(random, order, now)


def as_event(step: Step, name: str, store_id: str, person: Person, sent_at: datetime) -> Event:
    """The step as a CloudEvent of the JSON format."""
    data = {"location_id": store_id, "patient": person.data, **{key: value for key, value in step.data.items() if value is not None}}
    return {
        "specversion": "1.0",
        "id": name,
        "source": f"pos/{store_id}",
        "type": f"amends.{step.type_name}",
        "time": _text(sent_at - timedelta(days=step.days_ago)),
        "data": data,
    }


def _placed(random: Random, order: str, promised_at: datetime | None, *, days_ago: int) -> Step:
    data = {
        "order_id": order, "lab": random.choice(words.LABS), "product": random.choice(words.PRODUCTS),
        "amount_minor": random.randrange(9000, 60000, 100), "currency": "USD", "promised_at": _text(promised_at) if promised_at else None,
    }  # fmt: skip
    return Step(0, "pos.order.placed", data, days_ago)


def _text(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
