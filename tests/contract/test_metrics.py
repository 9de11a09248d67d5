"""The metrics an operator reads: each is really set by somebody, and what dashboards and alerts name exists."""

import ast
import json
import re
from pathlib import Path

import pytest
import yaml
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


def test_dashboards_and_alerts_select_labels_that_exist() -> None:
    """Goal: no rule stays silent for a label that is never set. Method: the labels in braces and after `by` of each expression."""
    labels = {m.name: {*m.labels, "le"} for m in metrics.CATALOGUE}
    for expression in _expressions():
        for name, selected in re.findall(r"\b(amends_[a-z_]+)\{([^}]*)\}", expression):
            assert set(re.findall(r"(\w+)\s*[=!]", selected)) <= _labels_of(name, labels), expression
        named = set().union(*(_labels_of(name, labels) for name in re.findall(r"\bamends_[a-z_]+", expression)))
        for grouped in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression):
            assert {word.strip() for word in grouped.split(",")} <= named, expression


def test_alerts_have_a_runbook_that_is_there() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules) > 10
    assert not [rule["alert"] for rule in rules if not (ROOT / rule["annotations"]["runbook"]).is_file()]


def _expressions() -> list[str]:
    board = json.loads((ROOT / "deploy/grafana/amends.json").read_text("utf-8"))
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]] + [rule["expr"] for rule in rules]


def _labels_of(name: str, labels: dict[str, set[str]]) -> set[str]:
    return labels.get(name) or labels[re.sub(r"_(bucket|sum|count)$", "", name)]
