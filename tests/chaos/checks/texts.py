"""I5: each text is accepted by the provider at most once, none after STOP; judged by the provider's record, not by ours."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from tests.chaos.checks.finding import Finding
from tests.chaos.record import Stop

# These go to a number that said STOP: the answer to it, and to HELP.
FOR_STOPPED = frozenset({"stopped", "help"})
RECEIPT = "we have your case "


@dataclass(frozen=True, slots=True)
class Accepted:
    """A text the provider took. `notice_id`: from the address that its reports go to."""

    sid: str
    number: str
    body: str
    at: datetime
    notice_id: UUID | None


@dataclass(frozen=True, slots=True)
class Told:
    """A notice as notification has it. `left_at`: written before its first byte left us; `is_carried`: told in another one's text."""

    notice_id: UUID
    template: str
    case_id: UUID | None
    status: str
    sid: str | None = None
    left_at: datetime | None = None
    is_carried: bool = False


@dataclass(frozen=True, slots=True)
class Texts:
    """`cases`: the case of each patient who can be texted."""

    accepted: Sequence[Accepted] = ()
    stops: Sequence[Stop] = ()
    told: Mapping[UUID, Told] = field(default_factory=dict)
    cases: Sequence[UUID] = ()

    @property
    def in_doubt(self) -> int:
        """Texts of which a kill hid the answer: they may have left or not, are looked up and never sent again. Allowed, and counted."""
        return sum(t.status in ("uncertain", "sending") and not t.is_carried for t in self.told.values())

    @property
    def crossed(self) -> int:
        """Texts that had left us when a STOP was typed, and reached the provider after it was taken."""
        return sum(1 for text, stop in self._after_stop() if self._had_left(text, stop))

    def _after_stop(self) -> Iterator[tuple[Accepted, Stop]]:
        first: dict[str, Stop] = {}
        for stop in sorted(self.stops, key=lambda s: s.taken_at):
            first.setdefault(stop.number, stop)
        for text in self.accepted:
            stop_of = first.get(text.number)
            if stop_of is not None and text.at > stop_of.taken_at and self._template(text) not in FOR_STOPPED:
                yield text, stop_of

    def _template(self, text: Accepted) -> str | None:
        told = self.told.get(text.notice_id) if text.notice_id else None
        return told.template if told else None

    def _had_left(self, text: Accepted, stop: Stop) -> bool:
        told = self.told.get(text.notice_id) if text.notice_id else None
        return told is not None and told.left_at is not None and told.left_at < stop.taken_at


def accepted_once(seen: Texts) -> Iterator[Finding]:
    """No notice was accepted twice, no case's receipt either, and nothing went out that is no notice."""
    for notice_id, times in Counter(text.notice_id for text in seen.accepted).items():
        if notice_id is None or notice_id not in seen.told:
            yield Finding("I5", "accepted_once", f"{times} texts tell the notice {notice_id}, which is not ours")
        elif times > 1:
            yield Finding("I5", "accepted_once", f"notice {notice_id} was accepted {times} times")
    receipts = Counter((text.number, text.body.partition(RECEIPT)[2][:10]) for text in seen.accepted if RECEIPT in text.body)
    for (number, reference), times in receipts.items():
        if times > 1:
            yield Finding("I5", "accepted_once", f"{number} got {times} receipts of {reference}")


def none_after_stop(seen: Texts) -> Iterator[Finding]:
    """Once a STOP was taken nothing leaves for that number; what had left before may still arrive."""
    for text, stop in seen._after_stop():
        if not seen._had_left(text, stop):
            yield Finding("I5", "none_after_stop", f"{text.number} said STOP at {stop.taken_at} and was texted at {text.at}")


def sent_is_accepted(seen: Texts) -> Iterator[Finding]:
    """What we call sent the provider took, and what it took we do not call unsent.

    Of texts in doubt that say the same to the same number a look-up cannot tell which is which: any of them will do, each for one notice.
    """
    by_notice = {text.notice_id: text for text in seen.accepted}
    by_sid = {text.sid: text for text in seen.accepted}
    for told in seen.told.values():
        text = by_notice.get(told.notice_id)
        if told.is_carried:
            continue
        found = by_sid.get(told.sid or "")
        is_it = text is not None and found is not None and (found.number, found.body) == (text.number, text.body)
        if told.status in ("sent", "delivered", "undelivered") and not is_it:
            of = f"which tells {found.notice_id} ({text and text.sid} tells this one)" if found else "which it never took"
            yield Finding("I5", "sent_is_accepted", f"notice {told.notice_id} ({told.template}) is {told.status} as {told.sid}, {of}")
        if text is not None and told.status in ("queued", "held", "withheld"):
            yield Finding("I5", "sent_is_accepted", f"notice {told.notice_id} was accepted and is {told.status}")


def every_case_has_its_receipt(seen: Texts) -> Iterator[Finding]:
    """Whoever has a case and a number was meant to be told of it, once."""
    meant = Counter(told.case_id for told in seen.told.values() if told.template == "receipt")
    for case_id in seen.cases:
        if meant[case_id] != 1:
            yield Finding("I5", "every_case_has_its_receipt", f"case {case_id} has {meant[case_id]} receipts")
