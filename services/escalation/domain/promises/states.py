"""What becomes of a promise: made, moved once, fulfilled early or in time, late.

Invariant: a promise is late if and only if it was not fulfilled before its time, to the microsecond, and stays late; what the patient was
told is moved to a later time only, once, and only before it came. The patient's clock never pauses, so no pause moves a promise.
Timers: `promise` (name: what) at the promised time, `promise_aim` (the same) at the internal target; generation: the promise's number.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

from services.escalation.domain import ladder
from services.escalation.domain.case import Case, Promise, Store, Turn
from services.escalation.domain.promises import when
from services.escalation.domain.promises.rules import Rule
from services.escalation.domain.promises.when import Past
from services.escalation.domain.who import keepers, paged_on
from shared.calendars import local_date
from shared.contracts import cases as say
from shared.contracts.cases import ActionKind, PromiseKind
from shared.kernel.decision import Decision
from shared.kernel.errors import Rejected

PROMISES_MAX = 50
FURTHEST = timedelta(days=366)
Outcome = Literal["made", "kept", "early", "late", "moved"]


def promise(
    case: Case,
    what: PromiseKind,
    estimate_at: datetime | None,
    rule: Rule,
    past: Sequence[Past],
    store: Store,
    now: datetime,
    by: str | None,
) -> Decision[Case]:
    """Promise something, or move what is promised of the kind to a later time. The same estimate again, or none,
    changes nothing. Raises Rejected."""
    turn = Turn(case, store, now, by)
    owed = next((one for one in reversed(case.promises) if one.what == what and one.is_owed), None)
    if owed is not None and owed.state == "open" and estimate_at in (None, owed.basis.estimate_at):
        return turn.decision()
    _must_be_possible(case, estimate_at, now)
    if owed is not None:
        _must_be_movable(owed, now)
    made_at = owed.made_at if owed else now
    basis = when.basis_of(rule, past, made_at, estimate_at)
    promised_by = when.promised_by(basis, rule, made_at, store, now)
    turn.touch()
    fresh = Promise(
        number=len(case.promises) + 1,
        what=what,
        made_at=made_at,
        set_at=now,
        promised_by=promised_by,
        aim_by=when.aim_by(now, promised_by, basis.buffer_seconds, store),
        basis=basis,
        kept_by=rule.kept_by,
    )
    if owed is None:
        _add(turn, fresh)
        turn.say(say.PromiseMade, what=what, promised_by=promised_by, number=fresh.number, aim_by=fresh.aim_by)
        ladder.wake(turn)
        return turn.decision()
    if promised_by <= owed.promised_by:
        detail = "A promise is moved to a later time only. The patient was told a time that still holds: be early."
        raise Rejected("promise-not-later", detail, pointer="/estimate_at", promised_by=owed.promised_by.isoformat())
    _put(turn, owed, state="moved")
    _stop(turn, owed, "moved")
    _add(turn, replace(fresh, was_by=owed.promised_by))
    moved = {"promised_by": promised_by, "was_by": owed.promised_by, "number": fresh.number, "aim_by": fresh.aim_by}
    turn.say(say.PromiseMoved, what=what, **moved)
    ladder.wake(turn)
    return turn.decision()


def keep(case: Case, what: PromiseKind, store: Store, now: datetime, by: str | None) -> Decision[Case]:
    """Somebody says that it is done. Done already: an empty decision. Raises Rejected where nothing of the kind was promised."""
    turn = Turn(case, store, now, by)
    of_kind = [one for one in case.promises if one.what == what]
    if not of_kind:
        raise Rejected("no-such-promise", "Nothing of the kind was promised in this case.", pointer="/what")
    if any(one.is_owed for one in of_kind):
        turn.touch()
        _fulfil(turn, lambda one: one.what == what)
        ladder.wake(turn)
    return turn.decision()


def fulfil_by(turn: Turn, kind: ActionKind) -> None:
    """An action was recorded: it keeps the promises that name it."""
    _fulfil(turn, lambda one: kind in one.kept_by)


def fulfil_all(turn: Turn) -> None:
    """The case is resolved: nothing is owed any more."""
    _fulfil(turn, lambda one: True)


def lapse(case: Case, number: int, store: Store, now: datetime) -> Decision[Case]:
    """The promised time, as `now`: who is told of a breach is told, however long the case was silent, for a patient waits for it."""
    turn = Turn(case, store, now)
    found = _open(case, number)
    if found is not None:
        _put(turn, found, state="late")
        turn.say(say.PromiseLapsed, **_paged(case, found, paged_on(case.plan.ladder.rungs[0], case, store)))
    return turn.decision()


def warn(case: Case, number: int, store: Store, now: datetime) -> Decision[Case]:
    """The internal target, as `now`: the owner alone is told that it is not done yet."""
    turn = Turn(case, store, now)
    found = _open(case, number)
    if found is not None and not found.is_warned:
        _put(turn, found, is_warned=True)
        turn.say(say.PromiseAtRisk, **_paged(case, found, keepers(case, store)))
    return turn.decision()


def replan(turn: Turn) -> None:
    """The store's hours changed: internal targets that have not come are set anew; what the patient was told stays."""
    for one in turn.case.promises:
        if one.state != "open" or one.is_warned:
            continue
        aim_by = when.aim_by(one.set_at, one.promised_by, one.basis.buffer_seconds, turn.store)
        if aim_by != one.aim_by:
            _put(turn, one, aim_by=aim_by)
            turn.schedule("promise_aim", one.what, one.number, max(aim_by, turn.now))


