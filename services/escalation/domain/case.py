"""The case, its plan and its targets as values, and `Turn`: one decision in the making."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

from services.escalation.domain.rungs import USUAL, Ladder
from shared.calendars import DAYS, Calendar, NeverOpens, before, due_at, open_seconds
from shared.contracts import cases as contract
from shared.contracts.cases import ActionKind, CaseEvent, Channel, Milestone, PolicyRef, PromiseKind, PromiseState, Status, TargetState
from shared.contracts.ingress import Catalyst
from shared.contracts.patients import PayerClass
from shared.kernel.decision import Cancel, Decision, Schedule, Timer

ORDER: tuple[Milestone, ...] = get_args(Milestone)
UNMET: tuple[TargetState, ...] = ("running", "paused", "breached")
# Elapsed time is open time of a place that never closes, so that pauses, warnings and percentages are the same arithmetic for both.
ALWAYS = Calendar("UTC", dict.fromkeys(DAYS, (("00:00", "24:00"),)))


@dataclass(frozen=True, slots=True)
class Plan:
    """The SLA plan a case was opened with, whole, so that a later table changes nothing.

    Seconds are open time of the store, but for the targets in `elapsed`. `decision` and `severity_decision` are the rows that decided, as
    `Match.record` gives them: table, version, row, inputs.
    """

    name: str
    version: int
    severity: int
    seconds: dict[Milestone, int]
    warn_percents: tuple[int, ...]
    # Region after the managers; each repeat at the top; an acknowledgement without contact or action; a case nobody touches (elapsed time).
    step_seconds: int
    repeat_seconds: int
    expiry_seconds: int
    silent_seconds: int
    pause_budgets: dict[str, int]
    # So long before the due time, in the time of the target, the owner is warned too; longest first.
    warn_before_seconds: tuple[int, ...] = ()
    elapsed: tuple[Milestone, ...] = ()
    decision: dict[str, Any] | None = None
    severity_decision: dict[str, Any] | None = None
    ladder: Ladder = USUAL


@dataclass(frozen=True, slots=True)
class Target:
    """One promise of a milestone. `segment` counts from 1; reopening starts another, and the old result stays."""

    milestone: Milestone
    segment: int
    starts_at: datetime
    open_seconds: int
    due_at: datetime | None
    state: TargetState = "running"
    warned: tuple[int, ...] = ()
    breached_at: datetime | None = None
    met_at: datetime | None = None
    # The version of the store's hours it was counted with; 0 where that was not written down yet.
    hours: int = 0
    is_elapsed: bool = False
    warned_before: tuple[int, ...] = ()
    next_warning: str | None = None
    round: int = 0
    missed: int = 0

    @property
    def generation(self) -> int:
        """What its timers are numbered by: each round of what recurs is another, so that none is armed twice."""
        return self.round or self.segment


@dataclass(frozen=True, slots=True)
class Pause:
    """A time in which the clock stood, half-open."""

    reason: str
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Basis:
    """Why a promise is for when it is. `rests_on`: a level of history (so many of it in `count`), a person's estimate, or the default;
    `seconds` is what that says, to which the buffer is added; `version` and `row` are of the policy."""

    rests_on: Literal["lab", "location", "catalyst", "estimate", "default"]
    seconds: int
    buffer_seconds: int
    version: int
    row: str
    estimate_at: datetime | None = None
    count: int = 0


@dataclass(frozen=True, slots=True)
class Promise:
    """What the patient was told, and by when. `number` counts from 1 within the case.

    `made_at` is when it was promised first, `set_at` when for this time; `aim_by` is the internal target, `kept_by` the actions that keep
    it. One that was moved stays `moved` and has a successor, whose `was_by` is the time before. A late one is still owed.
    """

    number: int
    what: PromiseKind
    made_at: datetime
    set_at: datetime
    promised_by: datetime
    aim_by: datetime
    basis: Basis
    kept_by: tuple[ActionKind, ...] = ()
    state: PromiseState = "open"
    was_by: datetime | None = None
    is_warned: bool = False
    fulfilled_at: datetime | None = None

    @property
    def is_owed(self) -> bool:
        """Somebody still has to do it, in time or late."""
        return self.state in ("open", "late") and self.fulfilled_at is None


@dataclass(frozen=True, slots=True)
class Case:
    """The worked recovery of one patient's upset.

    `step` counts the ladder's steps of this `generation`; the next one comes at `step_due_at`, counted from `step_since`, while one is due
    at all; it pages `step_rung` (None where that was not written down yet), which was paged `step_repeat` times before. `expires_at` is set
    while an acknowledgement can still go stale, `paused_until` while a pause has a budget to use up; `hand_over_at` while the case is
    woken at a change of shifts; `promised_contact_by` is what the patient was told and is never moved.
    """

    case_id: UUID
    reference: str
    belongs_to: str
    status: Status
    severity: int
    catalyst: Catalyst
    location_id: str
    region: str
    patient_ref: str | None
    root_order_id: str | None
    household: str | None
    payer_class: PayerClass
    opened_at: datetime
    plan: Plan
    promised_contact_by: datetime
    last_activity_at: datetime
    targets: tuple[Target, ...] = ()
    level: int = 0
    generation: int = 1
    step: int = 0
    step_since: datetime | None = None
    step_due_at: datetime | None = None
    step_rung: int | None = None
    step_repeat: int = 0
    hand_over_at: datetime | None = None
    segment: int = 1
    owner_staff_id: str | None = None
    incidents: int = 1
    story_confirmed: bool = False
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None
    expires_at: datetime | None = None
    paused_reason: str | None = None
    paused_at: datetime | None = None
    paused_until: datetime | None = None
    pauses: tuple[Pause, ...] = ()
    is_asleep: bool = False
    root_cause: str | None = None
    resolved_at: datetime | None = None
    closed_at: datetime | None = None
    version: int = 0
    lab: str | None = None
    promises: tuple[Promise, ...] = ()

    @property
    def current(self) -> tuple[Target, ...]:
        """The targets of the running segment, in the order of the milestones."""
        return tuple(sorted((t for t in self.targets if t.segment == self.segment), key=lambda t: ORDER.index(t.milestone)))

    def target(self, milestone: Milestone) -> Target | None:
        """The running segment's target of a milestone."""
        return next((target for target in self.targets if target.milestone == milestone and target.segment == self.segment), None)

    @property
    def is_live(self) -> bool:
        """Somebody has to do something: neither resolved nor closed."""
        return self.status in ("open", "acknowledged")


