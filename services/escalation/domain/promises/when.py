"""By when something is promised: the p90 of what was, or a person's estimate, plus a buffer, at a moment the store is open.

Called by `states`. Invariant: the internal target (`aim_by`) lies before the promise, while the store is open or as it closes; neither
estimate nor history brings a promise nearer than the buffer and the least of open time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from services.escalation.domain.case import ALWAYS, Basis, Store
from services.escalation.domain.promises.rules import Rule
from shared.calendars import Calendar, NeverOpens, before, due_at, next_opening, open_seconds

Level = Literal["lab", "location", "catalyst"]
# Nearest first: where the nearer history is thin, the wider one speaks.
LEVELS: Final[tuple[Level, ...]] = ("lab", "location", "catalyst")
# People say a quarter of an hour, not a second.
STEP: Final = timedelta(minutes=15)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Past:
    """What history says at one level: of the newest `count`, nine in ten took `p90_seconds` or less (nearest rank)."""

    level: Level
    count: int
    p90_seconds: int


def basis_of(rule: Rule, past: Sequence[Past], made_at: datetime, estimate_at: datetime | None) -> Basis:
    """What a promise that was made at `made_at` rests on: the later of history and estimate; the default where there is neither."""
    known = sorted((one for one in past if one.count >= rule.sample), key=lambda one: LEVELS.index(one.level))
    count = known[0].count if known else 0
    if known and (estimate_at is None or known[0].p90_seconds > _seconds(made_at, estimate_at)):
        return Basis(known[0].level, known[0].p90_seconds, rule.buffer_seconds, rule.version, rule.row, estimate_at, count)
    if estimate_at is not None:
        return Basis("estimate", _seconds(made_at, estimate_at), rule.buffer_seconds, rule.version, rule.row, estimate_at, count)
    return Basis("default", rule.default_seconds, rule.buffer_seconds, rule.version, rule.row)


def promised_by(basis: Basis, rule: Rule, made_at: datetime, store: Store, now: datetime) -> datetime:
    """The moment that the patient is told; by the clock on the wall where the store does not open (long enough) any more."""
    reckoned = made_at + timedelta(seconds=basis.seconds + basis.buffer_seconds)

    def found(calendar: Calendar) -> datetime:
        return next_opening(calendar, _round_up(max(reckoned, due_at(calendar, now, rule.least_open_seconds))))

    return _while_it_opens(found, store)


def aim_by(since: datetime, promised: datetime, buffer_seconds: int, store: Store) -> datetime:
    """The internal target: the last open moment a buffer before the promise, or half way through the open time `since` it was told."""

    def found(calendar: Calendar) -> datetime:
        aim = promised - timedelta(seconds=buffer_seconds)
        if next_opening(calendar, aim) != aim:
            aim = _last_open(calendar, aim)
        return aim if aim > since else due_at(calendar, since, open_seconds(calendar, since, promised) // 2)

    aim = _while_it_opens(found, store)
    return aim if aim < promised else since + (promised - since) / 2


def _while_it_opens(found: Callable[[Calendar], datetime], store: Store) -> datetime:
    try:
        return found(store.calendar)
    except NeverOpens:
        return found(ALWAYS)


def _last_open(calendar: Calendar, at: datetime) -> datetime:
    """The closing before a closed moment; the moment itself where it was never open before."""
    try:
        return before(calendar, at, 1) + timedelta(seconds=1)
    except NeverOpens:
        return at


def _round_up(at: datetime) -> datetime:
    """The next quarter of an hour; every zone's wall shows quarters at the same moments."""
    return at + (EPOCH - at) % STEP


def _seconds(since: datetime, until: datetime) -> int:
    """Whole seconds, rounded up: what is estimated is not promised sooner."""
    return -((since - until) // timedelta(seconds=1))
