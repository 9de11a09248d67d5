"""The timeline: what happened to a case, a plain sentence per event.

Called when a case is shown, not when an event is taken, so that better words reach old events too. Invariant: no sentence holds a patient's
words, number or name, and no code of ours.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from services.console.domain.phrases import (
    ACTIONS,
    INCIDENTS,
    KINDS,
    MILESTONES,
    PURPOSES,
    REASONS,
    ROLES,
    ROOT_CAUSES,
    SEVERITIES,
    TEMPLATES,
    say,
    say_level,
)
from services.console.domain.when import moment, parse
from shared.contracts.envelope import Event, as_dict
from shared.kernel.money import Money

Tone = Literal["plain", "good", "warn", "bad", "money", "text"]

# What every event carries and the row keeps anyway.
_DROPPED: Final = ("targets", "household", "payer_class", "policy", "version", "case_id")


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of a case as it is kept. `data` is the event without what every event carries."""

    event_id: str
    case_id: str
    at: datetime
    type: str
    data: Mapping[str, Any]
    version: int = 1


@dataclass(frozen=True, slots=True)
class Line:
    """One event of a case as it is read. `who` is a name where a person did it."""

    at: datetime
    text: str
    tone: Tone
    who: str | None
    type: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What is needed to read a timeline: names of staff by id, and the store's zone."""

    names: Mapping[str, str]
    zone: str

    def name(self, staff_id: str | None) -> str:
        """A person's name."""
        return self.names.get(staff_id or "", staff_id or "nobody")

    def people(self, staff_ids: Any) -> str:
        """Several names as one phrase."""
        found = [self.name(staff_id) for staff_id in staff_ids or ()]
        return ", ".join(found[:-1]) + (" and " if len(found) > 1 else "") + found[-1] if found else "nobody"

    def time(self, text: str | None) -> str:
        """An instant of an event on the wall of the store."""
        at = parse(text)
        return moment(at, self.zone) if at else "a time not set"


def kept(event: Event) -> dict[str, Any]:
    """What the timeline keeps of an event."""
    return {name: value for name, value in as_dict(event).items() if name not in _DROPPED}


def actor(by: str | None) -> tuple[str, str | None]:
    """Who did it, as events name them: (kind, staff id). `staff:ana` and a bare `ana` are a person, `key:…` a machine, None the system."""
    if by is None or by == "system":
        return "system", None
    kind, colon, name = by.partition(":")
    if not colon:
        return "staff", by
    return kind, name if kind == "staff" else None


def read(entry: Entry, reading: Reading) -> Line:
    """The sentence for an event."""
    teller = _TELLERS.get(entry.type)
    kind, staff_id = actor(entry.data.get("by"))
    who = reading.name(staff_id) if staff_id else "An integration" if kind == "key" else None
    if teller is None:
        return Line(entry.at, say({}, entry.type.rpartition(".")[2]) + ".", "plain", who, entry.type)
    text, tone = teller(entry.data, reading)
    return Line(entry.at, text, tone, who, entry.type)


def people_in(entries: list[Entry]) -> set[str]:
    """The staff ids that the sentences will name."""
    found: set[str] = set()
    for entry in entries:
        data = entry.data
        found.update(filter(None, (actor(data.get("by"))[1], data.get("owner_staff_id"), data.get("was"), data.get("staff_id"))))
        found.update(data.get("page") or ())
        found.update(filter(None, (actor(data.get("typed_by"))[1],)))
    return {name for name in found if isinstance(name, str)}


Told = tuple[str, Tone]
Data = Mapping[str, Any]


def _what(data: Data) -> str:
    incident = data.get("incident") or {}
    kind, count = incident.get("incident_type"), incident.get("repeat_count", 1)
    if kind == "repeat_visit":
        return f"The patient came back for the {_ordinal(count)} time for the same order"
    if kind == "order_remade" and count > 1:
        return f"The order had to be made again, for the {_ordinal(count)} time"
    if incident.get("is_dispute"):
        return "The patient disputed a payment"
    return say(INCIDENTS, kind)


def _opened(data: Data, r: Reading) -> Told:
    owner, page = data.get("owner_staff_id"), data.get("page") or []
    if owner and page == [owner]:
        told = f"{r.name(owner)} owns it and was told at once."
    else:
        told = f"{r.name(owner)} owns it." if owner else "It has no owner yet."
        told += f" {r.people(page)} {_was(page)} told at once." if page else " Nobody was told yet."
    promise = f"A person is to be in touch by {r.time(data.get('next_contact_by'))}."
    return f"{_what(data)}. The case was opened. {told} {promise}", "plain"


