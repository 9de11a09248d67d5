"""Severity and SLA plan by decision tables. The tables are proved whole when they are loaded, so that no incident falls into a gap."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from services.escalation.domain.case import Plan
from shared.contracts.incidents import Incident
from shared.policy import BadTable, Match, Table, check

REPEATS_MAX = 1000
MINUTE = 60
DAY = 86_400


@dataclass(frozen=True)
class Policies:
    """The three tables a case is planned by. Build with `load`."""

    severity: Table
    sla: Table
    pauses: Table

    @classmethod
    def load(cls, severity: str, sla: str, pauses: str) -> Self:
        """From their TOML texts. Raises BadTable with the counter-example where a table leaves a gap or two rows apply."""
        policies = cls(*(_proved(Table.load(text)) for text in (severity, sla, pauses)))
        if not policies._plans:
            raise BadTable(policies.severity.name, ["it names no severity"])
        return policies

    def plan_for(self, incident: Incident) -> Plan:
        """The plan this incident alone would give a case."""
        facts = {
            "incident_type": incident.incident_type,
            "is_dispute": incident.is_dispute,
            "repeat_count": min(max(incident.repeat_count, 1), REPEATS_MAX),
        }
        return self._plans[_only(self.severity, facts).outputs["severity"]]

    @cached_property
    def _plans(self) -> dict[int, Plan]:
        levels = {row.then["severity"] for row in self.severity.rows}
        return {level: self._plan(level) for level in levels}

    def _plan(self, severity: int) -> Plan:
        told = _only(self.sla, {"severity": severity}).outputs
        budgets = {reason: _only(self.pauses, {"reason": reason}) for reason in self.pauses.inputs["reason"].values}
        return Plan(
            name=self.sla.name,
            version=self.sla.version,
            severity=severity,
            seconds={
                "acknowledge": told["acknowledge_minutes"] * MINUTE,
                "contact": told["contact_minutes"] * MINUTE,
                "action": told["action_minutes"] * MINUTE,
                "resolve": told["resolve_minutes"] * MINUTE,
            },
            warn_percents=tuple(told["warn_percents"]),
            step_seconds=told["region_after_minutes"] * MINUTE,
            repeat_seconds=told["repeat_after_minutes"] * MINUTE,
            expiry_seconds=told["acknowledgement_expires_after_minutes"] * MINUTE,
            silent_seconds=told["silent_after_days"] * DAY,
            pause_budgets={reason: match.outputs["budget_minutes"] * MINUTE for reason, match in budgets.items()},
        )


def _proved(table: Table) -> Table:
    proof = check(table)
    if not proof.holds:
        raise BadTable(table.name, proof.sentences())
    return table


def _only(table: Table, inputs: Mapping[str, object]) -> Match:
    found = table.decide(inputs)
    if not isinstance(found, Match):
        raise AssertionError(f"{table.name} was proved whole, yet {found.words()}")
    return found
