"""What is given back, in sentences."""

from collections.abc import Mapping
from typing import Final

from services.console.domain.phrases import KINDS, ROLES, say
from services.console.domain.timeline.reading import Data, Reading, Teller, Told
from shared.kernel.money import Money


def amount(amount_minor: int, currency: str) -> str:
    """`$26.10`; an amount of nought is none."""
    if not amount_minor:
        return ""
    text = str(Money(amount_minor, currency))
    return f"${text.removesuffix(' USD')}" if currency == "USD" else text


def _gift(data: Data) -> str:
    worth = amount(data.get("amount_minor") or 0, data.get("currency") or "USD")
    return f"{say(KINDS, data.get('kind'))}{' of ' + worth if worth else ''}"


def _because(data: Data) -> str:
    return f": {data['reason']}" if data.get("reason") else ""


def _proposed(data: Data, r: Reading) -> Told:
    return f"{_gift(data)} was proposed.", "money"


def _referred(data: Data, r: Reading) -> Told:
    needs = data.get("needs") or {}
    whom = say(ROLES, needs.get("role")).lower() or "a person"
    many = f" ({needs['approvals']} people)" if needs.get("approvals", 1) > 1 else ""
    return f"{_gift(data)} waits for approval by {whom}{many}{_because(data)}.", "money"


def _approved(data: Data, r: Reading) -> Told:
    return f"{_gift(data)} was approved{'' if data.get('by') else ' by rule'}.", "money"


def _declined(data: Data, r: Reading) -> Told:
    return f"{_gift(data)} was declined.", "money"


def _offered(data: Data, r: Reading) -> Told:
    return f"{_gift(data)} was offered to the patient.", "money"


def _accepted(data: Data, r: Reading) -> Told:
    return f"The patient accepted: {_gift(data).lower()}.", "money"


def _settled(data: Data, r: Reading) -> Told:
    return f"{_gift(data)} was given.", "money"


def _reversed(data: Data, r: Reading) -> Told:
    return f"{_gift(data)} was taken back.", "money"


def _unclear(data: Data, r: Reading) -> Told:
    return f"Nobody can tell whether {_gift(data).lower()} was paid: a person has to look. Nothing is paid again by itself.", "bad"


TELLERS: Final[Mapping[str, Teller]] = {
    "amends.restitution.proposed": _proposed,
    "amends.restitution.referred": _referred,
    "amends.restitution.approved": _approved,
    "amends.restitution.declined": _declined,
    "amends.restitution.offered": _offered,
    "amends.restitution.accepted": _accepted,
    "amends.restitution.settled": _settled,
    "amends.restitution.reversed": _reversed,
    "amends.restitution.payout_uncertain": _unclear,
}