def _attached(data: Data, r: Reading) -> Told:
    return f"{_what(data)}. It was added to this case.", "warn"


def _raised(data: Data, r: Reading) -> Told:
    now = SEVERITIES.get(data.get("severity", 3), "Normal").lower()
    return f"The case became more serious: {now} instead of {SEVERITIES.get(data.get('was', 3), 'normal').lower()}.", "warn"


def _replanned(data: Data, r: Reading) -> Told:
    why = {"hours_changed": "The store's hours changed", "rebuilt": "The case's clock was repaired from its history"}
    return f"{why.get(data.get('why', ''), 'The case was moved to the policy of the day')}, so its deadlines were counted anew.", "plain"


def _acknowledged(data: Data, r: Reading) -> Told:
    return f"The case was taken on. It wants a contact or an action by {r.time(data.get('expires_at'))}.", "good"


def _expired(data: Data, r: Reading) -> Told:
    return f"Nothing happened after the case was taken on, so it is open again. {_told(data, r)}", "bad"


def _handed_over(data: Data, r: Reading) -> Told:
    return f"The shift of {r.name(data.get('owner_staff_id'))} is over and nobody has taken the case on. {_told(data, r)}", "warn"


def _assigned(data: Data, r: Reading) -> Told:
    was = f" instead of {r.name(data['was'])}" if data.get("was") else ""
    return f"{r.name(data.get('owner_staff_id'))} owns the case now{was}.", "plain"


def _story(data: Data, r: Reading) -> Told:
    return "The patient's story was heard, written down and read back.", "good"


def _action(data: Data, r: Reading) -> Told:
    return f"{say(ACTIONS, data.get('kind'))}.", "good"


def _note(data: Data, r: Reading) -> Told:
    return "A note was added.", "plain"


def _met(data: Data, r: Reading) -> Told:
    late = data.get("late")
    return f"{say(MILESTONES, data.get('milestone'))}: done{', but late' if late else ' in time'}.", "warn" if late else "good"


def _risk(data: Data, r: Reading) -> Told:
    what, by = say(MILESTONES, data.get("milestone")), r.time(data.get("due_at"))
    return f"{what}: {data.get('percent', 0)} % of the time is gone, due {by}.{_warned(data, r)}", "warn"


def _breached(data: Data, r: Reading) -> Told:
    climbed = ""
    if data.get("page"):
        climbed = f" {say_level(data.get('level'))}. {_told(data, r)}" if data.get("milestone") == "acknowledge" else f" {_told(data, r)}"
    return f"{say(MILESTONES, data.get('milestone'))}: the deadline of {r.time(data.get('due_at'))} passed.{climbed}", "bad"


def _stepped(data: Data, r: Reading) -> Told:
    return f"Still nobody has taken it on. {say_level(data.get('level'))}. {_told(data, r)}", "bad"


def _paused(data: Data, r: Reading) -> Told:
    until = f" until {r.time(data['until'])} at the latest" if data.get("until") else ""
    return f"The clock stands still{until}: {say({}, data.get('reason')).lower()}.", "plain"


def _resumed(data: Data, r: Reading) -> Told:
    used_up = f"The time to wait is used up, so the clock runs again. {_told(data, r)}"
    return (used_up, "warn") if data.get("page") else ("The clock runs again.", "plain")


def _promised(data: Data, r: Reading) -> Told:
    return f"A promise to the patient, for {r.time(data.get('promised_by'))}.", "plain"


def _resolved(data: Data, r: Reading) -> Told:
    return f"The case was resolved. Root cause: {say(ROOT_CAUSES, data.get('root_cause')).lower()}.", "good"


def _reopened(data: Data, r: Reading) -> Told:
    return "The case was opened again.", "warn"


def _closed(data: Data, r: Reading) -> Told:
    return "The case was closed.", "good"


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


def _to(data: Data, r: Reading) -> str:
    return "the patient" if data.get("audience") == "patient" else r.name(data.get("staff_id"))


def _queued(data: Data, r: Reading) -> Told:
    return f"A text to {_to(data, r)} is due {r.time(data.get('send_at'))}: {say(TEMPLATES, data.get('template'))}.", "text"


