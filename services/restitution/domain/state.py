"""The restitution, what is known of its case, and `Teller`: one decision in the making."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from shared.contracts.cases import CaseEvent
from shared.contracts.patients import PayerClass
from shared.contracts.restitutions import Kind, Needs, PolicyDecision, RestitutionEvent, RestitutionStatus
from shared.kernel.decision import Decision, Timer

SYSTEM: Final = "system"
CURRENCY: Final = "USD"
# Paid out as money's worth; the rest is given in kind. Gas money and refunds need no choice of the patient's.
PAID_KINDS: Final[frozenset[Kind]] = frozenset({"gas_money", "refund", "store_credit"})
IN_KIND: Final[frozenset[Kind]] = frozenset({"free_remake", "care_kit", "home_delivery", "stay_late", "loaner", "upgrade"})
CHOICE_KINDS: Final[frozenset[Kind]] = IN_KIND | {"store_credit"}

# Where its money stands: pending is reserved and booked, reversed was posted and booked back.
MoneyState = Literal["none", "pending", "posted", "voided", "reversed"]
PayoutState = Literal["none", "due", "paying", "paid", "uncertain", "cancelled"]


@dataclass(frozen=True, slots=True)
class CaseCopy:
    """What is known here of a case, as of its `version`."""

    case_id: UUID
    reference: str
    location_id: str
    region: str
    patient_ref: str | None
    root_order_id: str | None
    payer_class: PayerClass
    story_confirmed: bool
    status: str
    version: int

    @classmethod
    def of(cls, event: CaseEvent) -> "CaseCopy":
        """The case as it stands after the event."""
        return cls(
            event.case_id, event.reference, event.location_id, event.region, event.patient_ref, event.root_order_id, event.payer_class,
            event.story_confirmed, event.status, event.version,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class TripLine:
    """A trip to be paid: `miles` one way, `cents_per_mile` the rate of its own date; None where nobody knows."""

    visit_id: UUID
    on: date
    miles: Decimal | None
    cents_per_mile: Decimal | None

    @property
    def amount(self) -> Decimal | None:
        """There and back, in major units, not rounded."""
        if self.miles is None or self.cents_per_mile is None:
            return None
        return 2 * self.miles * self.cents_per_mile / 100

    def words(self) -> str:
        """The line as a person checks it."""
        miles = "? mi" if self.miles is None else f"{self.miles:f} mi"
        rate = "no rate" if self.cents_per_mile is None else f"{self.cents_per_mile:f} cents a mile"
        return f"{self.on.isoformat()}: 2 x {miles} x {rate}"


@dataclass(frozen=True, slots=True)
class Payout:
    """The send: each claim counts `token` up, and a result is taken only under the token that is current. `lease_until`: machine time."""

    state: PayoutState = "none"
    token: int = 0
    lease_until: datetime | None = None
    looks: int = 0


@dataclass(frozen=True, slots=True)
class Restitution:
    """What is given back. `amount_minor` and the trips' rates are frozen at approval; `month` (YYYY-MM) is whose budget carries it."""

    restitution_id: UUID
    case_id: UUID
    kind: Kind
    amount_minor: int
    currency: str
    status: RestitutionStatus
    version: int
    location_id: str
    region: str
    patient_ref: str | None
    requested_by: str
    created_at: datetime
    month: str
    approved_by: tuple[str, ...] = ()
    # The rule's reason, which travels; a person's words stay here, as ciphertext that the use case sealed.
    reason: str | None = None
    words: str | None = None
    decision: PolicyDecision | None = None
    needs: Needs | None = None
    trips: tuple[TripLine, ...] = ()
    money: MoneyState = "none"
    payout: Payout = field(default=Payout())
    offered_at: datetime | None = None
    settled_at: datetime | None = None

    @property
    def settles_at_once(self) -> bool:
        """Nothing is left to choose: it is paid as soon as it is offered."""
        return self.kind not in CHOICE_KINDS


class Teller:
    """One decision in the making: each `tell` is one step of the restitution, with its version and its event."""

    def __init__(self, state: Restitution, at: datetime, by: str | None) -> None:
        self.state, self._at, self._by = state, at, by
        self._events: list[RestitutionEvent] = []
        self._timers: list[Timer] = []

    def tell(self, happened: type[RestitutionEvent], **changes: Any) -> None:
        """The restitution after `changes`, one version on, told as `happened`."""
        self.state = state = replace(self.state, version=self.state.version + 1, **changes)
        extra = {"settles_at_once": state.settles_at_once} if "settles_at_once" in happened.model_fields else {}
        self._events.append(
            happened(
                version=state.version, restitution_id=state.restitution_id, case_id=state.case_id, at=self._at, by=self._by,
                location_id=state.location_id, patient_ref=state.patient_ref, kind=state.kind, amount_minor=state.amount_minor,
                currency=state.currency, status=state.status, reason=state.reason, decision=state.decision, needs=state.needs, **extra,
            )
        )  # fmt: skip

    def keep(self, **changes: Any) -> None:
        """The restitution after `changes` that nobody else needs to hear of."""
        self.state = replace(self.state, **changes)

    def wake(self, *timers: Timer) -> None:
        """Timers to set or cancel."""
        self._timers.extend(timers)

    def done(self) -> Decision[Restitution]:
        """The decision as made."""
        return Decision(self.state, tuple(self._events), tuple(self._timers))


def month_of(now: datetime, timezone: str) -> str:
    """The month (YYYY-MM) it is at the store: whose budget carries what is approved now."""
    return now.astimezone(ZoneInfo(timezone)).strftime("%Y-%m")


def total(lines: Sequence[TripLine]) -> Decimal:
    """The sum of what is known, in major units, not rounded."""
    return sum((line.amount for line in lines if line.amount is not None), Decimal(0))
