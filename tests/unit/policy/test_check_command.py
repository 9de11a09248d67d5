"""`amends policy check FILE`: proves a table, or prints the case that shows what is wrong with it."""

import json
from pathlib import Path

import pytest

from services.__main__ import main

pytestmark = pytest.mark.unit

SLA = Path(__file__).parents[3] / "services" / "escalation" / "policy" / "sla" / "0001.toml"


LADDER = SLA.parents[1] / "ladder" / "0001.toml"


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


def test_a_ladder_that_can_be_climbed_is_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(LADDER) == 0
    assert capsys.readouterr().out.startswith("ladder version 1 holds, in force from 2020-01-01: one ladder for every severity")
    assert check(LADDER, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"table": "ladder", "version": 1, "holds": True, "problems": []}


def test_a_bad_ladder_is_one_with_all_its_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draft = tmp_path / "ladder.toml"
    draft.write_text(LADDER.read_text().replace("severities = [1, 2, 3]", "severities = [1, 2]").replace('"managers"]', '"boss"]', 1))
    assert check(draft) == 1
    told = capsys.readouterr()
    assert told.out == "" and "ladder version 1: severity 3 has no ladder" in told.err and "nobody is called 'boss'" in told.err
    assert check(draft, "--json") == 1
    assert len(json.loads(capsys.readouterr().out)["problems"]) == 2


def test_a_ladder_without_a_version_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draft = tmp_path / "ladder.toml"
    draft.write_text('name = "ladder"\n')
    assert check(draft) == 1
    assert "it has a name" in capsys.readouterr().err
