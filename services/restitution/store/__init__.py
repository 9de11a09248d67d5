"""How restitution keeps what it knows. Sets in, sets out; whoever needs several locks takes them in this order: cases, restitutions,
trips, budgets; within each by id."""

from services.restitution.store.books import budgets_of, ledger_of, lock_budgets, lock_patient
from services.restitution.store.books import save as save_books
from services.restitution.store.payouts import find_code, issue_code, void_codes
from services.restitution.store.rows import (
    PAYING,
    case_of,
    cases_of,
    decided_trips,
    gifts_minor,
    keep_cases,
    keep_trips,
    lock,
    lock_approved,
    lock_cases,
    newest,
    of_case,
    one,
    save,
    standing,
    whose,
)

__all__ = [
    "PAYING",
    "budgets_of",
    "case_of",
    "cases_of",
    "decided_trips",
    "find_code",
    "gifts_minor",
    "issue_code",
    "keep_cases",
    "keep_trips",
    "ledger_of",
    "lock",
    "lock_approved",
    "lock_budgets",
    "lock_cases",
    "lock_patient",
    "newest",
    "of_case",
    "one",
    "save",
    "save_books",
    "standing",
    "void_codes",
    "whose",
]