@dataclass(frozen=True, slots=True)
class Store:
    """What a decision needs of the location: its calendar, and its people (staff ids) at the moment of the decision.

    `on_duty_before`: on the roster until a moment ago; `rostered`: on it at any time; `shifts_change_at`: when the roster next says
    otherwise; `named`: those a ladder names who work here still; `turns`: who was paged in turn, the highest last.
    """

    location_id: str
    region: str
    calendar: Calendar
    on_duty: tuple[str, ...] = ()
    associates: tuple[str, ...] = ()
    managers: tuple[str, ...] = ()
    regionals: tuple[str, ...] = ()
    hours: int = 0  # the version of what the directory told of it
    on_duty_before: tuple[str, ...] = ()
    rostered: frozenset[str] = frozenset()
    shifts_change_at: datetime | None = None
    named: tuple[str, ...] = ()
    turns: Mapping[str, int] = field(default_factory=dict)
    # What began here, by what it was counted from (`clock.begin`). Lives as long as this value, which is one transaction; a copy with other
    # hours begins without it.
    begun: dict[Hashable, tuple[tuple[Target, ...], tuple[Schedule, ...]]] = field(
        init=False, default_factory=dict, compare=False, repr=False
    )


def open_due(case: Case, store: Store, start: datetime, seconds: int, *, is_elapsed: bool = False) -> datetime:
    """`start` plus open time (or elapsed time), the case's pauses left out.

    Elapsed time for a store that never opens, so that no case is without a deadline.
    """
    pauses = _stood(case)
    if is_elapsed:
        return due_at(ALWAYS, start, seconds, pauses)
    try:
        return due_at(store.calendar, start, seconds, pauses)
    except NeverOpens:
        return due_at(ALWAYS, start, seconds, pauses)


def open_before(case: Case, store: Store, due: datetime, seconds: int, *, is_elapsed: bool = False) -> datetime:
    """The last moment with so much open time (or elapsed time) to go before `due`, the case's pauses left out."""
    pauses = _stood(case)
    if is_elapsed:
        return before(ALWAYS, due, seconds, pauses)
    try:
        return before(store.calendar, due, seconds, pauses)
    except NeverOpens:
        return before(ALWAYS, due, seconds, pauses)


def elapsed_percent(case: Case, target: Target, store: Store, now: datetime) -> int:
    """How much of a target's time is gone, pauses left out, floored; for display only."""
    calendar = ALWAYS if target.is_elapsed else store.calendar
    return open_seconds(calendar, target.starts_at, now, _stood(case)) * 100 // max(target.open_seconds, 1)


