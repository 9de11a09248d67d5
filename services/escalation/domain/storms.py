"""Storms: many cases that wake the same person at the same moment.

Called where the decisions of one transaction are written. Invariant: a page is neither lost nor doubled by belonging to a storm; it only
says how many belong together, so that whoever sends them knows when it has heard the last.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from shared.contracts.cases import Paging, Storm


def bundle(told: Sequence[Sequence[Any]], storm_id: UUID) -> list[tuple[Any, ...]]:
    """The events of each decision, as they were, but that a person who is paged for two cases or more gets pages of one storm."""
    cases = {(person, event.case_id) for events in told for event in events if isinstance(event, Paging) for person in event.page}
    many = {person for person, count in Counter(person for person, _ in cases).items() if count > 1}
    if not many:
        return [tuple(events) for events in told]
    pages = Counter(person for events in told for event in events if isinstance(event, Paging) for person in event.page if person in many)

    def part_of(event: Any) -> Any:
        if not isinstance(event, Paging) or many.isdisjoint(event.page):
            return event
        storm = Storm(storm_id=storm_id, pages={person: pages[person] for person in event.page if person in many})
        return event.model_copy(update={"storm": storm})

    return [tuple(part_of(event) for event in events) for events in told]
