"""Decision tables: policy as rows that a manager can read, a machine can prove and a decision can cite.

Owns: the table format (TOML, see `table.Table.load`), deciding, the proof of no gap and no overlap, explanations.
Called by: the domains of intake, escalation and restitution; the pages and commands that publish policies.
Invariant: hit policy UNIQUE. Of all inputs a table allows, one row applies or the answer is an explicit `NoRule` for a human;
two rows are an error that names both, a missing input is an error, and numbers are int or Decimal, never binary fractions. Versions of a
table stand side by side, each in force from its date until the next one's.
"""

from shared.policy.cells import BadInput, BadTable, MissingInput, PolicyError, Row
from shared.policy.explain import Explanation, RowReport, explain
from shared.policy.proof import Gap, Overlap, Proof, check
from shared.policy.table import Match, NoRule, Table, TwoRules, decide
from shared.policy.versions import NoneInForce, Versions

__all__ = [
    "BadInput",
    "BadTable",
    "Explanation",
    "Gap",
    "Match",
    "MissingInput",
    "NoRule",
    "NoneInForce",
    "Overlap",
    "PolicyError",
    "Proof",
    "Row",
    "RowReport",
    "Table",
    "TwoRules",
    "Versions",
    "check",
    "decide",
    "explain",
]
