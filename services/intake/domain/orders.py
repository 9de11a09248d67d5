"""The history of a root order: its orders, the trips made for it, its remakes; and the watch on what was promised.

Called by `incidents`. Invariant: the state after any set of events is the same in whatever order they came; each field of an order holds
what the newest event that spoke of it said, so an older one never regresses a newer.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from msgspec import Struct, field
from msgspec.structs import replace

from shared.calendars import Calendar, closing_of, local_date
from shared.contracts.ingress import OrderPlaced, OrderPromised, PosEvent
from shared.kernel.decision import Cancel, Schedule, Timer

ORDER_LATE = "order_late"
# Later steps win between two events of one instant.
RANK = {"placed": 0, "received": 1, "notified": 2, "picked_up": 3, "returned": 4, "cancelled": 5}
READY = frozenset({"received", "notified", "picked_up", "returned", "cancelled"})
# Before any event (`reading.YEARS`); the first moment of all would come back from Postgres as minus infinity.
NEVER = datetime(1800, 1, 1, tzinfo=UTC)


class Order(Struct, frozen=True, gc=False):
    """An order as it is known. `…_at` beside a field is the time of the event that said it.

    `watched_until`: for when a timer is armed (UTC), `generation`: of that timer or of the last one; `late_for`: the deadline that was
    last reported as missed.
    """

    order_id: str
    root_order_id: str
    state: str | None = None
    state_at: datetime = NEVER
    promised_at: datetime | None = None
    promise_at: datetime = NEVER
    location_id: str | None = None
    location_at: datetime = NEVER
    patient_ref: str | None = None
    patient_at: datetime = NEVER
    lab: str | None = None
    product: str | None = None
    placed_at: datetime = NEVER
    watched_until: datetime | None = None
    generation: int = 0
    late_for: datetime | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the patient need not wait for it any more: it arrived, or is not wanted."""
        return self.state in READY


class Visit(Struct, frozen=True, gc=False):
    """A visit that counts as a trip. `on` is the date at the store; `miles` one way, patient to store."""

    visit_id: UUID
    order_id: str
    location_id: str
    at: datetime
    on: date
    miles: Decimal | None


class History(Struct, frozen=True, gc=False):
    """A root order with all that was made of it. `remakes` counts them; `absorbed` are roots that turned out to be orders of this one."""

    root_order_id: str
    orders: Mapping[str, Order] = field(default_factory=dict[str, Order])
    visits: tuple[Visit, ...] = ()
    remakes: int = 0
    absorbed: frozenset[str] = frozenset()

    @property
    def patient_ref(self) -> str | None:
        """The patient of the root order, else of the newest order that has one."""
        known = [order for order in self.orders.values() if order.patient_ref]
        return max(known, key=lambda o: (o.order_id == self.root_order_id, o.patient_at, o.order_id)).patient_ref if known else None

    def lab_of(self, order_id: str | None) -> str | None:
        """The lab of an order; where none was told, that of the newest order that has one."""
        own = self.orders.get(order_id or "")
        if own is not None and own.lab:
            return own.lab
        known = [order for order in self.orders.values() if order.lab]
        return max(known, key=lambda o: (o.placed_at, o.order_id)).lab if known else None


def blank(root_order_id: str) -> History:
    """The history of a root order nobody has told of yet."""
    return History(root_order_id)


def merge(history: History, other: History) -> History:
    """`other` turned out to be an order of `history`'s root: one history from now on."""
    moved = {key: replace(order, root_order_id=history.root_order_id) for key, order in other.orders.items()}
    return History(
        history.root_order_id,
        {**moved, **history.orders},
        history.visits + other.visits,
        history.remakes + other.remakes,
        history.absorbed | other.absorbed | {other.root_order_id},
    )


def heard(order: Order, event: PosEvent) -> Order:
    """The order after an event that names it."""
    data, at, step, news = event.data, event.time, event.type.rsplit(".", 1)[-1], dict[str, Any]()
    if step in RANK and event.type.startswith("amends.pos.order.") and (at, RANK[step]) > (order.state_at, RANK.get(order.state or "", -1)):
        news |= {"state": step, "state_at": at}
    if data.patient is not None and (at, data.patient.ref) > (order.patient_at, order.patient_ref or ""):
        news |= {"patient_ref": data.patient.ref, "patient_at": at}
    if isinstance(data, OrderPlaced | OrderPromised):
        news |= _promised(order, data, at)
    # One copy for all of it: with a copy for each, hearing a placed order took twice as long.
    return replace(order, **news) if news else order


def _promised(order: Order, data: OrderPlaced | OrderPromised, at: datetime) -> dict[str, Any]:
    """What only a placed or a moved promise says: which store promised, what and for when."""
    promised, news = data.promised_at, dict[str, Any]()
    if (at, data.location_id) > (order.location_at, order.location_id or ""):
        news |= {"location_id": data.location_id, "location_at": at}
    if promised is not None and (at, promised) > (order.promise_at, order.promised_at or NEVER):
        news |= {"promised_at": promised.astimezone(UTC), "promise_at": at}
    if isinstance(data, OrderPlaced) and (at, data.lab or "", data.product or "") > (order.placed_at, order.lab or "", order.product or ""):
        news |= {"lab": data.lab, "product": data.product, "placed_at": at}
    return news


def deadline(order: Order, calendars: Mapping[str, Calendar]) -> datetime | None:
    """When what was promised is missed (UTC): at the closing of the promised local date; where the store is closed all that day, at
    its end. None without a promise, and where the store is not known."""
    calendar = calendars.get(order.location_id or "")
    if order.promised_at is None or calendar is None:
        return None
    day = local_date(calendar, order.promised_at)
    closing = closing_of(calendar, day)
    return closing if closing is not None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=calendar.midnight_after(day))


def watched(order: Order, calendars: Mapping[str, Calendar]) -> tuple[Order, tuple[Timer, ...]]:
    """The order with the one timer it needs now: armed, moved, cancelled or left alone."""
    due = None if order.is_ready else deadline(order, calendars)
    if due is not None and due == order.late_for:
        due = None
    if due == order.watched_until:
        return order, ()
    if due is None:
        reason = order.state if order.is_ready and order.state else "no promise"
        cancel = Cancel(ORDER_LATE, order.order_id, reason, "promise", order.generation)
        return replace(order, watched_until=None), (cancel,)
    # A moved timer keeps its row; a new one after a fired or cancelled one takes a new generation.
    generation = order.generation if order.watched_until is not None else order.generation + 1
    armed = Schedule(ORDER_LATE, order.order_id, "promise", generation, due)
    return replace(order, watched_until=due, generation=generation), (armed,)


def window_of(visits: tuple[Visit, ...], at: datetime, within: timedelta) -> tuple[Visit, ...]:
    """The most trips that fit into one span of `within` around `at`, in order of time."""
    best: tuple[Visit, ...] = ()
    ordered = sorted(visits, key=lambda visit: (visit.at, str(visit.visit_id)))
    for first in ordered:
        if at - within <= first.at <= at:
            fitting = tuple(visit for visit in ordered if first.at <= visit.at <= first.at + within)
            best = max(best, fitting, key=len)
    return best
