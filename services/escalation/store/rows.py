"""Rows and what they are: the columns of `cases` are the fields of `Case`, so nothing of a case is lost on the way."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

import asyncpg
from pydantic import TypeAdapter

from services.escalation.domain.case import Case

NAMES: Final = tuple(field.name for field in fields(Case))
COLUMNS: Final = ", ".join(NAMES)
CASE: Final = TypeAdapter(Case)


def case_of(row: asyncpg.Record) -> Case:
    """The case of a row."""
    return CASE.validate_python(dict(row))


def columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Rows as the columns that `unnest` takes."""
    return [list(column) for column in zip(*rows, strict=True)]
