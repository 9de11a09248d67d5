"""Severity, SLA plan and ladder, each with its versions: a case is planned by those in force on the day it was opened. And promises, by the
day they are made on.

Invariant: every version is proved whole when it is loaded and one is in force from then on, so that no incident falls into a gap.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from typing import Any, Final, Self, get_args

from services.escalation.domain import rungs
from services.escalation.domain.case import Plan
from services.escalation.domain.promises.rules import Rule, rule_of
from services.escalation.domain.promises.rules import mistakes as promise_mistakes
from services.escalation.domain.rungs import Ladder, Ladders
from shared.contracts.cases import Milestone, PromiseKind
from shared.contracts.incidents import Incident, IncidentType
from shared.contracts.ingress import Catalyst, Channel
from shared.contracts.patients import PayerClass
from shared.policy import BadTable, Match, Table, Versions

TABLES: Final = ("severity", "sla", "pauses", "promises")
POLICIES: Final = (*TABLES, "ladder")
MILESTONES: Final[tuple[Milestone, ...]] = get_args(Milestone)
MAY_BE_LEFT_OUT: Final = ("action", "update")
REPEATS_MAX = 1000
# A plan is a few kilobytes; incidents are of a few kinds.
PLANS_KEPT: Final = 512
MINUTE = 60
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Facts:
    """What of an incident a case is planned by. Kept beside the incident, so that the tables of a later day can be asked again."""

    incident_type: IncidentType
    is_dispute: bool
    repeat_count: int
    catalyst: Catalyst
    channel: Channel | None
    payer: PayerClass

    @classmethod
    def of(cls, incident: Incident) -> Self:
        """Those of one incident."""
        repeats = min(max(incident.repeat_count, 1), REPEATS_MAX)
        return cls(incident.incident_type, incident.is_dispute, repeats, incident.catalyst, incident.channel, incident.payer_class)


@dataclass(frozen=True, eq=False)
class Policies:
    """The tables a case is planned by, once read never changed. Build with `load`."""

    severity: Versions
    sla: Versions
    pauses: Versions
    promises: Versions
    ladders: Ladders

    @classmethod
    def load(cls, texts: Mapping[str, Sequence[str]], since: date) -> Self:
        """From the TOML texts of each table's versions. `since` is the earliest day that a case may be opened on from now.

        Raises BadTable, with the counter-example where a table leaves a gap or two rows apply, and NoneInForce where no version has begun.
        """
        tables = [Versions.load(name, texts.get(name, ())) for name in TABLES]
        levels = {row.then["severity"] for table in tables[0].tables for row in table.rows}
        policies = cls(tables[0], tables[1], tables[2], tables[3], rungs.load(texts.get("ladder", ()), levels))
        for table in policies.sla.tables:
            if problems := list(mistakes(table)):
                raise BadTable(table.name, problems)
        for table in policies.promises.tables:
            if problems := list(promise_mistakes(table)):
                raise BadTable(table.name, problems)
        for versions in (policies.severity, policies.sla, policies.pauses, policies.promises):
            versions.in_force(since)
        policies.ladders.in_force(since)
        return policies

    def plan_for(self, facts: Facts, on: date) -> Plan:
        """The plan that these facts alone would give a case opened on a day of its store."""
        return _planned(self, facts, on)

    def promise_rule(self, what: PromiseKind, on: date) -> Rule:
        """What the policy of a day says of a kind of promise."""
        return rule_of(_only(self.promises.in_force(on), {"what": what}))

    def plan_by_worst(self, found: Sequence[Facts], on: date) -> Plan:
        """The plan of a case with all these incidents, the first one first: the worst decides, the earlier one among equals."""
        return min((self.plan_for(facts, on) for facts in found), key=lambda plan: plan.severity)


@lru_cache(maxsize=PLANS_KEPT)
def _planned(policies: Policies, facts: Facts, on: date) -> Plan:
    """What `Policies.plan_for` says. The tables of one process never change, so equal facts of a day are asked once."""
    severity = _only(
        policies.severity.in_force(on), {name: getattr(facts, name) for name in ("incident_type", "is_dispute", "repeat_count")}
    )
    asked = {
        "incident_type": facts.incident_type,
        "severity": severity.outputs["severity"],
        "catalyst": facts.catalyst,
        "channel": facts.channel,
        "payer": facts.payer,
        "repeat_count": facts.repeat_count,
    }
    ladder = policies.ladders.in_force(on)[severity.outputs["severity"]]
    return _plan(_only(policies.sla.in_force(on), asked), severity, _budgets(policies.pauses.in_force(on)), ladder)


def _plan(sla: Match, severity: Match, budgets: dict[str, int], ladder: Ladder) -> Plan:
    told = sla.outputs
    return Plan(
        name=sla.table,
        version=sla.version,
        severity=severity.outputs["severity"],
        seconds={name: minutes * MINUTE for name in MILESTONES if (minutes := told[f"{name}_minutes"])},
        warn_percents=tuple(told["warn_percents"]),
        step_seconds=told["region_after_minutes"] * MINUTE,
        repeat_seconds=told["repeat_after_minutes"] * MINUTE,
        expiry_seconds=told["acknowledgement_expires_after_minutes"] * MINUTE,
        silent_seconds=told["silent_after_days"] * DAY,
        pause_budgets=budgets,
        warn_before_seconds=tuple(sorted((minutes * MINUTE for minutes in told["warn_minutes_before"]), reverse=True)),
        elapsed=tuple(told["elapsed"]),
        decision=sla.record(),
        severity_decision=severity.record(),
        ladder=ladder,
    )


@cache
def _budgets(pauses: Table) -> dict[str, int]:
    reasons = pauses.inputs["reason"].values
    return {reason: _only(pauses, {"reason": reason}).outputs["budget_minutes"] * MINUTE for reason in reasons}


def mistakes(sla: Table) -> Iterator[str]:
    """What the table's format cannot refuse and a clock cannot do."""
    for row in sla.rows:
        then: Mapping[str, Any] = row.then
        for name in MILESTONES:
            least = 0 if name in MAY_BE_LEFT_OUT else 1
            if then[f"{name}_minutes"] < least:
                yield f"row {row.id}: {name}_minutes is at least {least}"
        percents, minutes = then["warn_percents"], then["warn_minutes_before"]
        if not all(isinstance(percent, int) and 0 < percent < 100 for percent in percents) or list(percents) != sorted(set(percents)):
            yield f"row {row.id}: warn_percents are whole numbers from 1 to 99, each higher than the one before"
        if not all(isinstance(count, int) and count > 0 for count in minutes) or len(set(minutes)) < len(minutes):
            yield f"row {row.id}: warn_minutes_before are whole numbers from 1, each once"
        if not set(then["elapsed"]) <= set(MILESTONES):
            yield f"row {row.id}: elapsed names targets, of {', '.join(MILESTONES)}"


def _only(table: Table, inputs: Mapping[str, object]) -> Match:
    found = table.decide(inputs)
    if not isinstance(found, Match):
        raise AssertionError(f"{table.name} was proved whole, yet {found.words()}")
    return found
