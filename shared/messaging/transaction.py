"""One transaction of one service: its connection, the business time it runs at, and what it will say when it commits.

Called by every use case. Invariant: state, events, timers and audit rows are written together or not at all.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from shared.contracts.envelope import Event, Fact
from shared.db import Connection
from shared.kernel.decision import Decision, Schedule, Timer
from shared.kernel.errors import Poison, Rejected, Transient, Unready
from shared.messaging.records import Record
from shared.telemetry.traces import Traced, current_traceparent

F = TypeVar("F")


class FactFailed(Exception):
    """A domain function broke on one fact: the engine sets that one apart without searching for it."""

    def __init__(self, fact: Any) -> None:
        super().__init__("one fact of the batch")
        self.fact = fact


class Said(NamedTuple):
    """An event on its way to the outbox, with the trace of what caused it."""

    event: Event
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class SetAside:
    """A fact that this transaction did not apply, itself; `retry_in` (seconds) where the engine tries again."""

    fact: Any
    reason: str
    detail: str
    retry_in: float | None = None
    is_behind: bool = False


@dataclass(frozen=True, slots=True)
class Audited:
    """A row of the audit trail."""

    actor: str
    action: str
    subject: str
    data: Mapping[str, Any]


@dataclass
class Transaction:
    """What a use case is handed; see the module."""

    conn: Connection
    now: datetime
    service: str
    door: str = "kafka"
    said: list[Said] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    rejections: list[tuple[str, Rejected]] = field(default_factory=list)
    audited: list[Audited] = field(default_factory=list)
    afterwards: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    # By timer (kind, subject, name, generation): the trace of what set it.
    traces: dict[tuple[str, str, str, int], str] = field(default_factory=dict)
    _deciding: str | None = None

    def apply(self, decision: Decision[Any], *, cause: Traced | None = None) -> None:
        """Collect a decision's events and timers; its state is the store's business. `cause`: the fact or timer whose trace goes on."""
        trace = self.trace_of(cause)
        self.said.extend(Said(event, trace) for event in decision.events)
        self.timers.extend(decision.timers)
        if trace is not None:
            for timer in decision.timers:
                if isinstance(timer, Schedule):
                    self.traces[timer.kind, timer.subject, timer.name, timer.generation] = trace

    def say(self, event: Event, *, cause: Traced | None = None) -> None:
        """Say one event that no decision carries."""
        self.said.append(Said(event, self.trace_of(cause)))

    def trace_of(self, cause: Traced | None = None) -> str | None:
        """The trace goes on from what caused this, else from the fact that `decide_each` is at, else from the request under way."""
        return (cause.traceparent if cause is not None else None) or self._deciding or current_traceparent()

    def has_timer_until(self, until: datetime | None) -> bool:
        """Whether it set a timer that is due by `until` or by now; any timer where `until` is None."""
        last = until and max(until, self.now)
        return any(last is None or (isinstance(t, Schedule) and t.due_at is not None and t.due_at <= last) for t in self.timers)

    def audit(self, actor: str, action: str, subject: str, data: Mapping[str, Any] | None = None) -> None:
        """Record who did what to which thing; no words, names or numbers of patients."""
        self.audited.append(Audited(actor, action, subject, data or {}))

    def after_commit(self, run: Callable[[], Awaitable[None]]) -> None:
        """Run once this has committed, outside any transaction, tracked until it ends (a call to a provider)."""
        self.afterwards.append(run)

    def reject(self, subject: str, rejected: Rejected) -> None:
        """Keep a refusal visible without failing the batch."""
        self.rejections.append((subject, rejected))

    def decide_each(self, facts: Sequence[F], decide: Callable[[F], None], *, key: Callable[[F], str] | None = None) -> None:
        """Call `decide` for each fact in order, and let one fact's trouble be its own.

        Rejected is kept visible; Unready is kept and tried again later; Poison is parked; the followers of a fact set aside wait behind it.
        Any other Transient is the whole batch's and passes;
        anything else is raised as `FactFailed`. `decide` must not have changed anything when it raises.
        """
        blocked: set[str] = set()
        of = key or key_of
        for fact in facts:
            if of(fact) in blocked:
                self.set_aside.append(SetAside(fact, "behind", "waits for an earlier event of its key", is_behind=True))
                continue
            try:
                self._deciding = getattr(fact, "traceparent", None)
                decide(fact)
            except Rejected as rejected:
                self.reject(of(fact), rejected)
            except Unready as unready:
                self.set_aside.append(SetAside(fact, "waiting", unready.detail, retry_in=unready.retry_in))
                blocked.add(of(fact))
            except Poison as poison:
                self.set_aside.append(SetAside(fact, poison.reason, poison.detail))
                blocked.add(of(fact))
            except Transient:
                raise
            except Exception as error:
                raise FactFailed(fact) from error
            finally:
                self._deciding = None


def key_of(fact: Any) -> str:
    """The order key of a fact, a raw record or a due timer."""
    if isinstance(fact, Fact):
        return fact.envelope.subject
    return fact.order_key if isinstance(fact, Record) else str(fact.subject)
