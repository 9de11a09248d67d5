"""The patient's page: status in plain words, what happens next and by when. No clinical detail, no staff name before the second factor."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.console.domain.queue import OWED, QueueRow
from services.console.domain.when import friendly, parse

PHONE_DIGITS = 4
# As in the texts: nothing here tells what the order is.
WILL_BE: Final = {
    "callback": "We will call you",
    "remake": "It will be ready",
    "order_ready": "It will be ready",
    "delivery": "It will be with you",
    "refund": "Your refund will be on its way",
    "other": "It will be done",
}
WAS_TO_BE: Final = {
    "callback": "We were to call you",
    "remake": "It was to be ready",
    "order_ready": "It was to be ready",
    "delivery": "It was to be with you",
    "refund": "Your refund was to be on its way",
    "other": "It was to be done",
}
IS: Final = {
    "callback": "We called you",
    "remake": "It is ready",
    "order_ready": "It is ready",
    "delivery": "It was delivered",
    "refund": "Your refund is on its way",
    "other": "It is done",
}
HOW: Final = {"early": ", sooner than promised.", "kept": ", as promised."}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way: `state` is done, now or next."""

    title: str
    state: str


@dataclass(frozen=True, slots=True)
class Story:
    """What the page says to whoever holds the link."""

    headline: str
    now: str
    next: str
    steps: tuple[Step, ...]
    promises: tuple[str, ...] = ()


def tell(row: QueueRow, store_name: str, zone: str, now: datetime) -> Story:
    """The case for its patient at `now` (business time), in the store's zone."""
    who, start = f"the team of {store_name}", f"The team of {store_name}"
    met = {target["milestone"] for target in row.targets if target["state"] in ("met", "met_late")}
    heard = row.story_confirmed
    done = row.status in ("resolved", "closed")
    steps = (
        Step("We received it", "done"),
        _step("Somebody took it on", "Somebody takes it on", is_done=row.status != "open", is_due=True),
        _step("We listened to you", "We listen to you", is_done=heard or done, is_due=row.status != "open"),
        _step("We made it right", "We make it right", is_done=done, is_due=heard),
    )
    promised = tuple(_promised(row, now, zone))
    if done:
        text = "We finished our work on this. If anything is still not right, reply to our text or call the store."
        return Story("This is done", text, "Nothing more is needed from you.", steps, promised)
    if row.status == "open" and "contact" not in met:
        headline, text = "We have your case", f"We are sorry that something went wrong. {start} has your case."
    elif "contact" not in met:
        headline, text = "Somebody is on it", f"A person from {who} has taken on your case."
    else:
        headline, text = "We are working on it", f"{start} is in touch with you and is putting it right."
    return Story(headline, text, _next(row, "contact" in met, now, zone), steps, promised)


def _next(row: QueueRow, contacted: bool, now: datetime, zone: str) -> str:
    if not contacted:
        if row.contact_by is None:
            return "A person will contact you."
        if row.contact_by <= now:
            was = f"A person was to contact you {friendly(row.contact_by, now, zone)}."
            return f"{was} We are late, and we are sorry. We will contact you as soon as we can."
        return f"A person will contact you by {friendly(row.contact_by, now, zone).removeprefix('on ')}."
    resolve = next((t for t in row.targets if t["milestone"] == "resolve" and t["state"] in OWED), None)
    due = parse(resolve["due_at"]) if resolve else None
    if due is not None and due > now:
        return f"We mean to have it settled by {friendly(due, now, zone).removeprefix('on ')}."
    return "We will tell you as soon as it is settled."


def _promised(row: QueueRow, now: datetime, zone: str) -> Iterator[str]:
    """What was promised and what became of it. One that moved is told by its successor."""
    moved: set[str] = set()
    for promise in row.promises:
        what, state, by = promise["what"], promise["state"], parse(promise["promised_by"])
        will, is_done = WILL_BE.get(what, WILL_BE["other"]), IS.get(what, IS["other"])
        if state == "moved":
            moved.add(what)
        elif by is not None and state == "open":
            sorry = " It takes longer than we told you first, and we are sorry." if what in moved else ""
            yield f"{will} by {friendly(by, now, zone).removeprefix('on ')}.{sorry}"
        elif by is not None and state == "late" and promise.get("fulfilled_at") is None:
            yield f"{WAS_TO_BE.get(what, WAS_TO_BE['other'])} {friendly(by, now, zone)}. We are late, and we are sorry."
        else:
            moved.discard(what)
            yield f"{is_done}{HOW.get(state, ', later than we promised. We are sorry.')}"


def last_digits(phone: str | None) -> str | None:
    """The digits that the second factor asks for, or None where no number is known."""
    digits = "".join(c for c in phone or "" if c.isdigit())
    return digits[-PHONE_DIGITS:] if len(digits) >= PHONE_DIGITS else None


def _step(did: str, does: str, *, is_done: bool, is_due: bool) -> Step:
    return Step(did, "done") if is_done else Step(does, "now" if is_due else "next")
