"""The two clocks.

Owns the `Clock` port (business time: deadlines, quiet hours, dates) and the machine's clock (ids, leases, sessions, retries).
Called by every use case through `Transaction.now`; nothing else in the code base asks what time it is.
Invariant: business time never runs backwards, and the machine's clock is never used where a patient or a manager would notice.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Business time."""

    def now(self) -> datetime:
        """The instant it is for the business, in UTC."""
        ...


def machine_now() -> datetime:
    """The machine's own time in UTC: for ids, leases, sessions, signatures and retries only."""
    return datetime.now(UTC)  # noqa: TID251 - the one place


class MachineClock:
    """Business time where nobody moves it: the machine's."""

    def now(self) -> datetime:
        return machine_now()


@dataclass
class MovableClock:
    """Business time that a demo may speed up and jump forward, never back.

    Between two adjustments it runs at `rate` seconds of business time per machine second, from the pair (`machine_at`, `business_at`).
    """

    business_at: datetime = field(default_factory=machine_now)
    machine_at: datetime = field(default_factory=machine_now)
    rate: float = 1.0
    _seen_at: datetime = field(default=datetime.min.replace(tzinfo=UTC), init=False, repr=False)

    def now(self) -> datetime:
        machine = machine_now()
        if machine < self._seen_at:
            # The machine's clock was set back: go on from where we are.
            self.machine_at -= self._seen_at - machine
        self._seen_at = machine
        elapsed = max((machine - self.machine_at).total_seconds(), 0.0)
        return self.business_at + timedelta(seconds=elapsed * self.rate)

    def set_rate(self, rate: float) -> None:
        """From now on `rate` business seconds pass per machine second (0 pauses)."""
        if not 0 <= rate <= 100_000:
            raise ValueError("a rate lies between 0 and 100,000")
        self.business_at, self.machine_at, self.rate = self.now(), machine_now(), rate

    def start_at(self, at: datetime, rate: float) -> None:
        """Go on where an earlier run stopped, also behind the machine's time; before anybody has asked what time it is."""
        self.business_at, self.machine_at, self.rate = at, machine_now(), rate

    def jump_to(self, at: datetime) -> None:
        """Move forward to `at`; an earlier instant changes nothing."""
        if at > self.now():
            self.business_at, self.machine_at = at, machine_now()
