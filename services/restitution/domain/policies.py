"""The tables money is decided by, proven when they are loaded, and the questions asked of them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, cast

from services.restitution.domain.state import CURRENCY, SYSTEM
from shared.contracts.restitutions import Needs, PolicyDecision
from shared.kernel.money import Money, minor
from shared.policy import Match, NoRule, PolicyError, Table, check

BudgetState = Literal["within", "soft", "hard"]
Outcome = Literal["approve", "refer", "compliance"]
NAMES = ("goodwill", "requests", "authority", "mileage", "budgets")
# A date without a rate is a gap by design: it is a human's to decide.
MAY_HAVE_GAPS = frozenset({"mileage"})
COMPLIANCE = "compliance"


@dataclass(frozen=True, slots=True)
class Authority:
    """What one role may: money in minor units."""

    role: str
    limit_minor: int
    alone_up_to_minor: int
    rank: int
    reviews_compliance: bool
    may_exceed_budget: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a table decided, and what is kept of it."""

    outcome: Outcome
    why: str
    decision: PolicyDecision


@dataclass(frozen=True, slots=True)
class Policies:
    """All tables of this service, by name, and the roles' authority, lowest first."""

    tables: Mapping[str, Table]
    authority: tuple[Authority, ...]

    @classmethod
    def load(cls, texts: Mapping[str, str]) -> "Policies":
        """The tables from their TOML texts. PolicyError for one that is missing, overlaps, or has a gap where none may be."""
        missing = [name for name in NAMES if name not in texts]
        if missing:
            raise PolicyError(f"no policy {missing[0]}")
        tables = {name: Table.load(texts[name]) for name in NAMES}
        for name, table in tables.items():
            problems = faults(table)
            if problems:
                raise PolicyError(f"policy {name}: {'; '.join(problems)}")
        roles = [_authority(tables["authority"], role) for role in tables["authority"].inputs["role"].values]
        return cls(tables, tuple(sorted(roles, key=lambda entry: entry.rank)))

    def of(self, role: str | None) -> Authority | None:
        """What a role may; None for a role that the table does not know."""
        return next((entry for entry in self.authority if entry.role == role), None)

    def rate(self, on: date, basis: str = "business") -> Decimal | None:
        """Cents a mile on the date of a trip, None where no row covers it."""
        return _rate(self.tables["mileage"], basis, on)

    def rates_end(self, basis: str = "business") -> date | None:
        """The last date with a known rate."""
        ends = [row.when["on"].high for row in self.tables["mileage"].rows if basis in row.when["basis"].values]  # type: ignore[attr-defined]
        return max(ends, default=None)

    def budget(self, month_total_minor: int) -> BudgetState:
        """Where a store's month stands at this total of reserved and posted. PolicyError where no row says."""
        found = self.tables["budgets"].decide({"month_total": _major(month_total_minor)})
        if isinstance(found, NoRule):
            raise PolicyError(found.words())
        return cast("BudgetState", found.outputs["state"])

    def verdict(self, table: str, inputs: Mapping[str, object], **cited: str) -> Verdict:
        """What the table says of these inputs; `cited` is kept beside them for whoever checks. Without a rule a person decides."""
        found = self.tables[table].decide(inputs)
        record = found.record()
        kept = {name: _text(value) for name, value in record["inputs"].items()} | cited
        decision = PolicyDecision(table=table, version=found.version, row=record["row"] or "no-rule", inputs=kept)
        if isinstance(found, NoRule):
            return Verdict("refer", found.words(), decision)
        return Verdict(cast("Outcome", found.outputs["outcome"]), found.why, decision)

    def needs(self, amount_minor: int, *, outcome: Outcome, over_budget: bool = False, absent: Collection[str] = ()) -> Needs:
        """The lowest role of people whose authority covers the amount, and how many people.

        `absent`: roles that nobody but the requester has here; the request goes one level up. What no limit covers goes to the top,
        who cannot exceed theirs either.
        """
        people = [entry for entry in self.authority if entry.role not in (SYSTEM, COMPLIANCE)]
        if outcome == COMPLIANCE:
            return Needs(role=COMPLIANCE, approvals=self.approvals(COMPLIANCE, amount_minor))
        able = [
            entry
            for entry in people
            if entry.limit_minor >= max(amount_minor, 1) and entry.role not in absent and (entry.may_exceed_budget or not over_budget)
        ]
        role = (able or people[-1:])[0].role
        return Needs(role=role, approvals=self.approvals(role, amount_minor))

    def approvals(self, role: str, amount_minor: int) -> int:
        """How many different people of this authority the amount needs."""
        authority = self.of(role)
        return 2 if authority is not None and amount_minor > authority.alone_up_to_minor else 1

    def system_may(self, amount_minor: int) -> bool:
        """Whether the system itself may approve the amount."""
        system = self.of(SYSTEM)
        return system is not None and amount_minor <= system.limit_minor


def faults(table: Table) -> list[str]:
    """Why a table may not be used, one sentence each: overlaps, rows that never apply, gaps where none may be."""
    proof = check(table)
    found = [overlap.words() for overlap in proof.overlaps] + [f"row {row} can never apply" for row in proof.unreachable]
    return found if table.name in MAY_HAVE_GAPS else found + [gap.words() for gap in proof.gaps]


def money(amount_minor: int) -> str:
    """An amount for people."""
    return str(Money(amount_minor, CURRENCY))


@lru_cache(maxsize=1024)
def _rate(mileage: Table, basis: str, on: date) -> Decimal | None:
    """Many trips are of the same few days; a table is what it is by its identity and never changes."""
    if not mileage.inputs["on"].holds(on):
        return None
    found = mileage.decide({"basis": basis, "on": on})
    return cast("Decimal", found.outputs["cents_per_mile"]) if isinstance(found, Match) else None


def _authority(table: Table, role: str) -> Authority:
    found = table.decide({"role": role})
    if isinstance(found, NoRule):
        raise PolicyError(found.words())
    out: Mapping[str, Any] = found.outputs
    return Authority(
        role, minor(out["limit"], CURRENCY), minor(out["alone_up_to"], CURRENCY), out["rank"], out["reviews_compliance"],
        out["may_exceed_budget"],
    )  # fmt: skip


def _major(amount_minor: int) -> Decimal:
    return Decimal(max(amount_minor, 0)).scaleb(-2)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unknown" if value is None else str(value)
