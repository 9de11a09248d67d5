"""`amends policy …`: decision tables and ladders as files, before they are put in force."""

import json
import tomllib
from pathlib import Path
from typing import Any, Final

from cyclopts import App

import services.escalation
from services.command.door import AsJson, Failed, app, say
from services.escalation.domain import plan, promises, rungs
from shared.policy import BadTable, PolicyError, Table, Versions, check

policy = App(name="policy", help="Decision tables: proved before they are put in force.")
app.command(policy)
# What a table must keep beyond its own format, by its name.
FURTHER: Final = {"sla": plan.mistakes, "promises": promises.mistakes}
LADDER: Final = "ladder"
SHIPPED: Final = Path(services.escalation.__file__).parent / "policy"


@policy.command(name="check")
def policy_check(file: Path, /, *, as_json: AsJson = False) -> None:
    """Prove that a table has exactly one row for every case, or show a case that has none or two; that a ladder can be climbed.

    Parameters
    ----------
    file
        The table or the ladder, as TOML.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise Failed(f"{file} cannot be read ({fault}).") from fault
    if _name_of(text) == LADDER:
        _check_ladder(text, as_json)
        return
    try:
        table = Table.load(text)
        proof = check(table)
    except PolicyError as fault:
        raise Failed(str(fault)) from fault
    problems = [*proof.sentences(), *FURTHER.get(table.name, lambda _: ())(table)]
    if as_json:
        found = {"table": table.name, "version": table.version, "holds": not problems, "problems": problems}
        print(json.dumps(found))  # noqa: T201
    if problems:
        raise Failed("\n".join(f"{table.name} version {table.version}: {problem}" for problem in problems))
    if not as_json:
        begins = f", in force from {table.effective_from}" if table.effective_from else ""
        say(
            f"{table.name} version {table.version} holds{begins}: {len(table.rows)} rows, one for every case of {len(table.inputs)} inputs."
        )


def _name_of(text: str) -> Any:
    """What a file says it is; None where it cannot be read, which the reader of tables tells in its own words."""
    try:
        return tomllib.loads(text).get("name")
    except (tomllib.TOMLDecodeError, RecursionError):
        return None


def _check_ladder(text: str, as_json: bool) -> None:
    """A ladder has a rung to climb to for each severity that the shipped tables know."""
    severities = {
        row.then["severity"]
        for table in Versions.load("severity", [file.read_text("utf-8") for file in (SHIPPED / "severity").glob("*.toml")]).tables
        for row in table.rows
    }
    version, problems = tomllib.loads(text).get("version"), tuple[str, ...]()
    try:
        rungs.load([text], severities)
    except BadTable as fault:
        problems = fault.problems
    if as_json:
        print(json.dumps({"table": LADDER, "version": version, "holds": not problems, "problems": list(problems)}))  # noqa: T201
    if problems:
        raise Failed("\n".join(f"{LADDER} version {version}: {problem}" for problem in problems))
    if not as_json:
        since = tomllib.loads(text)["effective_from"]
        say(
            f"{LADDER} version {version} holds, in force from {since}: one ladder for every severity, each up to whom it calls until taken."
        )
