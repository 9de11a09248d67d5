"""Which events are incidents, and whose.

Called by `usecases.report` and by the timer of a promise. Invariant: one event raises at most one incident, and its id is handed in, so
that doing it twice cannot raise two; an incident without a patient and without an order is kept but told to nobody.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Self, get_args
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from services.intake.domain.orders import History, Order, Visit, deadline, heard, watched, window_of
from services.intake.domain.patients import Whom
from shared.calendars import Calendar, local_date
from shared.contracts.incidents import Incident, IncidentReported, IncidentType, Trip
from shared.contracts.ingress import (
    TYPES,
    Catalyst,
    ComplaintSubmitted,
    MoneyBack,
    OrderPlaced,
    OrderRemade,
    PosData,
    PosEvent,
    VisitCheckedIn,
)
from shared.kernel.decision import Decision, Timer

Status = Literal["accepted", "unattributed"]
ORDINARY: Final = "Events of this kind are no incident by themselves."


@dataclass(frozen=True, slots=True)
class Rules:
    """`policy/incidents.toml`, read and checked."""

    version: int
    trip_reasons: frozenset[str]
    from_trip: int
    within: timedelta
    events: Mapping[str, IncidentType]
    catalysts: Mapping[IncidentType, Catalyst]

    @classmethod
    def read(cls, text: str) -> Self:
        """The rules in a TOML text. Raises ValueError that names what is not known or missing."""
        table = tomllib.loads(text)
        repeat, events, catalysts = table["repeat_visit"], table["events"], table["catalysts"]
        kinds, reasons = set(get_args(IncidentType)), set(get_args(Catalyst))
        strange = [name for name in events if name not in TYPES] + [kind for kind in (*events.values(), *catalysts) if kind not in kinds]
        strange += [name for name in catalysts.values() if name not in reasons]
        missing = sorted(kinds - set(catalysts))
        if strange or missing or repeat["from_trip"] < 1 or repeat["within_days"] < 1:
            raise ValueError(f"incidents.toml: not known {strange}, without a catalyst {missing}")
        days = timedelta(days=repeat["within_days"])
        return cls(table["version"], frozenset(repeat["reasons"]), repeat["from_trip"], days, events, catalysts)


class Verdict(Struct, frozen=True, gc=False):
    """What became of one event. `why` says why there is no incident; `visit` is the trip it was, `is_remake` whether it was a remake."""

    history: History | None
    status: Status = "accepted"
    incident: Incident | None = None
    why: str | None = None
    visit: Visit | None = None
    is_remake: bool = False

    @property
    def is_ordinary(self) -> bool:
        """Whether there is no more to be kept of the event than that it came: who asks later is told `ORDINARY`."""
        return self.status == "accepted" and self.incident is None and self.why == ORDINARY


class Ids(Struct, frozen=True, gc=False):
    """What an event and whatever it becomes are called; minted by the use case."""

    event_id: UUID
    incident_id: UUID


def report(
    rules: Rules,
    history: History | None,
    event: PosEvent,
    ids: Ids,
    *,
    now: datetime,
    calendars: Mapping[str, Calendar],
    patient: Whom | None,
    joined: tuple[History, History] | None = None,
) -> Decision[Verdict]:
    """Take one POS event into its root order's history (None for an event without an order) and say what it amounts to.

    `patient` is the one the event names, else the one its order is known to be for. `now` is business time. `joined`: the two histories
    that this event showed to be one; `history` is then the merged one.
    """
    data = event.data
    order_id: str | None = getattr(data, "order_id", None)
    timers: tuple[Timer, ...] = ()
    visit: Visit | None = None
    if history is not None and order_id is not None:
        history, timers = _taken(history, event, order_id, calendars)
        visit = _trip(rules, event, ids, order_id, calendars)
        if visit is not None:
            history = replace(history, visits=(*history.visits, visit))
    is_remake = history is not None and isinstance(data, OrderRemade)
    if history is not None and is_remake:
        history = replace(history, remakes=history.remakes + 1)
    patient_ref = patient.ref if patient else None
    root = history.root_order_id if history else None
    status: Status = "accepted" if patient_ref or root else "unattributed"
    found = _incident_of(rules, event, history, visit) or _found_by_joining(rules, history, joined)
    if found is None:
        why = _why_nothing(rules, event, visit, history) if status == "accepted" else _NOBODY
        return Decision(Verdict(history, status, None, why, visit, is_remake), (), timers)
    incident = Incident(
        incident_id=ids.incident_id,
        incident_type=found.kind,
        catalyst=found.catalyst or rules.catalysts[found.kind],
        location_id=data.location_id,
        patient_ref=patient_ref,
        root_order_id=root,
        order_id=order_id,
        occurred_at=event.time,
        reported_at=now,
        repeat_count=found.count,
        trips=found.trips,
        payer_class=patient.payer_class if patient else "unknown",
        household=patient.household if patient else None,
        lab=history.lab_of(order_id) if history else None,
        source=event.source,
        source_id=event.id,
        **_particulars(event),
    )
    told = (IncidentReported(incident=incident),) if status == "accepted" else ()
    return Decision(Verdict(history, status, incident, None if told else _NOBODY, visit, is_remake), told, timers)


def looks_back(event: PosEvent) -> bool:
    """Whether what an event amounts to hangs on the trips and remakes before it; else `report` may be given a history without them."""
    data = event.data
    return isinstance(data, VisitCheckedIn | OrderRemade) or (isinstance(data, OrderPlaced) and data.root_order_id is not None)


def when_late(
    rules: Rules,
    history: History,
    order: Order,
    due_at: datetime,
    incident_id: UUID,
    *,
    calendars: Mapping[str, Calendar],
    patient: Whom | None,
) -> Decision[Verdict]:
    """The closing time of the promised day has come. Not ready: the order is late, once for this promise. `due_at` is that closing."""
    order = replace(order, watched_until=None)
    due = deadline(order, calendars)
    timers: tuple[Timer, ...] = ()
    if order.is_ready or due is None or due > due_at:
        # Ready meanwhile, or the store's hours changed since: nothing missed, and what is still promised is watched on.
        order, timers = watched(order, calendars)
        return Decision(Verdict(_with(history, order)), (), timers)
    order = replace(order, late_for=due)
    incident = Incident(
        incident_id=incident_id,
        incident_type="order_late",
        catalyst=rules.catalysts["order_late"],
        location_id=order.location_id or "",
        patient_ref=patient.ref if patient else None,
        root_order_id=history.root_order_id,
        order_id=order.order_id,
        occurred_at=due,
        reported_at=due_at,
        payer_class=patient.payer_class if patient else "unknown",
        household=patient.household if patient else None,
        lab=history.lab_of(order.order_id),
    )
    return Decision(Verdict(_with(history, order), incident=incident), (IncidentReported(incident=incident),))


def complaint_words(data: PosData) -> tuple[str, str | None] | None:
    """The words of a complaint and the outcome wished for; None for any other event."""
    return (data.text, data.wished_outcome) if isinstance(data, ComplaintSubmitted) else None


_NOBODY = "It names neither a patient nor an order, so there is nobody to open a case for."


@dataclass(frozen=True, slots=True)
class _Found:
    kind: IncidentType
    catalyst: Catalyst | None = None
    count: int = 1
    trips: tuple[Trip, ...] = ()


def _taken(history: History, event: PosEvent, order_id: str, calendars: Mapping[str, Calendar]) -> tuple[History, tuple[Timer, ...]]:
    known = history.orders.get(order_id) or Order(order_id, history.root_order_id)
    order, timers = watched(heard(known, event), calendars)
    return (history if order == history.orders.get(order_id) else _with(history, order)), timers


def _with(history: History, order: Order) -> History:
    return replace(history, orders={**history.orders, order.order_id: order})


def _trip(rules: Rules, event: PosEvent, ids: Ids, order_id: str, calendars: Mapping[str, Calendar]) -> Visit | None:
    data = event.data
    if not isinstance(data, VisitCheckedIn) or data.reason not in rules.trip_reasons:
        return None
    on = local_date(calendars[data.location_id], event.time)
    return Visit(ids.event_id, order_id, data.location_id, event.time, on, data.distance_miles)


def _incident_of(rules: Rules, event: PosEvent, history: History | None, visit: Visit | None) -> _Found | None:
    kind = rules.events.get(event.type)
    if kind == "order_remade" and history is not None:
        return _Found(kind, count=history.remakes)
    if kind is not None:
        return _Found(kind, event.data.catalyst if isinstance(event.data, ComplaintSubmitted) else None)
    if visit is None or history is None:
        return None
    trips = window_of(history.visits, visit.at, rules.within)
    return _repeat(trips) if len(trips) >= rules.from_trip else None


def _found_by_joining(rules: Rules, history: History | None, joined: tuple[History, History] | None) -> _Found | None:
    """Trips that came before it was known that their orders have one root: counted when it is, unless a part was counted already."""
    if joined is None or history is None or not history.visits:
        return None
    if any(len(_busiest(rules, part)) >= rules.from_trip for part in joined):
        return None
    trips = _busiest(rules, history)
    return _repeat(trips) if len(trips) >= rules.from_trip else None


def _busiest(rules: Rules, history: History) -> tuple[Visit, ...]:
    windows = (window_of(history.visits, visit.at, rules.within) for visit in history.visits)
    return max(windows, key=len, default=())


def _repeat(trips: tuple[Visit, ...]) -> _Found:
    told = tuple(Trip(visit_id=trip.visit_id, on=trip.on, miles=trip.miles) for trip in trips)
    return _Found("repeat_visit", count=len(trips), trips=told)


def _particulars(event: PosEvent) -> dict[str, Any]:
    """What only some kinds of event tell."""
    data = event.data
    if isinstance(data, ComplaintSubmitted):
        return {"channel": data.channel, "has_words": True}
    if isinstance(data, MoneyBack):
        is_dispute = event.type == "amends.pos.dispute.created"
        return {"amount_minor": data.amount_minor, "currency": data.currency, "is_dispute": is_dispute}
    return {}


def _why_nothing(rules: Rules, event: PosEvent, visit: Visit | None, history: History | None) -> str:
    if visit is not None and history is not None:
        count = len(window_of(history.visits, visit.at, rules.within))
        return f"Trip {count} for this order within {rules.within.days} days; an incident from the {rules.from_trip}rd on."
    if isinstance(event.data, VisitCheckedIn) and event.data.reason in rules.trip_reasons:
        return "A trip for no order that is named; trips are counted for each order."
    return ORDINARY