def _withheld(data: Data, r: Reading) -> Told:
    reason = say(REASONS, data.get("reason")).lower()
    return f"A text to {_to(data, r)} was not sent ({say(TEMPLATES, data.get('template'))}): {reason}.", "text"


def _sent(data: Data, r: Reading) -> Told:
    return f"{_to(data, r)[:1].upper()}{_to(data, r)[1:]} was texted: {say(TEMPLATES, data.get('template'))}.", "text"


def _delivered(data: Data, r: Reading) -> Told:
    return f"The text to {_to(data, r)} arrived: {say(TEMPLATES, data.get('template'))}.", "text"


def _failed(data: Data, r: Reading) -> Told:
    return f"The text to {_to(data, r)} did not arrive: {say(TEMPLATES, data.get('template'))}.", "bad"


def _uncertain(data: Data, r: Reading) -> Told:
    return f"Nobody can tell whether the text to {_to(data, r)} arrived: {say(TEMPLATES, data.get('template'))}.", "bad"


def _reply(data: Data, r: Reading) -> Told:
    kind = data.get("kind")
    if data.get("staff_id"):
        return f"{r.name(data['staff_id'])} answered by text{': I take it' if kind == 'acknowledge' else ''}.", "text"
    said = {"message": "wrote to us", "stop": "asked for no more texts", "start": "wants texts again", "help": "asked for help by text"}
    return f"The patient {said.get(str(kind), 'answered by text')}.", "text"


def _link(data: Data, r: Reading) -> Told:
    return "The patient got a link to a page with the status.", "text"


def _consent(data: Data, r: Reading) -> Told:
    given = "agreed to" if data.get("granted") else "no longer wants"
    return f"The patient {given} texts about {say(PURPOSES, data.get('purpose')) or 'this'}.", "text"


def _told(data: Data, r: Reading) -> str:
    page = data.get("page") or []
    return f"{r.people(page)} {_was(page)} told." if page else "There was nobody to tell."


def _warned(data: Data, r: Reading) -> str:
    page = data.get("page") or []
    return f" {r.people(page)} {_was(page)} warned." if page else ""


def _was(people: Any) -> str:
    return "were" if len(people) > 1 else "was"


def _ordinal(number: int) -> str:
    tail = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return {2: "second", 3: "third", 4: "fourth", 5: "fifth"}.get(number, f"{number}{tail}")


_TELLERS: Final[dict[str, Callable[[Data, Reading], Told]]] = {
    "amends.case.opened": _opened,
    "amends.case.incident_attached": _attached,
    "amends.case.severity_raised": _raised,
    "amends.case.replanned": _replanned,
    "amends.case.acknowledged": _acknowledged,
    "amends.case.acknowledgement_expired": _expired,
    "amends.case.page_handed_over": _handed_over,
    "amends.case.assigned": _assigned,
    "amends.case.story_confirmed": _story,
    "amends.case.action_recorded": _action,
    "amends.case.note_added": _note,
    "amends.case.target_met": _met,
    "amends.case.target_at_risk": _risk,
    "amends.case.target_breached": _breached,
    "amends.case.escalation_stepped": _stepped,
    "amends.case.clock_paused": _paused,
    "amends.case.clock_resumed": _resumed,
    "amends.case.promise_made": _promised,
    "amends.case.resolved": _resolved,
    "amends.case.reopened": _reopened,
    "amends.case.closed": _closed,
    "amends.restitution.proposed": _proposed,
    "amends.restitution.referred": _referred,
    "amends.restitution.approved": _approved,
    "amends.restitution.declined": _declined,
    "amends.restitution.offered": _offered,
    "amends.restitution.accepted": _accepted,
    "amends.restitution.settled": _settled,
    "amends.restitution.reversed": _reversed,
    "amends.restitution.payout_uncertain": _unclear,
    "amends.notice.queued": _queued,
    "amends.notice.withheld": _withheld,
    "amends.notice.sent": _sent,
    "amends.notice.delivered": _delivered,
    "amends.notice.failed": _failed,
    "amends.notice.uncertain": _uncertain,
    "amends.notice.reply_understood": _reply,
    "amends.notice.link_issued": _link,
    "amends.notice.consent_recorded": _consent,
}
ALL_TYPES: Final = frozenset(_TELLERS)
# What only machines care for: kept, but not on the page's first view.
QUIET: Final = frozenset({"amends.notice.queued", "amends.notice.sent", "amends.notice.link_issued"})
