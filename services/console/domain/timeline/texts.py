"""Texts and what was answered, in sentences."""

from collections.abc import Mapping
from typing import Final

from services.console.domain.phrases import PURPOSES, REASONS, TEMPLATES, say
from services.console.domain.timeline.reading import Data, Reading, Teller, Told


def _to(data: Data, r: Reading) -> str:
    return "the patient" if data.get("audience") == "patient" else r.name(data.get("staff_id"))


def _kind(data: Data) -> str:
    """What left, with its article's noun: a text, unless another channel is told."""
    return {"email": "e-mail", "webhook": "webhook"}.get(str(data.get("channel")), "text")


def _a(data: Data) -> str:
    return ("An " if _kind(data) == "e-mail" else "A ") + _kind(data)


def _queued(data: Data, r: Reading) -> Told:
    return f"{_a(data)} to {_to(data, r)} is due {r.time(data.get('send_at'))}: {say(TEMPLATES, data.get('template'))}.", "text"


def _withheld(data: Data, r: Reading) -> Told:
    reason = say(REASONS, data.get("reason")).lower()
    return f"{_a(data)} to {_to(data, r)} was not sent ({say(TEMPLATES, data.get('template'))}): {reason}.", "text"


def _sent(data: Data, r: Reading) -> Told:
    done = {"email": "was e-mailed", "webhook": "was paged by webhook"}.get(str(data.get("channel")), "was texted")
    return f"{_to(data, r)[:1].upper()}{_to(data, r)[1:]} {done}: {say(TEMPLATES, data.get('template'))}.", "text"


def _delivered(data: Data, r: Reading) -> Told:
    return f"The {_kind(data)} to {_to(data, r)} arrived: {say(TEMPLATES, data.get('template'))}.", "text"


def _failed(data: Data, r: Reading) -> Told:
    return f"The {_kind(data)} to {_to(data, r)} did not arrive: {say(TEMPLATES, data.get('template'))}.", "bad"


def _uncertain(data: Data, r: Reading) -> Told:
    return f"Nobody can tell whether the {_kind(data)} to {_to(data, r)} arrived: {say(TEMPLATES, data.get('template'))}.", "bad"


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


TELLERS: Final[Mapping[str, Teller]] = {
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
