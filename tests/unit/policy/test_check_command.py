"""`amends policy check FILE`: proves a table, or prints the case that shows what is wrong with it."""

import json
from pathlib import Path

import pytest

from services.__main__ import main

pytestmark = pytest.mark.unit

SLA = Path(__file__).parents[3] / "services" / "escalation" / "policy" / "sla" / "0001.toml"


def check(file: Path, *words: str) -> int:
    """The exit code."""
    try:
        main(["policy", "check", str(file), *words])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def changed(folder: Path, old: str, new: str) -> Path:
    text = SLA.read_text()
    assert old in text
    file = folder / "draft.toml"
    file.write_text(text.replace(old, new))
    return file


def test_a_table_that_holds_is_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(SLA) == 0
    assert capsys.readouterr().out == "sla version 1 holds, in force from 2020-01-01: 3 rows, one for every case of 6 inputs.\n"
    assert check(SLA, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"table": "sla", "version": 1, "holds": True, "problems": []}


def test_a_gap_is_one_with_its_counter_example(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draft = changed(tmp_path, "severity = { from = 3 }", 'severity = { from = 3 }, channel = { not = "web" }')
    assert check(draft) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "sla version 1: no row covers incident_type = order_late, severity = 3, catalyst = late_order, channel = " in told.err
    assert check(draft, "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["holds"], len(found["problems"])) == (False, 1)


def test_two_rows_for_one_case_is_one_and_names_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(changed(tmp_path, "severity = { from = 3 }", "severity = { from = 2 }")) == 1
    assert "rows severity-2 and severity-3 both cover incident_type = order_late, severity = 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("elapsed = []", 'elapsed = ["thanks"]', "row severity-1: elapsed names targets"),
        ("[inputs]", "[input]", "it needs inputs"),
        ("version = 1", "version = 0", "it needs a version, a whole number from 1"),
    ],
)
def test_what_cannot_be_read_or_run_is_one_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, told: str
) -> None:
    assert check(changed(tmp_path, old, new)) == 1
    assert told in capsys.readouterr().err


def test_a_file_that_is_not_there_is_one_and_no_file_is_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path / "none.toml") == 1
    assert "cannot be read" in capsys.readouterr().err
    with pytest.raises(SystemExit) as misused:
        main(["policy", "check"])
    assert misused.value.code == 2
