"""Why a table decided as it did, row by row, in words a manager reads.

Called by: the pages of a decision, the policy commands.
Invariant: says what `Table.decide` does: a row is said to apply exactly when its conditions hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.policy.cells import Row, Value, say
from shared.policy.table import Table, words_of


@dataclass(frozen=True, slots=True)
class RowReport:
    """One row: whether it applies, and the conditions that hold or, if it does not apply, those that do not."""

    row: str
    applies: bool
    reasons: tuple[str, ...]
    why: str = ""

    def words(self) -> str:
        said = "; ".join(self.reasons) or "it asks for nothing"
        return f"{self.row} {'applies' if self.applies else 'does not apply'}: {said}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision taken apart: the inputs as read and a report for each row, in the table's order."""

    table: str
    version: int
    inputs: Mapping[str, Value]
    rows: tuple[RowReport, ...]

    @property
    def applied(self) -> tuple[str, ...]:
        """The rows that apply: one in a sound table, none for a human, two in a broken one."""
        return tuple(report.row for report in self.rows if report.applies)

    def text(self) -> str:
        """The whole explanation, a line for each row."""
        head = f"{self.table} version {self.version}, for {words_of(self.inputs)}:"
        lines = [report.words() for report in self.rows]
        if not self.applied:
            lines.append("no row applies: a person decides")
        elif len(self.applied) > 1:
            lines.append(f"rows {' and '.join(self.applied)} both apply: the table must be mended before it can decide")
        return "\n  ".join([head, *lines])


def explain(table: Table, inputs: Mapping[str, object]) -> Explanation:
    """Every row of the table held against the inputs.

    Raises MissingInput and BadInput as `decide` does; two rows that apply are reported, not raised.
    """
    values = table.read_inputs(inputs)
    return Explanation(table.name, table.version, values, tuple(_report(row, values) for row in table.rows))


def _report(row: Row, values: Mapping[str, Value]) -> RowReport:
    held, failed = [], []
    for name, cell in row.when.items():
        value = values[name]
        if cell.matches(value):
            held.append(f"{name} {cell.words()}" + ("" if cell.words() == f"is {say(value)}" else f" ({say(value)})"))
        else:
            failed.append(f"{name} is {say(value)}, the row asks that it {cell.words()}")
    return RowReport(row.id, not failed, tuple(failed or held), row.why)
