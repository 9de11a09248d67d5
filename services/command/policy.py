"""`amends policy …`: decision tables as files, before they are put in force."""

import json
from pathlib import Path
from typing import Final

from cyclopts import App

from services.command.door import AsJson, Failed, app, say
from services.escalation.domain import plan, promises
from shared.policy import PolicyError, Table, check

policy = App(name="policy", help="Decision tables: proved before they are put in force.")
app.command(policy)
# What a table must keep beyond its own format, by its name.
FURTHER: Final = {"sla": plan.mistakes, "promises": promises.mistakes}


@policy.command(name="check")
def policy_check(file: Path, /, *, as_json: AsJson = False) -> None:
    """Prove that a table has exactly one row for every case, or show a case that has none or two.

    Parameters
    ----------
    file
        The table, as TOML.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise Failed(f"{file} cannot be read ({fault}).") from fault
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
