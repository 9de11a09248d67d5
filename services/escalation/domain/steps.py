"""The ladder of a case as a list: the pages that were sent, and those that come unless somebody takes it.

Called by the query of a case's clock. Invariant: what was is told as it was recorded, with the people who were paged then; what comes is
told with the people of now, as it would be paged now.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from services.escalation.domain import ladder
from services.escalation.domain.case import Case, Store
from services.escalation.domain.explain import Recorded
from services.escalation.domain.rungs import Rung
from services.escalation.domain.who import paged_on

What = Literal["opened", "reopened", "late", "step", "handed_over", "stale"]
# The events that page by the ladder, and the rung they page where they do not tell it themselves.
PAGED: Final[Mapping[str, tuple[What, int | None]]] = {
    "amends.case.opened": ("opened", 0),
    "amends.case.reopened": ("reopened", 0),
    "amends.case.target_breached": ("late", ladder.BREACHED),
    "amends.case.escalation_stepped": ("step", None),
    "amends.case.page_handed_over": ("handed_over", None),
    "amends.case.acknowledgement_expired": ("stale", None),
}
WAITS_FOR_OPENING: Final = ("opened", "reopened")
ACKNOWLEDGED: Final = "amends.case.acknowledged"


@dataclass(frozen=True, slots=True)
class Taken:
    """An acknowledgement: when, and by whom (a staff id, or the key of a machine)."""

    at: datetime
    by: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """One page of the ladder. `at` is when it was sent, None for one that comes; `taken` the acknowledgement that ended its generation.

    `rung` is None for a page that belongs to none: a change of shifts, a stale acknowledgement. `repeat`: how often it was paged before.
    """

    state: Literal["paged", "next", "later"]
    what: What
    rung: int | None
    rule: Rung | None
    repeat: int
    generation: int
    due_at: datetime | None
    at: datetime | None
    people: tuple[str, ...]
    how: tuple[str, ...]
    taken: Taken | None = None


def tell(case: Case, events: Sequence[Recorded], store: Store, now: datetime) -> tuple[Step, ...]:
    """Every page so far, oldest first, then what comes. `events` in the order of their versions."""
    taken = {event.data.get("generation", 1): Taken(event.at, event.by) for event in events if event.type == ACKNOWLEDGED}
    return (*_sent(case, events, taken), *_coming(case, store, now))


def _sent(case: Case, events: Sequence[Recorded], taken: Mapping[int, Taken]) -> Iterator[Step]:
    paged: dict[tuple[int, int], int] = {}
    for event in events:
        what, rung = PAGED.get(event.type, (None, None))
        data: Mapping[str, Any] = event.data
        people = tuple(data.get("page", ()))
        if what is None or (what == "late" and data.get("milestone") != "acknowledge") or (what in WAITS_FOR_OPENING and not people):
            continue
        rung = data.get("rung", rung)
        generation = data.get("generation", 1)
        repeat = 0
        if rung is not None:
            repeat = paged.get((generation, rung), 0)
            paged[generation, rung] = repeat + 1
        due_at = datetime.fromisoformat(data["due_at"]) if data.get("due_at") else None
        how = tuple(data.get("how", ("text",)))
        yield Step("paged", what, rung, _rule(case, rung), repeat, generation, due_at, event.at, people, how, taken.get(generation))


def _coming(case: Case, store: Store, now: datetime) -> Iterator[Step]:
    acknowledgement = case.target("acknowledge")
    is_owed = acknowledgement is not None and acknowledgement.state == "running"
    for n, one in enumerate(ladder.foreseen(case, store, now)):
        rung = case.plan.ladder.rungs[one.rung]
        what: What = "late" if is_owed and one.rung == ladder.BREACHED else "step"
        people = paged_on(rung, case, store)
        yield Step("later" if n else "next", what, one.rung, rung, one.repeat, case.generation, one.due_at, None, people, rung.how)


def _rule(case: Case, rung: int | None) -> Rung | None:
    rungs = case.plan.ladder.rungs
    return rungs[rung] if rung is not None and rung < len(rungs) else None
