"""Every line the code logs: a sentence that stands in the code, and fields that are on the allow-list."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.telemetry.logs import FIELDS

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
METHODS = {"debug", "info", "warning", "error", "exception", "critical"}


def test_each_line_is_a_literal_with_listed_fields() -> None:
    """Goal: no sentence is put together from data, and no field is dropped unnoticed. Method: the arguments of every logging call."""
    wrong, seen = [], 0
    for top in ("services", "shared"):
        for file in sorted((ROOT / top).rglob("*.py")):
            for call in _calls(ast.parse(file.read_text("utf-8"))):
                seen += 1
                place = f"{file.relative_to(ROOT)}:{call.lineno}"
                if len(call.args) != 1 or not isinstance(call.args[0], ast.Constant):
                    wrong.append(f"{place} says what is not one literal")
                # `**place` is a dict of the caller's; what it holds is checked at run time.
                named = {keyword.arg for keyword in call.keywords if keyword.arg is not None} - {"exc_info"}
                wrong += [f"{place} gives {name}, which is dropped" for name in sorted(named - FIELDS)]
                wrong += [f"{place} gives trace, which is an exception's" for name in named & {"trace"}]
    assert seen > 10
    assert wrong == []


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            holder = node.func.value
            name = holder.attr if isinstance(holder, ast.Attribute) else getattr(holder, "id", "")
            if name in ("log", "_log"):
                yield node
