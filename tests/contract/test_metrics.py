"""The metrics an operator reads: each is really set by somebody, and what dashboards and alerts name exists."""

import ast
import re
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge, Histogram

from shared.telemetry import metrics

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
REGISTRY = ROOT / "shared/telemetry/metrics.py"
MEMBERS = {name: member for name, member in vars(metrics).items() if isinstance(member, Counter | Gauge | Histogram)}
SEEN_ELSEWHERE = sorted([*(ROOT / "deploy").glob("grafana/**/*.json"), *(ROOT / "deploy").glob("prometheus/**/*.yml")])
CHANGES = {"inc", "dec", "set", "observe", "time"}


def test_every_metric_is_set_somewhere() -> None:
    """Goal: no row of docs/METRICS.md stays at zero for want of anybody who sets it. Method: a changing call on each member."""
    changed: set[str] = set()
    for top in ("services", "shared"):
        for file in (ROOT / top).rglob("*.py"):
            if file != REGISTRY:
                changed |= _changed(ast.parse(file.read_text("utf-8")))
    assert {m.name for m in metrics.CATALOGUE} == {_name(member) for member in MEMBERS.values()}
    assert set(MEMBERS) - changed == set()


def test_no_label_is_an_id() -> None:
    labels = {label for meaning in metrics.CATALOGUE for label in meaning.labels}
    assert not {label for label in labels if label.endswith("_id") or label in ("id", "case", "location", "patient", "staff", "reference")}


@pytest.mark.parametrize("file", SEEN_ELSEWHERE, ids=lambda file: file.name)
def test_dashboards_and_alerts_name_metrics_that_exist(file: Path) -> None:
    known = {f"{m.name}{suffix}" for m in metrics.CATALOGUE for suffix in ("", "_bucket", "_sum", "_count")}
    named = set(re.findall(r"\bamends_[a-z_]+", file.read_text("utf-8")))
    assert named and named - known == set()


def _changed(tree: ast.Module) -> set[str]:
    """Members on which a changing method is called, with or without labels in between."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
            found |= {n.id for n in ast.walk(node.func.value) if isinstance(n, ast.Name)}
            found |= {n.attr for n in ast.walk(node.func.value) if isinstance(n, ast.Attribute)}
    return found & set(MEMBERS)


def _name(member: Counter | Gauge | Histogram) -> str:
    name = str(member._name)
    return f"{name}_total" if isinstance(member, Counter) else name
