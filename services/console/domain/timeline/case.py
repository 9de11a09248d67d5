"""The case's own events, in sentences."""

from collections.abc import Mapping
from typing import Any, Final

from services.console.domain.phrases import ACTIONS, INCIDENTS, MILESTONES, PROMISES, ROOT_CAUSES, SEVERITIES, say, say_level
from services.console.domain.timeline.reading import Data, Reading, Teller, Told


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
    return f"{_promise(data)} was promised to the patient by {r.time(data.get('promised_by'))}.", "plain"


def _promise_moved(data: Data, r: Reading) -> Told:
    return f"{_promise(data)} is promised by {r.time(data.get('promised_by'))} now, instead of {r.time(data.get('was_by'))}.", "warn"


def _promise_fulfilled(data: Data, r: Reading) -> Told:
    outcome = data.get("outcome")
    how = {"early": "sooner than promised", "kept": "in time"}.get(str(outcome), "but late")
    return f"{_promise(data)}, promised by {r.time(data.get('promised_by'))}: done, {how}.", "warn" if outcome == "late" else "good"


def _promise_at_risk(data: Data, r: Reading) -> Told:
    return f"{_promise(data)}, promised by {r.time(data.get('promised_by'))}, is not done yet.{_warned(data, r)}", "warn"


def _promise_lapsed(data: Data, r: Reading) -> Told:
    return f"{_promise(data)} was promised by {r.time(data.get('promised_by'))} and is late. {_told(data, r)}", "bad"


def _resolved(data: Data, r: Reading) -> Told:
    return f"The case was resolved. Root cause: {say(ROOT_CAUSES, data.get('root_cause')).lower()}.", "good"


def _reopened(data: Data, r: Reading) -> Told:
    return "The case was opened again.", "warn"


def _closed(data: Data, r: Reading) -> Told:
    return "The case was closed.", "good"


def _told(data: Data, r: Reading) -> str:
    page = data.get("page") or []
    return f"{r.people(page)} {_was(page)} told." if page else "There was nobody to tell."


def _promise(data: Data) -> str:
    return say(PROMISES, data.get("what"))


def _warned(data: Data, r: Reading) -> str:
    page = data.get("page") or []
    return f" {r.people(page)} {_was(page)} warned." if page else ""


def _was(people: Any) -> str:
    return "were" if len(people) > 1 else "was"


def _ordinal(number: int) -> str:
    tail = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return {2: "second", 3: "third", 4: "fourth", 5: "fifth"}.get(number, f"{number}{tail}")


TELLERS: Final[Mapping[str, Teller]] = {
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
    "amends.case.promise_moved": _promise_moved,
    "amends.case.promise_fulfilled": _promise_fulfilled,
    "amends.case.promise_at_risk": _promise_at_risk,
    "amends.case.promise_lapsed": _promise_lapsed,
    "amends.case.resolved": _resolved,
    "amends.case.reopened": _reopened,
    "amends.case.closed": _closed,
}
