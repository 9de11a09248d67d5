"""The checks of a storm: small functions from what was seen to what is not as it must be; nothing in here reads anything itself."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tests.chaos.checks import events, money, order, texts, timers
from tests.chaos.checks.events import Events
from tests.chaos.checks.finding import Finding
from tests.chaos.checks.money import Money
from tests.chaos.checks.order import Order
from tests.chaos.checks.texts import Texts
from tests.chaos.checks.timers import Timers

Check = Callable[[Any], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Seen:
    """A storm as it is after its end, read from every service's tables, from the broker, the provider and the world's record."""

    events: Events = field(default_factory=Events)
    order: Order = field(default_factory=Order)
    money: Money = field(default_factory=Money)
    timers: Timers = field(default_factory=Timers)
    texts: Texts = field(default_factory=Texts)


CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("events", events.stored_once),
    ("events", events.none_refused),
    ("events", events.every_incident_has_its_case),
    ("events", events.every_command_happened),
    ("order", order.versions_follow),
    ("order", order.broker_has_all_in_order),
    ("order", order.each_taken_once),
    ("order", order.none_taken_twice),
    ("order", order.copies_agree),
    ("order", order.nothing_is_parked),
    ("money", money.entries_balance),
    ("money", money.ledger_is_what_was_approved),
    ("money", money.no_visit_paid_twice),
    ("money", money.gas_money_is_of_the_trips),
    ("money", money.paid_once),
    ("money", money.within_authority),
    ("money", money.every_request_is_there),
    ("money", money.budgets_add_up),
    ("timers", timers.each_ended_once),
    ("timers", timers.none_early),
    ("timers", timers.none_late),
    ("timers", timers.none_left),
    ("texts", texts.accepted_once),
    ("texts", texts.none_after_stop),
    ("texts", texts.sent_is_accepted),
    ("texts", texts.every_case_has_its_receipt),
)


def findings(seen: Seen) -> list[Finding]:
    """Everything every check finds; empty where the invariants hold."""
    return [finding for part, check in CHECKS for finding in check(getattr(seen, part))]


__all__ = ["CHECKS", "Events", "Finding", "Money", "Order", "Seen", "Texts", "Timers", "findings"]
