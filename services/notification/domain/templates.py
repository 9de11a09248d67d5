"""The words, and what must be true for them to be sent. The texts themselves are data: `policy/templates.toml`.

Called by the use cases at the moment a text leaves, so that it says what is true then.
Invariant: an amount stands only in a text to somebody who agreed to hear of compensation; no text names a member of staff.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from string import Formatter
from typing import Any, Literal
from zoneinfo import ZoneInfo

from services.notification.domain.words import plain, segment

SEGMENTS_MAX = 2
_TIMES = frozenset({"by"})
_PROMISES = frozenset({"promised", "promise_moved"})
_DONE = frozenset({"promise_early", "promise_kept", "promise_done_late"})
Part = tuple[str, Mapping[str, str]]
# Times that may be weeks away.
_DATES = frozenset({"promised_by", "was_by"})
_SHOUTING = re.compile(r"\b(?!ACK\b|STOP\b|START\b|HELP\b|AM\b|PM\b)[A-Z]{4,}\b|!!")


@dataclass(frozen=True, slots=True)
class Template:
    """One text. `while_status` are the case's states in which it still makes sense, `stale_after` how long; `needs` names the consent
    without which `otherwise` is sent instead; `gather_after`: so many texts within a minute before the next ones leave as one, 0: never;
    `until` names the fact whose time ends its sense."""

    name: str
    audience: Literal["patient", "staff"]
    text: str
    while_status: frozenset[str] = frozenset()
    stale_after: timedelta = timedelta(days=3)
    needs: str | None = None
    otherwise: str | None = None
    has_link: bool = False
    is_answer: bool = False
    is_for_stopped: bool = False
    gather_after: int = 0
    until: str | None = None

    def fields(self) -> frozenset[str]:
        """The facts its words need."""
        return frozenset(name for _, name, _, _ in Formatter().parse(self.text + (self.otherwise or "")) if name)


@dataclass(frozen=True, slots=True)
class Words:
    """All templates of one language, with the sentences that stand around them."""

    templates: Mapping[str, Template]
    opening: str
    stop_line: str
    link_line: str
    several_pages: str
    instead: Mapping[str, str]
    letter_subject: str
    letter_subjects: str
    letter_link: str
    ack_line: str
    ack_lines: str
    banned: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Template:
        return self.templates[name]


@dataclass(frozen=True, slots=True)
class Setting:
    """What surrounds a text when it is composed: who is texting, the store's zone, the link, whether the number hears from us first."""

    programme: str
    zone: str
    link: str | None = None
    is_first: bool = False
    may_name_amounts: bool = False


def load(toml: str, language: str = "en") -> Words:
    """The words of a language from `policy/templates.toml`. Raises KeyError or ValueError where something is missing or misspelt."""
    table: dict[str, Any] = tomllib.loads(toml)[language]
    templates = {name: _template(name, row) for name, row in table["template"].items()}
    around = table["around"]
    return Words(
        templates,
        around["opening"],
        around["stop_line"],
        around["link_line"],
        around["several_pages"],
        around["instead"],
        around["letter_subject"],
        around["letter_subjects"],
        around["letter_link"],
        around["ack_line"],
        around["ack_lines"],
        tuple(table["lint"]["banned"]),
    )


def compose(words: Words, parts: Sequence[tuple[str, Mapping[str, str]]], setting: Setting) -> str:
    """One text out of one or more (template, facts), in the order given: who is texting, each part's sentence, one link, how to stop.

    `facts["by"]` and the like are ISO instants in UTC; they are written in the store's zone.
    """
    parts = _as_of_now(parts)
    said = [_sentence(words[name], facts, setting) for name, facts in parts]
    text = words.opening.format(programme=setting.programme) + " ".join(dict.fromkeys(said))
    if setting.link is not None and any(words[name].has_link for name, _ in parts):
        text += " " + words.link_line.format(link=setting.link)
    gone = {channel for _, facts in parts if (channel := facts.get("instead_of"))}
    text += "".join(" " + words.instead[channel] for channel in sorted(gone))
    if setting.is_first and any(words[name].audience == "patient" and not words[name].is_answer for name, _ in parts):
        text += " " + words.stop_line
    return plain(text)


def several(words: Words, references: Sequence[str], setting: Setting) -> str:
    """One page for many cases: how many, the first few by reference. Raises IndexError for none."""
    shown = ", ".join(references[:4]) + (f" and {len(references) - 4} more" if len(references) > 4 else "")
    text = words.opening.format(programme=setting.programme) + words.several_pages.format(count=len(references), references=shown)
    return plain(text)


