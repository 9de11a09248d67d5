"""The way of each fact of a batch as spans of its own: a batch holds facts of many traces, so no span is the whole batch's.

Called by the consumer and the timers' loop. Invariant: while traces are off, facts and timers pass
through untouched, and a record of a foreign sender gets a trace at most.
"""

import dataclasses
from typing import Any

from msgspec.structs import replace

from shared.contracts.envelope import Event, Fact
from shared.messaging.records import Record
from shared.telemetry.traces import CONSUMER, Leg, is_on, taken_up


class Legs:
    """The legs that start in one service; `of…` answers the fact as it goes on below its leg, `end` is where all of them arrive."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._legs: list[Leg] = []

    def of_fact(self, fact: Fact[Event]) -> Fact[Event]:
        """An event that is taken; its outbox, broker and queue are the time between this leg and the one before."""
        if not is_on() or fact.traceparent is None:
            return fact
        e = fact.envelope
        on = self._start(f"{self._service} takes {e.type}", fact.traceparent, **{"amends.event_id": str(e.id), "amends.type": e.type})
        return replace(fact, envelope=replace(e, traceparent=on))

    def of_record(self, record: Record) -> Record:
        """A record of a foreign sender; where it names no trace, one begins here."""
        on = self._start(f"{self._service} takes {record.topic}", taken_up(record.traceparent), **{"amends.topic": record.topic})
        return replace(record, headers=(("traceparent", (on or "").encode()), *record.headers))

    def of_timer(self, timer: Any) -> Any:
        """A timer (a dataclass with `kind`, `name` and `traceparent`) whose time has come."""
        if not is_on() or timer.traceparent is None:
            return timer
        on = self._start(f"{self._service} wakes for {timer.kind}", timer.traceparent, **{"amends.timer": timer.name})
        return dataclasses.replace(timer, traceparent=on)

    def _start(self, name: str, traceparent: str, **attributes: str) -> str | None:
        leg = Leg(name, traceparent, CONSUMER, {"amends.service": self._service, **attributes})
        self._legs.append(leg)
        return leg.traceparent

    def end(self) -> None:
        """All of them are applied, or set aside."""
        for leg in self._legs:
            leg.end()
