"""The versions of one table side by side, and which is in force on a day.

Called by: the domains that decide by the version of a day, the command that proves a file.
Invariant: a later date has a higher version, so that "the newest in force" and "the one that says so" are the same; every version is
proved whole when it is loaded, so what is in force has an answer for every input.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Self

from shared.policy.cells import BadTable, PolicyError
from shared.policy.proof import check
from shared.policy.table import Table


class NoneInForce(PolicyError):
    """A day lies before the first version of a table."""

    def __init__(self, versions: "Versions", on: date) -> None:
        first = versions.tables[0]
        super().__init__(
            f"table {versions.name}: no version is in force on {on}; the first, version {first.version}, begins on {first.effective_from}"
        )
        self.name, self.on = versions.name, on


@dataclass(frozen=True, slots=True, eq=False)
class Versions:
    """All versions of a table that are known, the oldest first. Build it with `load`."""

    name: str
    tables: tuple[Table, ...]

    @classmethod
    def load(cls, name: str, texts: Iterable[str]) -> Self:
        """From the TOML text of each version, in any order.

        Raises BadTable where one cannot be read, leaves a gap or has two rows for one case (with the counter-example), is called
        otherwise or lacks its date, and where two versions or their dates are in each other's way.
        """
        tables = sorted((Table.load(text) for text in texts), key=lambda table: table.version)
        problems = [] if tables else ["there is no version of it"]
        for table in tables:
            proof = check(table)
            problems += [f"version {table.version}: {sentence}" for sentence in proof.sentences()]
            if table.name != name:
                problems.append(f"version {table.version} is called {table.name}")
            if table.effective_from is None:
                problems.append(f"version {table.version} needs the date it begins on (effective_from = 2026-01-01)")
        for older, newer in pairwise(tables):
            if older.version == newer.version:
                problems.append(f"version {older.version} is there twice")
            elif older.effective_from and newer.effective_from and older.effective_from >= newer.effective_from:
                problems.append(f"version {newer.version} begins on {newer.effective_from}, which is not after version {older.version}")
        if problems:
            raise BadTable(name, problems)
        return cls(name, tuple(tables))

    def in_force(self, on: date) -> Table:
        """The version of a day: the last that has begun. Raises NoneInForce."""
        for table in reversed(self.tables):
            if table.effective_from is not None and table.effective_from <= on:
                return table
        raise NoneInForce(self, on)
