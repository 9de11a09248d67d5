"""What an answer by text means, before anybody looks who it is from.

Called by the inbound use case.
Invariant: an opt-out is never missed for its punctuation, and a sentence that merely contains "stop" is never taken for one.
Source: 47 CFR 64.1200(a)(10) names the words; the longer phrases are those people were seen to write.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from shared.kernel.ids import normal_reference

Meaning = Literal["stop", "start", "help"]

_STOP = frozenset({"stop", "quit", "end", "revoke", "opt out", "optout", "cancel", "unsubscribe", "stopall"})
_START = frozenset({"start", "unstop"})
_HELP = frozenset({"help", "info"})
# Matched whole, after "please" and the like are taken off both ends.
_REFUSALS = frozenset(
    {
        "stop", "stop all", "stop it", "stop this", "stop texting", "stop texting me", "stop messaging me", "stop contacting me",
        "stop sending me texts", "stop sending me messages", "stop sending me text messages", "stop sending texts", "stop the texts",
        "stop these texts", "stop these messages", "unsubscribe", "unsubscribe me", "opt out", "opt me out", "optout", "remove me",
        "remove me from your list", "remove me from this list", "remove my number", "take me off your list", "take me off this list",
        "take me off the list", "do not text me", "do not text me again", "dont text me", "dont text me again", "dont text me anymore",
        "do not text me anymore", "no more texts", "no more messages", "no more text messages", "do not contact me", "dont contact me",
        "leave me alone", "i want to opt out", "i would like to opt out", "i do not want these texts", "i dont want these texts",
        "i dont want texts", "i do not want texts", "quit texting me", "never text me again",
    }
)  # fmt: skip
_POLITE = (
    "thank you",
    "thanks",
    "please",
    "pls",
    "ok",
    "okay",
    "hi",
    "hello",
    "now",
    "sorry",
    "no",
    "just",
    "kindly",
    "can you",
    "could you",
)
_ACK = re.compile(r"(?:ok )?(?:ack|yes|y|acknowledge|acknowledged)(?: (.+))?")
_NUMBER = re.compile(r"[1-9]")
_NOT_WORDS = re.compile(r"[^\w]+|_+")


def reads_as(text: str) -> Meaning | None:
    """`stop`, `start` or `help` where the whole message says so, else None: then it is shown to a person."""
    said = _normal(text)
    if said in _STOP or _without_manners(said) in _REFUSALS:
        return "stop"
    if said in _START:
        return "start"
    return "help" if said in _HELP else None


def is_acknowledgement(text: str) -> bool:
    """Whether a paged person says that they take it: `ACK` or `YES`, alone or with the number or the reference of the case."""
    found = _ACK.fullmatch(_normal(text))
    return found is not None and (found[1] is None or bool(_NUMBER.fullmatch(found[1])) or normal_reference(found[1]) is not None)


def choice(text: str) -> int | None:
    """The number a person answered a list with, from 1, with or without `ACK`, or None."""
    said = _named(text)
    return int(said) if _NUMBER.fullmatch(said) else None


def named_case(text: str) -> str | None:
    """The reference a person answered with, with or without `ACK`, as it is spelled in full, or None."""
    return normal_reference(_named(text))


def _named(text: str) -> str:
    """What follows `ACK` or `YES`, or all of it without them."""
    said = _normal(text)
    found = _ACK.fullmatch(said)
    return said if found is None else found[1] or ""


@dataclass(frozen=True, slots=True)
class Question:
    """What a number was asked: which of `options` (case ids as text, in the order listed) an earlier answer was meant for."""

    kind: Literal["acknowledge", "message"]
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Understood:
    """What follows from an answer: `kind` for the case, or a list to `ask` back, or neither: a person reads it."""

    kind: Literal["acknowledge", "message", "choice", "nothing-open"]
    case_id: str | None = None
    ask: tuple[str, ...] = ()


def understand_staff(
    text: str, open_pages: Sequence[str], question: Question | None, references: Mapping[str, str] | None = None
) -> Understood:
    """A staff answer, by the cases its number is paged for (newest first) and what it was asked last; `references` → those cases.

    One open page is acknowledged; with several nobody guesses: the answer lists them and asks which. A number counts in the list it
    answers, a reference always.
    """
    asked = question.options if question is not None and question.kind == "acknowledge" else ()
    picked, named = choice(text), named_case(text)
    chosen = asked[picked - 1] if picked is not None and picked <= len(asked) else None
    if named is not None and (asked or is_acknowledgement(text)):
        chosen = (references or {}).get(named)
        if chosen is None:
            return Understood("choice", ask=tuple(open_pages[:9])) if open_pages else Understood("nothing-open")
    if chosen is not None:
        return Understood("acknowledge", chosen) if chosen in open_pages else Understood("nothing-open")
    if not is_acknowledgement(text):
        return Understood("message")
    if not open_pages:
        return Understood("nothing-open")
    if len(open_pages) == 1 and picked in (None, 1):
        return Understood("acknowledge", open_pages[0])
    return Understood("choice", ask=tuple(open_pages[:9]))


def understand_patient(text: str, open_cases: Sequence[str], last_texted: str | None, question: Question | None) -> Understood:
    """A patient's words, by the open cases of everybody who shares the number and the case last texted from it.

    The case last texted takes it; where two are open and none was texted last, the answer asks which.
    """
    picked = choice(text)
    if picked is not None and question is not None and question.kind == "message" and picked <= len(question.options):
        return Understood("message", question.options[picked - 1])
    if last_texted is not None and (last_texted in open_cases or not open_cases):
        return Understood("message", last_texted)
    if len(open_cases) > 1:
        return Understood("choice", ask=tuple(open_cases[:9]))
    return Understood("message", open_cases[0] if open_cases else last_texted)


def _normal(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    visible = "".join(char for char in folded if unicodedata.category(char) not in {"Cf", "Mn"})
    return _NOT_WORDS.sub(" ", visible.replace("'", "").replace("’", "")).strip()


def _without_manners(said: str) -> str:
    trimmed = True
    while trimmed:
        trimmed = False
        for word in _POLITE:
            if said.startswith(word + " "):
                said, trimmed = said[len(word) + 1 :], True
            if said.endswith(" " + word):
                said, trimmed = said[: -len(word) - 1], True
    return said