def timers_of(case: Case) -> Iterator[tuple[tuple[str, str, int], datetime]]:
    """The timers that open promises have, with their times."""
    for one in case.promises:
        if one.state == "open":
            yield ("promise", one.what, one.number), one.promised_by
            if not one.is_warned:
                yield ("promise_aim", one.what, one.number), one.aim_by


def outcomes(before: Case | None, after: Case) -> Iterator[tuple[PromiseKind, Outcome]]:
    """What is to be counted of a change, by what was promised. A move counts once, as moved."""
    known = {one.number: one.state for one in before.promises} if before else {}
    for one in after.promises:
        if one.number not in known and one.was_by is None:
            yield one.what, "made"
        if one.state != "open" and known.get(one.number, "open") == "open":
            yield one.what, one.state


def fulfilled(before: Case | None, after: Case) -> Iterator[tuple[Promise, int]]:
    """What was done by a change, with the seconds that it took since it was promised first; of what was late too."""
    known = {one.number for one in before.promises if one.fulfilled_at} if before else set[int]()
    for one in after.promises:
        if one.fulfilled_at is not None and one.number not in known:
            yield one, max(int((one.fulfilled_at - one.made_at).total_seconds()), 0)


def _must_be_possible(case: Case, estimate_at: datetime | None, now: datetime) -> None:
    if not case.is_live:
        raise Rejected(f"case-{case.status}", f"The case is {case.status}; reopen it first.")
    if estimate_at is not None and not now < estimate_at <= now + FURTHEST:
        raise Rejected("invalid-estimate", "An estimate lies ahead, at most a year.", pointer="/estimate_at")
    if len(case.promises) >= PROMISES_MAX:
        raise Rejected("promise-limit", f"A case has at most {PROMISES_MAX} promises.")


def _must_be_movable(owed: Promise, now: datetime) -> None:
    if owed.state == "late" or now >= owed.promised_by:
        detail = (
            "The promised time has passed and counts as late. Call the patient; do what was promised and record it before promising more."
        )
        raise Rejected("promise-lapsed", detail, promised_by=owed.promised_by.isoformat())
    if owed.was_by is not None:
        detail = "A promise is moved once. Keep this one, or call the patient before its time comes."
        raise Rejected("promise-moved-already", detail, promised_by=owed.promised_by.isoformat())


def _fulfil(turn: Turn, is_kept: Callable[[Promise], bool]) -> None:
    for one in turn.case.promises:
        if not one.is_owed or not is_kept(one):
            continue
        outcome = _outcome(one, turn)
        if one.state == "open":
            _stop(turn, one, "fulfilled")
        _put(turn, one, state=outcome, fulfilled_at=turn.now)
        turn.say(say.PromiseFulfilled, what=one.what, promised_by=one.promised_by, number=one.number, outcome=outcome)


def _outcome(one: Promise, turn: Turn) -> Literal["early", "kept", "late"]:
    """Early on a day before the promised one, or by the internal target on that day; late once its time has come."""
    if one.state == "late" or turn.now >= one.promised_by:
        return "late"
    calendar = turn.store.calendar
    is_earlier = local_date(calendar, turn.now) < local_date(calendar, one.promised_by)
    return "early" if is_earlier or turn.now <= one.aim_by else "kept"


def _open(case: Case, number: int) -> Promise | None:
    return next((one for one in case.promises if one.number == number and one.state == "open"), None)


def _paged(case: Case, one: Promise, people: tuple[str, ...]) -> dict[str, Any]:
    how = case.plan.ladder.rungs[0].how
    return {
        "what": one.what,
        "promised_by": one.promised_by,
        "number": one.number,
        "page": people,
        "how": how,
        "generation": case.generation,
    }


def _add(turn: Turn, one: Promise) -> None:
    turn.change(promises=(*turn.case.promises, one))
    for (kind, name, number), at in timers_of(replace(turn.case, promises=(one,))):
        turn.schedule(kind, name, number, at)


def _put(turn: Turn, old: Promise, **fields: Any) -> None:
    new = replace(old, **fields)
    turn.change(promises=tuple(new if one.number == old.number else one for one in turn.case.promises))


def _stop(turn: Turn, one: Promise, reason: str) -> None:
    for kind in ("promise", "promise_aim"):
        turn.cancel(kind, reason, one.what, one.number)