def letter(words: Words, text: str, references: Sequence[str], url: str) -> str:
    """A page as an e-mail: the subject as its first line, the words of its text, and where to take it on in the place of how to answer."""
    is_one = len(references) == 1
    subject = words.letter_subject.format(reference=references[0]) if is_one else words.letter_subjects.format(count=len(references))
    said = text.removesuffix(words.ack_line).removesuffix(words.ack_lines).rstrip()
    link = words.letter_link.format(link=f"{url}/cases/{references[0]}" if is_one else f"{url}/")
    return f"{subject}\n{said}\n\n{link}"


def lint(words: Words, name: str, sample: Mapping[str, str], setting: Setting, staff: Sequence[str] = ()) -> list[str]:
    """What is wrong with a template, as sentences: too long, shouting, clinical or blaming words, a name of staff, amounts left in."""
    template = words[name]
    faults = []
    for may in (True, False):
        around = Setting(setting.programme, setting.zone, setting.link, setting.is_first, may)
        text = compose(words, [(name, sample)], around)
        encoding, segments, _ = segment(text)
        if encoding != "GSM-7" or segments > SEGMENTS_MAX:
            faults.append(f"{name} takes {segments} parts in {encoding}")
        said = f" {re.sub(r'[^a-z0-9$]+', ' ', text.casefold())} "
        faults += [f"{name} says {word!r}" for word in words.banned if f" {word} " in said]
        faults += [f"{name} names {person}" for person in staff if person.casefold() in text.casefold()]
        if _SHOUTING.search(template.text):
            faults.append(f"{name} shouts")
        if not may and "amount" in sample and sample["amount"] in text:
            faults.append(f"{name} names an amount without consent")
    return sorted(set(faults))


def local_time(at: datetime, zone: str) -> str:
    """An instant as people of the store say it: `Mon 3:30 PM`."""
    local = at.astimezone(ZoneInfo(zone))
    return f"{local:%a} {local.hour % 12 or 12}:{local:%M} {'AM' if local.hour < 12 else 'PM'}"


def local_day(at: datetime, zone: str) -> str:
    """The same with its date, for what may be weeks away: `Mon Nov 30 3:30 PM`."""
    weekday, _, time = local_time(at, zone).partition(" ")
    local = at.astimezone(ZoneInfo(zone))
    return f"{weekday} {local:%b} {local.day} {time}"


def _sentence(template: Template, facts: Mapping[str, str], setting: Setting) -> str:
    spoken = {name: _spoken(name, value, setting.zone) for name, value in facts.items()}
    refused = template.needs == "compensation" and not setting.may_name_amounts
    text = template.otherwise if refused and template.otherwise else template.text
    return text.format_map(spoken)


def _as_of_now(parts: Sequence[Part]) -> list[Part]:
    """Without what was promised and is overtaken before anybody heard of it: a time that moved meanwhile, or something that is done."""
    found: list[Part] = []
    for name, facts in parts:
        ended = facts.get("was_by") if name == "promise_moved" else facts.get("promised_by") if name in _DONE else None
        untold = next(
            (p for p in found if p[0] in _PROMISES and (p[1].get("what"), p[1]["promised_by"]) == (facts.get("what"), ended)), None
        )
        if untold is not None:
            found.remove(untold)
            name = untold[0] if name == "promise_moved" else name
        found.append((name, facts))
    return found


def _spoken(name: str, value: str, zone: str) -> str:
    if name in _TIMES:
        return local_time(datetime.fromisoformat(value), zone)
    return local_day(datetime.fromisoformat(value), zone) if name in _DATES else value


def _template(name: str, row: dict[str, Any]) -> Template:
    known = {"audience", "text", "while", "stale_hours", "needs", "otherwise", "link", "answer", "for_stopped", "gather_after", "until"}
    if set(row) - known:
        raise ValueError(f"template {name}: unknown {sorted(set(row) - known)}")
    return Template(
        name,
        row["audience"],
        row["text"],
        frozenset(row.get("while", ())),
        timedelta(hours=row.get("stale_hours", 72)),
        row.get("needs"),
        row.get("otherwise"),
        row.get("link", False),
        row.get("answer", False),
        row.get("for_stopped", False),
        row.get("gather_after", 0),
        row.get("until"),
    )
