"""The timeline: what happened to a case, a plain sentence per event.

Called when a case is shown, not when an event is taken, so that better words reach old events too. Invariant: no sentence holds a patient's
words, number or name, and no code of ours.
"""

from collections.abc import Mapping
from typing import Final

from services.console.domain.phrases import say
from services.console.domain.timeline import case, gifts, texts
from services.console.domain.timeline.gifts import amount
from services.console.domain.timeline.reading import Entry, Line, Reading, Teller, Tone
from shared.contracts.envelope import Event

__all__ = ["ALL_TYPES", "QUIET", "Entry", "Line", "Reading", "Tone", "actor", "amount", "kept", "people_in", "read"]

# What every event carries and the row keeps anyway.
_DROPPED: Final = {"targets", "promises", "household", "payer_class", "policy", "version", "case_id"}
_TELLERS: Final[Mapping[str, Teller]] = {**case.TELLERS, **gifts.TELLERS, **texts.TELLERS}
ALL_TYPES: Final = frozenset(_TELLERS)
# What only machines care for: kept, but not on the page's first view.
QUIET: Final = frozenset({"amends.notice.queued", "amends.notice.sent", "amends.notice.link_issued"})


def kept(event: Event) -> bytes:
    """What the timeline keeps of an event, as a JSON object."""
    return event.model_dump_json(exclude_none=True, exclude=_DROPPED).encode()


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
