"""Who is meant by the words of a ladder, at the moment somebody is to be paged.

Called by `ladder` and `clock`. Invariant: people are looked up when they are paged, never when the page is planned; what a person owns
does not change by who stands in for them.
"""

from collections.abc import Mapping

from services.escalation.domain.case import Case, Store
from services.escalation.domain.rungs import NAMED, NEXT, Rung


def could_own(store: Store) -> tuple[str, ...]:
    """Among whom the owner of a new case is chosen: on the roster now, else associates, else managers, else the region."""
    return next((people for people in (store.on_duty, store.associates, store.managers, store.regionals) if people), ())


def owner_now(store: Store, load: Mapping[str, int]) -> str | None:
    """Of those who could own a case, who has the fewest live cases (`load`, by staff id), then by id; None where there is nobody at all."""
    return min(could_own(store), key=lambda staff_id: (load.get(staff_id, 0), staff_id), default=None)


def keepers(case: Case, store: Store) -> tuple[str, ...]:
    """Who hears what the owner should: the owner, or while their shift is over whoever is on the roster now. Empty without an owner."""
    if case.owner_staff_id is None:
        return ()
    is_away = store.on_duty and case.owner_staff_id not in store.on_duty and case.owner_staff_id in store.rostered
    return store.on_duty if is_away else (case.owner_staff_id,)


def came_on_duty(case: Case, store: Store) -> tuple[str, ...]:
    """At a change of shifts: who is on duty now in the owner's place and was not told yet. Empty while the owner is on duty."""
    if case.owner_staff_id in store.on_duty or case.owner_staff_id not in store.rostered:
        return ()
    told = () if case.owner_staff_id in store.on_duty_before else store.on_duty_before
    return tuple(person for person in store.on_duty if person not in told)


def paged_on(rung: Rung, case: Case, store: Store) -> tuple[str, ...]:
    """Whom a rung pages now: all it names; where that is nobody, the first of `otherwise` that finds somebody."""
    found = tuple(dict.fromkeys(person for word in rung.who for person in _people(word, case, store)))
    return found or next((people for word in rung.otherwise if (people := _people(word, case, store))), ())


def _people(word: str, case: Case, store: Store) -> tuple[str, ...]:
    of_role = {"associate": store.associates, "store_manager": store.managers, "regional_manager": store.regionals}
    if word.startswith(NAMED):
        return tuple(person for person in store.named if person == word.removeprefix(NAMED))
    if word.startswith(NEXT):
        people = of_role[word.removeprefix(NEXT)]
        return (min(people, key=lambda person: (store.turns.get(person, 0), person)),) if people else ()
    kind, _, role = word.partition(":")
    if kind == "on_duty":
        return tuple(person for person in store.on_duty if not role or person in of_role[role])
    plain = {"owner": keepers(case, store), "associates": store.associates, "managers": store.managers, "region": store.regionals}
    return plain[kind]