def _stood(case: Case) -> Sequence[tuple[datetime, datetime]]:
    return [(pause.starts_at, pause.ends_at) for pause in case.pauses] if case.pauses else ()


class Turn:
    """One decision in the making: the case as it stands so far, what was said, and the timers set. Lives inside one domain function."""

    def __init__(self, case: Case, store: Store, now: datetime, by: str | None = None) -> None:
        self.before, self.case, self.store, self.now, self.by = case, case, store, now, by
        self._events: list[CaseEvent] = []
        self._timers: list[Timer] = []
        self._is_touched = False
        self._subject = str(case.case_id)

    def change(self, **fields: Any) -> None:
        """The case with these fields."""
        self.case = replace(self.case, **fields)

    def change_target(self, target: Target, **fields: Any) -> Target:
        """The same target of the same segment with these fields."""
        return self.put_target(target, replace(target, **fields))

    def put_target(self, old: Target, new: Target) -> Target:
        """One target in the place of another."""
        if new is not old:
            self.change(targets=tuple(new if target == old else target for target in self.case.targets))
        return new

    def touch(self) -> None:
        """Somebody or something stirred: silence starts anew, and the case has another version even where nothing is said of it."""
        self._is_touched = True
        self.change(last_activity_at=self.now)

    def say(self, event: type[CaseEvent], **extra: Any) -> None:
        """The case with its next version, as an event."""
        self.change(version=self.case.version + 1)
        self._events.append(event(**_carried(self.case), at=self.now, by=self.by, **extra))

    def page(self, event: type[contract.Paging], people: tuple[str, ...], how: tuple[Channel, ...] = ("text",), **extra: Any) -> None:
        """The same, waking people; nobody where the case has been silent for days."""
        self.say(event, page=() if self.is_silent else people, how=how, generation=self.case.generation, **extra)

    @property
    def is_silent(self) -> bool:
        """Nothing stirred in the case for so long that it wakes nobody."""
        return (self.now - self.case.last_activity_at).total_seconds() >= self.case.plan.silent_seconds

    def due(self, start: datetime, seconds: int, *, is_elapsed: bool = False) -> datetime:
        """Open time of this store from `start`, or elapsed time."""
        return open_due(self.case, self.store, start, seconds, is_elapsed=is_elapsed)

    def schedule(self, kind: str, name: str, generation: int, at: datetime | None, **data: Any) -> None:
        self._timers.append(Schedule(kind, self._subject, name, generation, at, data))

    def cancel(self, kind: str, reason: str, name: str | None = None, generation: int | None = None) -> None:
        self._timers.append(Cancel(kind, self._subject, reason, name, generation))

    def decision(self) -> Decision[Case]:
        """What came of it. A change that nobody else needs to hear of gets a version too, so that an ETag never lies."""
        if not self._events and (self._is_touched or self.case != self.before):
            self.change(version=self.case.version + 1)
        return Decision(self.case, tuple(self._events), tuple(self._timers))


def _carried(case: Case) -> Mapping[str, Any]:
    """What every event of a case carries."""
    return {
        "version": case.version,
        "case_id": case.case_id,
        "reference": case.reference,
        "status": case.status,
        "level": case.level,
        "severity": case.severity,
        "catalyst": case.catalyst,
        "location_id": case.location_id,
        "region": case.region,
        "patient_ref": case.patient_ref,
        "root_order_id": case.root_order_id,
        "household": case.household,
        "payer_class": case.payer_class,
        "owner_staff_id": case.owner_staff_id,
        "incidents": case.incidents,
        "opened_at": case.opened_at,
        "story_confirmed": case.story_confirmed,
        "policy": PolicyRef(name=case.plan.name, version=case.plan.version),
        "targets": told(case),
        "promises": tuple(
            contract.Promise(number=p.number, what=p.what, promised_by=p.promised_by, state=p.state, fulfilled_at=p.fulfilled_at)
            for p in case.promises
        ),
    }


def told(case: Case) -> tuple[contract.Target, ...]:
    """The running segment's targets as the contract spells them."""
    return tuple(
        contract.Target(
            milestone=t.milestone,
            state=t.state,
            due_at=t.due_at,
            warned=bool(t.warned or t.warned_before),
            met_at=t.met_at,
            starts_at=t.starts_at,
            open_seconds=t.open_seconds,
            is_elapsed=t.is_elapsed,
            hours=t.hours or None,
            round=t.round,
            missed=t.missed,
        )
        for t in case.current
    )
