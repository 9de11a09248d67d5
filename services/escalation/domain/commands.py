"""What people do to a case. Every command that was obeyed already answers with an empty decision."""

from datetime import datetime

from services.escalation.domain import clock, ladder, promises
from services.escalation.domain.case import Case, Store, Turn
from shared.contracts import cases as say
from shared.contracts.cases import ActionKind, RootCause
from shared.kernel.decision import Decision
from shared.kernel.errors import Rejected


def acknowledge(case: Case, store: Store, now: datetime, by: str | None, staff_id: str | None) -> Decision[Case]:
    """Somebody takes it: the ladder's generation is over, its queued pages too.

    `staff_id` is the person to come back to, None for a machine's key. Taken already: an empty decision.
    """
    turn = Turn(case, store, now, by)
    if case.status == "acknowledged":
        return turn.decision()
    _must_be_live(case)
    turn.touch()
    expires_at = turn.due(now, case.plan.expiry_seconds)
    turn.change(
        status="acknowledged",
        acknowledged_by=staff_id,
        acknowledged_at=now,
        expires_at=expires_at,
        step_since=None,
        step_due_at=None,
        hand_over_at=None,
        is_asleep=False,
        owner_staff_id=case.owner_staff_id or staff_id,
    )
    for kind in ("step", "hand_over"):
        turn.cancel(kind, "acknowledged", generation=case.generation)
    turn.schedule("ack_expiry", "ack", case.generation, expires_at)
    turn.say(say.CaseAcknowledged, generation=case.generation, expires_at=expires_at)
    clock.meet(turn, ("acknowledge",))
    return turn.decision()


def assign(case: Case, staff_id: str, store: Store, now: datetime, by: str | None) -> Decision[Case]:
    """Another owner, who is paged. Whether the person exists and works there is the use case's to check."""
    turn = Turn(case, store, now, by)
    if case.owner_staff_id == staff_id:
        return turn.decision()
    if case.status == "closed":
        raise Rejected("case-closed", "A closed case has no owner to change.")
    turn.touch()
    turn.change(owner_staff_id=staff_id)
    turn.page(say.CaseAssigned, (staff_id,), was=case.owner_staff_id)
    return turn.decision()


def tell_story(
    case: Case, store: Store, now: datetime, by: str | None, *, has_words: bool, is_new: bool, read_back: bool
) -> Decision[Case]:
    """The patient's own words, and whether they were read back. `has_words`: there is a verbatim story now; `is_new`: the words changed."""
    turn = Turn(case, store, now, by)
    if not has_words:
        raise Rejected("story-empty", "A story is confirmed once it is written down in the patient's words.", pointer="/verbatim")
    if case.status == "closed" and (is_new or (read_back and not case.story_confirmed)):
        raise Rejected("case-closed", "A closed case is reopened before its story changes.")
    if is_new:
        turn.touch()
    if read_back and not case.story_confirmed:
        turn.touch()
        turn.change(story_confirmed=True)
        turn.say(say.StoryConfirmed)
    return turn.decision()


def act(case: Case, kind: ActionKind, store: Store, now: datetime, by: str | None) -> Decision[Case]:
    """A person did something for the patient (or an offer was made): it meets what it meets, and the acknowledgement is fresh for good."""
    turn = Turn(case, store, now, by)
    _must_be_live(case)
    turn.touch()
    if case.expires_at is not None:
        turn.change(expires_at=None)
        turn.cancel("ack_expiry", "acted", "ack", case.generation)
    turn.say(say.ActionRecorded, kind=kind)
    clock.meet(turn, clock.MET_BY[kind])
    promises.fulfil_by(turn, kind)
    ladder.wake(turn)
    return turn.decision()


def act_then_pause(case: Case, kind: ActionKind, reason: str, store: Store, now: datetime, by: str | None) -> Decision[Case]:
    """Reply and wait for the patient, in one act: first it meets what it meets, then the clock stands. None of it without the other."""
    acted = act(case, kind, store, now, by)
    paused = clock.pause(acted.state, reason, store, now, by)
    return Decision(paused.state, acted.events + paused.events, acted.timers + paused.timers)


def add_note(case: Case, store: Store, now: datetime, by: str | None) -> Decision[Case]:
    """A note for colleagues; its words stay here."""
    turn = Turn(case, store, now, by)
    turn.touch()
    turn.say(say.NoteAdded)
    ladder.wake(turn)
    return turn.decision()


def resolve(case: Case, root_cause: RootCause, action: str, store: Store, now: datetime, by: str | None) -> Decision[Case]:
    """The recovery is done, after the story was heard. `action` is a short code of what was done, never words."""
    turn = Turn(case, store, now, by)
    if case.status == "resolved":
        return turn.decision()
    _must_be_live(case)
    if not case.story_confirmed:
        raise Rejected("story-not-confirmed", "The patient's story is heard and read back before the case is resolved.")
    turn.touch()
    turn.change(status="resolved", resolved_at=now, root_cause=root_cause)
    clock.end_pause(turn)
    clock.meet(turn, ("resolve",))
    clock.stop(turn, "resolved")
    promises.fulfil_all(turn)
    turn.say(say.CaseResolved, root_cause=root_cause, action=action)
    return turn.decision()


def close(case: Case, store: Store, now: datetime, by: str | None) -> Decision[Case]:
    """After the resolution: every clock has stopped, nothing that comes later starts one."""
    turn = Turn(case, store, now, by)
    if case.status == "closed":
        return turn.decision()
    if case.status != "resolved":
        raise Rejected("not-resolved", "A case is resolved before it is closed.")
    turn.touch()
    turn.change(status="closed", closed_at=now)
    clock.stop(turn, "closed")
    turn.say(say.CaseClosed)
    return turn.decision()


def reopen(case: Case, store: Store, now: datetime, by: str | None) -> Decision[Case]:
    """It was not over after all: a new segment of targets from now, the old results stay."""
    turn = Turn(case, store, now, by)
    if case.is_live:
        return turn.decision()
    turn.touch()
    start_segment(turn, "by_a_person")
    return turn.decision()


def start_segment(turn: Turn, reason: str) -> None:
    """Open again at level 0 with a fresh set of targets and the next generation of the ladder; the owner is paged. `reason` is a code."""
    ladder.start_again(turn)
    turn.change(level=0, segment=turn.case.segment + 1, resolved_at=None, closed_at=None, root_cause=None)
    clock.arm(turn, turn.now)
    page, how = ladder.first_page(turn)
    turn.page(say.CaseReopened, page, how, reason=reason)


def _must_be_live(case: Case) -> None:
    if not case.is_live:
        raise Rejected(f"case-{case.status}", f"The case is {case.status}; reopen it first.")
