"""Codes in the words of a store manager.

An unknown code is read out with its underscores as spaces, so that a newer producer never breaks a page.
"""

from typing import Final, Protocol

CATALYSTS: Final = {
    "late_order": "Late order",
    "remade_order": "Glasses remade",
    "non_adapt": "Cannot get used to the glasses",
    "fit_adjustment": "Fit and adjustment",
    "price_surprise": "Surprised by the price",
    "coverage_surprise": "Surprised by the coverage",
    "wait_time": "Long wait",
    "rude_or_dismissed": "Felt dismissed",
    "privacy": "Privacy",
    "warranty_dispute": "Warranty dispute",
    "no_pickup_notice": "Not told it was ready",
    "lost_order": "Lost order",
    "billing_error": "Billing error",
    "other": "Other complaint",
}
INCIDENTS: Final = {
    "order_late": "The order was not ready on the promised day",
    "order_remade": "The order had to be made again",
    "refund_or_return": "Money was asked back",
    "repeat_visit": "The patient had to come back again",
    "adjustment_repeat": "The same glasses were adjusted twice",
    "no_pickup": "The order was never picked up",
    "appointment_moved": "The practice moved an appointment",
    "message_failed": "The patient could not be told that the order is ready",
    "voice_of_patient": "The patient told us",
}
WAITS: Final = {
    "waiting_for_patient": "Waiting for the patient",
    "waiting_for_lab": "Waiting for the lab",
    "waiting_for_parts": "Waiting for parts",
    "waiting_for_insurer": "Waiting for the insurer",
}
STATUSES: Final = {"open": "Open", "acknowledged": "Acknowledged", "resolved": "Resolved", "closed": "Closed"}
SEVERITIES: Final = {1: "Critical", 2: "High", 3: "Normal"}
LEVELS: Final = {0: "With the owner", 1: "With the store manager", 2: "With the region"}
MILESTONES: Final = {
    "acknowledge": "Acknowledge",
    "contact": "First contact",
    "action": "First action",
    "update": "Next update",
    "resolve": "Resolve",
}
TARGETS: Final = {
    "running": "Running",
    "paused": "Paused",
    "met": "Met",
    "met_late": "Met late",
    "breached": "Overdue",
    "cancelled": "No longer needed",
}
ROLES: Final = {
    "associate": "Associate",
    "store_manager": "Store manager",
    "regional_manager": "Regional manager",
    "compliance": "Compliance",
    "admin": "Administrator",
}
ACTIONS: Final = {
    "call": "Called the patient",
    "visit": "Spoke with the patient in the store",
    "text": "Texted the patient",
    "email": "Wrote to the patient",
    "remake": "Ordered a remake",
    "adjustment": "Adjusted the glasses",
    "order_expedited": "Hurried the order",
    "delivery": "Delivered the order",
    "other": "Took another step",
    "offer": "Made an offer",
}
PROMISES: Final = {
    "callback": "A call",
    "remake": "The remake",
    "order_ready": "The order ready for pickup",
    "delivery": "The delivery",
    "refund": "The refund",
    "other": "What was promised",
}
PROMISE_STATES: Final = {"open": "Promised", "kept": "Kept", "early": "Kept early", "late": "Late", "moved": "Moved"}
ROOT_CAUSES: Final = {
    "lab_error": "Lab error",
    "measurement_error": "Measurement error",
    "prescription_change": "Prescription change",
    "frame_defect": "Frame defect",
    "stock_out": "Out of stock",
    "scheduling": "Scheduling",
    "communication": "Communication",
    "billing": "Billing",
    "staff_conduct": "Staff conduct",
    "system": "System failure",
    "other": "Something else",
}
KINDS: Final = {
    "gas_money": "Gas money",
    "refund": "Refund",
    "store_credit": "Store credit",
    "free_remake": "Free remake",
    "care_kit": "Care kit",
    "home_delivery": "Home delivery",
    "stay_late": "Staying late for a pickup",
    "loaner": "Loaner pair",
    "upgrade": "Upgrade",
}
RESTITUTIONS: Final = {
    "proposed": "Proposed",
    "referred": "Waits for approval",
    "approved": "Approved",
    "declined": "Declined",
    "offered": "Offered",
    "accepted": "Accepted",
    "settled": "Paid",
    "reversed": "Taken back",
    "expired": "Expired",
    "payout_uncertain": "Payment unclear",
}
NOTICES: Final = {
    "queued": "Waiting",
    "held": "Waiting",
    "sending": "On its way",
    "sent": "Sent",
    "delivered": "Delivered",
    "undelivered": "Not delivered",
    "failed": "Failed",
    "withheld": "Not sent",
    "uncertain": "Unclear",
}
TEMPLATES: Final = {
    "receipt": "the receipt",
    "attached": "that we added it to the case",
    "acknowledged": "who has taken it on",
    "offered": "that there is an offer",
    "offer_settled": "that the compensation is ready",
    "resolved": "that we finished",
    "promised": "what is promised by when",
    "promise_moved": "that the promised time has moved",
    "promise_early": "that it is done sooner than promised",
    "promise_kept": "that it is done as promised",
    "promise_done_late": "that it is done, later than promised",
    "promise_at_risk": "that a promise is at risk",
    "promise_lapsed": "that a promise is late",
    "typed": "a personal text",
    "page": "a page",
    "page_again": "another page",
    "assigned": "that the case is theirs",
    "warning": "a warning",
    "breached": "that a deadline passed",
    "clock_resumed": "that the clock runs again",
    "ack_list": "a question which case",
    "ack_none": "that nothing waits",
    "which_case": "a question which case",
    "stopped": "the opt-out confirmation",
    "started": "that texts are on again",
    "help": "the help text",
}
PURPOSES: Final = {"care": "the case", "compensation": "compensation", "survey": "surveys", "marketing": "offers", "all": "anything"}
REASONS: Final = {
    "no-phone": "no phone number is known",
    "no-email": "no e-mail address is known, or no mail server is set",
    "no-webhook": "no webhook is set",
    "opted-out": "the patient asked for no texts",
    "no-consent": "there is no consent for this kind of text",
    "stale": "it was out of date by then",
    "no-window": "no texting hours are known for the number",
    "texting-window": "for texting hours",
    "cadence": "not to text too often",
    "taken-back": "it was taken back",
    "acknowledged": "somebody had taken the case",
}

