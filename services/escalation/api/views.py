"""A case as the contract spells it."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from services.escalation.domain import clock, promises
from services.escalation.domain.case import Case, Promise, told
from services.escalation.domain.steps import Step
from services.escalation.store import Tally
from services.escalation.usecases import CaseView, Clock, WholeCase

CONTACT_PROMISE = "A person will be in touch."


def case_body(view: CaseView) -> dict[str, Any]:
    """The object of `GET /v1/cases/{id}`, which every command answers with too."""
    case = view.case
    first = clock.shown_first(case)
    return {
        "id": case.case_id,
        "reference": case.reference,
        "status": case.status,
        "level": case.level,
        "severity": case.severity,
        "catalyst": case.catalyst,
        "location_id": case.location_id,
        "region": case.region,
        "patient_ref": case.patient_ref,
        "root_order_id": case.root_order_id,
        "payer_class": case.payer_class,
        "owner": {"staff_id": case.owner_staff_id} if case.owner_staff_id else None,
        "incidents": case.incidents,
        "opened_at": case.opened_at,
        "policy": {"name": case.plan.name, "version": case.plan.version},
        "decision": case.plan.decision,
        "severity_decision": case.plan.severity_decision,
        "story": {
            "confirmed": case.story_confirmed,
            "verbatim": view.story.verbatim,
            "wished_outcome": view.story.wished_outcome,
        },
        "targets": [target.model_dump() for target in told(case)],
        "next": {"milestone": first.milestone, "due_at": first.due_at} if first else None,
        "promises": [*_contact(case), *(_promise(case, one) for one in case.promises)],
        "acknowledged_by": case.acknowledged_by,
        "acknowledgement_expires_at": case.expires_at,
        "paused": {"reason": case.paused_reason, "since": case.paused_at, "until": case.paused_until} if case.paused_reason else None,
        "root_cause": case.root_cause,
        "resolved_at": case.resolved_at,
        "closed_at": case.closed_at,
        "version": case.version,
    }


def whole_body(whole: WholeCase) -> dict[str, Any]:
    """One case, with what staff wrote."""
    return case_body(whole.view) | {
        "notes": [{"kind": note.field, "text": note.text, "at": note.at, "by": note.by} for note in whole.notes]
    }


def clock_body(told_clock: Clock) -> dict[str, Any]:
    """The clock of a case: what was promised, what became of it, in words."""
    case = told_clock.case
    return {
        "case_id": case.case_id,
        "reference": case.reference,
        "timezone": told_clock.timezone,
        "now": told_clock.now,
        "patient_clock_seconds": told_clock.patient_seconds,
        "policy": {"name": case.plan.name, "version": case.plan.version},
        "decision": case.plan.decision,
        "severity_decision": case.plan.severity_decision,
        "warnings": {
            "percents": list(case.plan.warn_percents),
            "minutes_before": [seconds // 60 for seconds in case.plan.warn_before_seconds],
        },
        "pauses": [{"reason": pause.reason, "from": pause.starts_at, "to": pause.ends_at} for pause in case.pauses],
        "next_step_at": case.step_due_at,
        "ladder": _ladder(case, told_clock.steps),
        "targets": [
            {
                "milestone": line.target.milestone,
                "goal": line.goal,
                "segment": line.target.segment,
                "state": line.target.state,
                "starts_at": line.target.starts_at,
                "counts": "elapsed" if line.target.is_elapsed else "open",
                "open_seconds": None if line.target.is_elapsed else line.target.open_seconds,
                "seconds": line.target.open_seconds,
                "round": line.target.round or None,
                "missed": line.target.missed,
                "due_at": line.target.due_at,
                "met_at": line.target.met_at,
                "breached_at": line.target.breached_at,
                "elapsed_seconds": line.elapsed_seconds,
                "elapsed_percent": line.elapsed_percent,
                "counted_seconds": line.apart.counted_seconds,
                "paused_seconds": line.apart.paused_seconds,
                "summary": line.summary,
                "stretches": [
                    {
                        "from": part.starts_at,
                        "to": part.ends_at,
                        "kind": part.kind,
                        "seconds": part.seconds,
                        "total_seconds": part.total_seconds,
                        "words": part.words,
                    }
                    for part in line.apart.stretches
                ],
                "is_whole": line.apart.is_whole,
                "history": [{"at": row.at, "what": row.what, "words": row.words} for row in line.history],
            }
            for line in told_clock.targets
        ],
    }


def _ladder(case: Case, steps: Sequence[Step]) -> dict[str, Any]:
    """The ladder as a list: what was paged, what comes next and then; `people` are those paged then, or who would be paged now."""
    taken = {"at": case.acknowledged_at, "by": case.acknowledged_by, "expires_at": case.expires_at}
    return {
        "name": case.plan.ladder.name,
        "version": case.plan.ladder.version,
        "generation": case.generation,
        "is_asleep": case.is_asleep,
        "acknowledged": taken if case.status == "acknowledged" else None,
        "steps": [
            {
                "state": step.state,
                "what": step.what,
                "level": step.rule.level if step.rule else None,
                "rung": step.rung,
                "repeat": step.repeat,
                "generation": step.generation,
                "who": list(step.rule.who) if step.rule else [],
                "otherwise": list(step.rule.otherwise) if step.rule else [],
                "hours": step.rule.hours if step.rule else None,
                "people": list(step.people),
                "how": list(step.how),
                "due_at": step.due_at,
                "at": step.at,
                "repeats": _repeats(case, step),
                "acknowledged": {"at": step.taken.at, "by": step.taken.by} if step.taken else None,
            }
            for step in steps
        ],
    }


def _repeats(case: Case, step: Step) -> dict[str, Any] | None:
    """How often a rung is paged again and how far apart, in seconds of its hours; `times` null: until somebody takes the case."""
    if step.rule is None or step.rule.repeats == 0:
        return None
    return {"times": step.rule.repeats, "every_seconds": step.rule.repeat_seconds or case.plan.repeat_seconds}


def _contact(case: Case) -> list[dict[str, Any]]:
    """What the patient was told when the case was opened: by when a person is in touch. Whatever was planned later, that is what counts."""
    contact = next((target for target in case.targets if target.milestone == "contact"), None)
    if contact is None:
        return []
    is_over = contact.met_at is not None
    kept = is_over and contact.met_at is not None and contact.met_at < case.promised_contact_by
    missed = (is_over and not kept) or contact.state == "breached"
    state = "kept" if kept else "late" if missed else "open"
    return [{"what": CONTACT_PROMISE, "promised_by": case.promised_contact_by, "state": state}]


def _promise(case: Case, one: Promise) -> dict[str, Any]:
    """What was promised since; `because` says why it is for when it is."""
    return {
        "number": one.number,
        "what": one.what,
        "promised_by": one.promised_by,
        "state": one.state,
        "aim_by": one.aim_by,
        "estimate_at": one.basis.estimate_at,
        "made_at": one.made_at,
        "was_by": one.was_by,
        "fulfilled_at": one.fulfilled_at,
        "because": promises.because(case, one),
        "policy": {"name": "promises", "version": one.basis.version, "row": one.basis.row},
    }


def kept_body(location_id: str, month: date, found: Sequence[Tally]) -> dict[str, Any]:
    """What became of a store's promises in a month, in all and by kind."""
    return {
        "location_id": location_id,
        "month": f"{month:%Y-%m}",
        **_counts(found),
        "by_what": [{"what": one.what, **_counts([one])} for one in found],
    }


def _counts(found: Sequence[Tally]) -> dict[str, Any]:
    """Sums, and how many of a hundred that came to an end were kept (early ones too), floored; None while none has."""
    sums = {name: sum(getattr(one, name) for one in found) for name in ("made", "kept", "early", "late", "moved")}
    good, ended = sums["kept"] + sums["early"], sums["kept"] + sums["early"] + sums["late"]
    return sums | {"kept_percent": good * 100 // ended if ended else None}
