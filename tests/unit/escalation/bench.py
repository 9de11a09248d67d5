"""One case in virtual time, for tests of the domain: no database, no clock, no sleeping.

A tiny bench plays the part of the use cases and of the timer table. It keeps the case and the timers a decision sets, fires what is
due in order, with the due time as "now", and remembers every event.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.escalation.domain import clock, commands, ladder, promises, take, warning
from services.escalation.domain.case import Case, Plan, Store
from services.escalation.domain.plan import POLICIES as FILES
from services.escalation.domain.plan import Facts, Policies
from shared.calendars import Calendar
from shared.contracts.cases import CaseEvent, PromiseKind
from shared.contracts.incidents import Incident
from shared.kernel.decision import Decision, Schedule
from shared.kernel.errors import Rejected
from shared.kernel.ids import new_id, reference

FOLDER = Path(clock.__file__).parents[1] / "policy"
TEXTS = {name: [file.read_text() for file in sorted((FOLDER / name).glob("*.toml"))] for name in FILES}
POLICIES = Policies.load(TEXTS, date(2026, 11, 1))
WEEK = {day: [("09:00", "18:00")] for day in ("mon", "tue", "wed", "thu", "fri")}
SHOP = Store("store-12", "north", Calendar("America/New_York", WEEK), ("ana",), ("ana", "ben"), ("mia",), ("rex",))
MON_9 = datetime(2026, 11, 23, 14, tzinfo=UTC)
Key = tuple[str, str, int]


def at(hour: int, minute: int = 0, day: int = 23) -> datetime:
    """A moment of November 2026 on the wall of New York (UTC-5)."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC) + timedelta(hours=5)


def incident(kind: str = "order_remade", **fields: Any) -> Incident:
    base: dict[str, Any] = {
        "incident_id": new_id(), "incident_type": kind, "catalyst": "remade_order", "location_id": "store-12", "patient_ref": "P-1001",
        "root_order_id": "o-1", "occurred_at": MON_9, "reported_at": MON_9,
    }  # fmt: skip
    return Incident(**base | fields)


def plan_of(found: Incident, policies: Policies = POLICIES) -> Plan:
    """The plan an incident alone would get on the Monday of the bench."""
    return policies.plan_for(Facts.of(found), date(2026, 11, 23))


class Bench:
    """One case, its timers and its history."""

    def __init__(
        self,
        first: Incident | None = None,
        *,
        store: Store = SHOP,
        now: datetime = MON_9,
        load: dict[str, int] | None = None,
        plan: Plan | None = None,
    ) -> None:
        self.store, self.timers, self.events, self.fired = store, dict[Key, datetime | None](), list[CaseEvent](), list[Key]()
        found = first or incident()
        self.apply(take.open_case(found, plan or plan_of(found), new_id(), reference(1), store, load or {}, now))

    def apply(self, decision: Decision[Case]) -> Decision[Case]:
        self.case = decision.state
        self.events += decision.events
        for timer in decision.timers:
            if isinstance(timer, Schedule):
                key = (timer.kind, timer.name, timer.generation)
                assert key not in self.fired, f"{key} was fired and is armed again without a new generation"
                self.timers[key] = timer.due_at
            else:
                for kind, name, generation in list(self.timers):
                    if kind == timer.kind and timer.name in (None, name) and timer.generation in (None, generation):
                        del self.timers[kind, name, generation]
        return decision

    def run(self, until: datetime) -> list[CaseEvent]:
        """Let time pass: every timer due by then fires once, in order. Answers what was said meanwhile."""
        said = len(self.events)
        for _ in range(500):
            due = sorted((when, key) for key, when in self.timers.items() if when is not None and when <= until)
            if not due:
                return self.events[said:]
            when, key = due[0]
            del self.timers[key]
            self.fired.append(key)
            self.apply(self._fire(key, when))
        raise AssertionError("the ladder never comes to rest")

    def _fire(self, key: Key, when: datetime) -> Decision[Case]:
        kind, name, generation = key
        if kind == "target":
            return ladder.breach(self.case, name, generation, self.store, when)  # type: ignore[arg-type]
        if kind == "warning":
            milestone, mark = name.split(":")
            return warning.warn(self.case, milestone, mark, generation, self.store, when)  # type: ignore[arg-type]
        if kind == "step":
            return ladder.step(self.case, int(name), generation, self.store, when)
        if kind == "hand_over":
            return ladder.hand_over(self.case, generation, self.store, when)
        if kind == "ack_expiry":
            return ladder.expire(self.case, generation, self.store, when)
        if kind == "promise":
            return promises.lapse(self.case, generation, self.store, when)
        if kind == "promise_aim":
            return promises.warn(self.case, generation, self.store, when)
        return clock.pause_ran_out(self.case, name, generation, self.store, when)

    def do(self, command: Callable[..., Decision[Case]], when: datetime, *args: Any, **kwargs: Any) -> Decision[Case]:
        return self.apply(command(self.case, *args, self.store, when, "ana", **kwargs))

    def acknowledge(self, when: datetime) -> Decision[Case]:
        return self.apply(commands.acknowledge(self.case, self.store, when, "ana", "ana"))

    def hear(self, when: datetime) -> Decision[Case]:
        return self.do(commands.tell_story, when, has_words=True, is_new=True, read_back=True)

    def promise(
        self, when: datetime, what: PromiseKind = "remake", estimate_at: datetime | None = None, past: Sequence[promises.Past] = ()
    ) -> Decision[Case]:
        """Promise something, by the shipped policy."""
        rule = POLICIES.promise_rule(what, date(2026, 11, 23))
        return self.apply(promises.promise(self.case, what, estimate_at, rule, past, self.store, when, "ana"))

    @property
    def promised(self) -> list[tuple[str, str]]:
        """What was promised and what became of it."""
        return [(one.what, one.state) for one in self.case.promises]

    def due(self, milestone: str) -> datetime | None:
        target = self.case.target(milestone)  # type: ignore[arg-type]
        assert target is not None
        return target.due_at

    def state(self, milestone: str) -> str:
        target = self.case.target(milestone)  # type: ignore[arg-type]
        assert target is not None
        return target.state


def said(events: list[CaseEvent], name: str) -> list[Any]:
    return [event for event in events if type(event).__name__ == name]


def names(events: list[CaseEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(Rejected) as refused:
        act()
    return refused.value.code
