"""I1: every acknowledged event is stored once, and what was asked and answered did happen."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from tests.chaos.checks.finding import Finding
from tests.chaos.record import Done

Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Events:
    """`acknowledged`, `refused` and `done` are the world's record; the rest is what the services have.

    `incidents`: what intake told, with the case it heard of; `attached`: what escalation has, with its case; `happened`: how often each
    kind of event by a person is in a case's history.
    """

    acknowledged: Mapping[Name, int] = field(default_factory=dict)
    refused: Sequence[str] = ()
    done: Sequence[Done] = ()
    stored: Mapping[Name, int] = field(default_factory=dict)
    incidents: Mapping[UUID, UUID | None] = field(default_factory=dict)
    attached: Mapping[UUID, UUID] = field(default_factory=dict)
    happened: Mapping[tuple[str, str], int] = field(default_factory=dict)


# A command that was answered with 200 to the event that it leaves in the case's history, however often it was repeated.
LEAVES = {
    "acknowledge": "amends.case.acknowledged",
    "story": "amends.case.story_confirmed",
    "resolve": "amends.case.resolved",
    "close": "amends.case.closed",
}


def stored_once(seen: Events) -> Iterator[Finding]:
    """Each event that was answered with 202 has one row, and there is none that nobody sent."""
    for name, times in seen.acknowledged.items():
        if (rows := seen.stored.get(name, 0)) != 1:
            yield Finding("I1", "stored_once", f"{name[0]} {name[1]} was acknowledged {times} times and has {rows} rows")
    for name in seen.stored.keys() - seen.acknowledged.keys():
        yield Finding("I1", "stored_once", f"{name[0]} {name[1]} is stored and was never acknowledged")


def none_refused(seen: Events) -> Iterator[Finding]:
    """Nothing in a storm deserves a refusal."""
    for what in seen.refused:
        yield Finding("I1", "none_refused", what)


def every_incident_has_its_case(seen: Events) -> Iterator[Finding]:
    """What intake told is attached to one case, and intake has heard of it."""
    for incident, heard in seen.incidents.items():
        case = seen.attached.get(incident)
        if case is None:
            yield Finding("I1", "every_incident_has_its_case", f"incident {incident} is attached to no case")
        elif heard != case:
            yield Finding("I1", "every_incident_has_its_case", f"incident {incident} is attached to {case}, intake says {heard}")
    for incident in seen.attached.keys() - seen.incidents.keys():
        yield Finding("I1", "every_incident_has_its_case", f"incident {incident} was never told by intake")


def every_command_happened(seen: Events) -> Iterator[Finding]:
    """A command that was answered with 200 has left its event; each recorded action its own."""
    for what, case in {(d.what, d.subject) for d in seen.done if d.what in LEAVES}:
        if not seen.happened.get((case, LEAVES[what])):
            yield Finding("I1", "every_command_happened", f"{what} of {case} was answered and left nothing")
    for case, times in Counter(d.subject for d in seen.done if d.what == "actions").items():
        if (found := seen.happened.get((case, "amends.case.action_recorded"), 0)) < times:
            yield Finding("I1", "every_command_happened", f"{times} actions on {case} were answered, {found} are recorded")