SERVICES: Final = {
    "directory": "Directory",
    "intake": "Intake",
    "escalation": "Escalation",
    "restitution": "Restitution",
    "notification": "Notification",
    "console": "Console",
}
# Why an event was set aside: what it means, and what helps.
PARKED: Final = {
    "waiting": "Waits for another row",
    "behind": "Waits its turn",
    "failed": "Our own fault",
    "unknown-type": "A kind nobody knows here",
    "unreadable-body": "Cannot be read",
    "unreadable-envelope": "No event of ours",
    "empty-body": "Has no body",
    "too-old": "Too old to tell a repeat",
    "too-large": "Too large to be said",
}
PARKED_HELP: Final = {
    "waiting": "It is tried again by itself for ten minutes. If it stays, look whether its topic is read.",
    "behind": "It follows by itself once the earlier event of its key is through.",
    "failed": "It failed three times. The log names the exception; try again after the fix.",
    "unknown-type": "Its sender is newer than this service. Upgrade this one, then try again.",
    "unreadable-body": "Its sender says what nobody agreed on. Tell the sender, or upgrade this service.",
    "unreadable-envelope": "Somebody else writes to this topic. Find out who.",
    "empty-body": "Somebody else writes to this topic. Find out who.",
    "too-old": "Try again only when it was surely never applied.",
    "too-large": "What it would say is more than the broker takes.",
}

CHANNELS: Final = {"text": "text", "email": "e-mail", "webhook": "webhook"}
# A page of the ladder that is no rung's, or whose rung is not told.
LADDER: Final = {
    "opened": "When it was opened",
    "reopened": "When it was opened again",
    "late": "When it was not acknowledged in time",
    "step": "Further up",
    "handed_over": "At the change of shifts",
    "stale": "When its acknowledgement went stale",
}
LADDER_WHO: Final = {
    "owner": "its owner",
    "on_duty": "whoever is on duty",
    "associates": "the associates",
    "managers": "the store manager",
    "region": "the region",
}
# What is wrong with a timer: its name, and what helps.
FAULTS: Final = {
    "overdue": "Overdue",
    "parked": "Stands still",
    "early": "Fired early",
    "twice": "Fired twice",
    "armed_again": "Set once more",
    "missing": "Missing",
    "wrong_due": "Set for another time",
    "left_over": "Left over",
}
FAULTS_HELP: Final = {
    "overdue": "Look whether the service runs and its log says why; it fires by itself as soon as it can.",
    "parked": "The log names the exception. It is tried again when its subject changes; the runbook of timers says how else.",
    "early": "It cannot be undone: look what it did, then note it with the reason.",
    "twice": "It cannot be undone: look what it did, then note it with the reason.",
    "armed_again": "What fired cannot fire again: it will be refused when it is due. Tell who keeps the software.",
    "missing": "Nothing will happen at that time by itself. Count the case's clock anew, or do by hand what is due.",
    "wrong_due": "Count the case's clock anew.",
    "left_over": "It changes nothing when it fires, for its subject does not wait for it.",
}
# What a timer wakes its service for.
TIMERS: Final = {
    "target": "Deadline",
    "warning": "Warning before a deadline",
    "step": "Step of the ladder",
    "hand_over": "Change of shifts",
    "ack_expiry": "End of an acknowledgement",
    "pause_end": "End of a pause",
    "promise": "Promised time",
    "promise_aim": "Own target of a promise",
    "recount": "Counting a store's cases anew",
    "order_late": "Promised day of an order",
    "payout": "Payout",
    "notice": "Text",
}


class Names(Protocol):
    """Who is called what."""

    def person(self, staff_id: str | None) -> str | None:
        """A person's name."""
        ...


def phone(number: str | None) -> str:
    """`+1 617 555 0100` for a North American number in E.164; others as they are."""
    if number and len(number) == 12 and number.startswith("+1"):
        return f"+1 {number[2:5]} {number[5:8]} {number[8:]}"
    return number or ""


def say_who(word: str, names: Names) -> str:
    """A word of the ladder for people: `on_duty:store_manager`, `next:associate`, `staff:ana`."""
    kind, _, of = word.partition(":")
    if kind == "staff":
        return names.person(of) or of
    role = ROLES.get(of, of).lower()
    if kind == "next":
        return f"the {role} whose turn it is"
    return f"{LADDER_WHO['on_duty']} as {role}" if of else LADDER_WHO.get(word, word)


def say(table: dict[str, str], code: str | None) -> str:
    """The phrase for a code; its own words where the table lacks it."""
    if code is None:
        return ""
    return table.get(code) or code.replace("_", " ").replace("-", " ").capitalize()


def say_level(level: int | None) -> str:
    """How far the ladder has climbed, as the start of a sentence."""
    return {0: "It is with the owner", 1: "It went up to the store manager"}.get(level or 0, "It went up to the region")
