"""`amends doctor`: is everything as it must be, and what is to be done where it is not.

Beside a running `amends up` or on the servers that the settings name; it changes nothing and texts nobody. To add a check: a function
`async def name(around: Around) -> list[Finding]` in one of the modules here, and its name in `CHECKS`. What a check raises because a
server is away becomes its finding; a check has `CHECK_SECONDS`.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Final

from aiokafka.errors import KafkaError

from services.command.doctor import outside, servers, standing
from services.command.doctor.finding import Around, Check, Finding, failed, ok
from services.command.door import DEFAULT_DATA, AsJson, Data, Failed, app, run, say
from services.command.place import Lacking, Place, beside
from shared.db import DATABASE_DOWN, REFUSED
from shared.embedded import EmbeddedError
from shared.settings import SettingsError, read
from shared.telemetry import logs

CHECK_SECONDS: Final = 20.0
CHECKS: Final[tuple[Check, ...]] = (
    servers.broker,
    servers.databases,
    servers.processes,
    servers.clocks,
    outside.provider,
    outside.address,
    outside.keys,
    outside.exporter,
    outside.mileage,
    standing.parked,
    standing.uncertain,
    standing.people,
)
MARKS: Final = {"ok": "ok     ", "warning": "warning", "failed": "FAILED "}


@app.command
def doctor(*, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Look at everything Amends needs, and say what to do where something is wrong. Exit 1 where something failed."""

    async def work() -> None:
        # What goes wrong is told as a finding, not by the libraries that met it.
        logs.configure(level="CRITICAL")
        found = await examine(data)
        bad = sum(f.level == "failed" for f in found)
        if as_json:
            print(json.dumps({"ok": not bad, "findings": [asdict(f) for f in found]}))  # noqa: T201
        else:
            _show(found, bad)
        if bad:
            sys.exit(1)

    run(work)


async def examine(data: Path) -> list[Finding]:
    """Everything that was found, in the order of the checks."""
    try:
        settings = read()
    except SettingsError as fault:
        return [failed("settings", line, "Put the variable right; `amends config` shows them all.") for line in str(fault).splitlines()]
    place, found = _place(data)
    around = Around(settings, os.environ, data, place)
    answers = await asyncio.gather(*(carried_out(check, around) for check in CHECKS))
    return [ok("settings", "they can be read"), *found, *_once(finding for some in answers for finding in some)]


def _once(findings: Iterable[Finding]) -> list[Finding]:
    """What several checks stumble over is told by the first."""
    first: dict[tuple[str, str], Finding] = {}
    for f in findings:
        first.setdefault((f.detail, f.fix) if f.fix else (f.about, f.detail), f)
    return [*first.values()]


def _place(data: Path) -> tuple[Place | None, list[Finding]]:
    try:
        return beside(data), []
    except Failed as nothing:
        detail, _, fix = str(nothing).partition("; ")
        return None, [failed("running", detail, f"{fix[:1].upper()}{fix[1:]}" or "Start it with `amends up`.")]


async def carried_out(check: Check, around: Around) -> list[Finding]:
    """What a check finds; that a server is away is found, too."""
    about = check.__name__
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check(around)
    except Lacking as fault:
        return [failed(about, str(fault), "Examine with the settings of `amends migrate`, which name every service's database.")]
    except (Failed, EmbeddedError) as fault:
        return [failed(about, str(fault), "Bring the server back, or name the right one; `amends config` shows which is meant.")]
    except KafkaError as fault:
        fix = "Start the broker, or name it with AMENDS_KAFKA__BOOTSTRAP_SERVERS; what is said meanwhile waits in the outboxes."
        return [failed(about, f"the broker does not answer ({type(fault).__name__})", fix)]
    except (*DATABASE_DOWN, *REFUSED) as fault:
        fix = "Start the database, or name it with AMENDS_POSTGRES__DSN; intake answers 503 meanwhile and nothing is lost."
        return [failed(about, f"no answer ({type(fault).__name__})", fix)]


def _show(found: list[Finding], bad: int) -> None:
    for f in found:
        say(f"{MARKS[f.level]}  {f.about}: {f.detail}")
        if f.fix:
            say(f"         → {f.fix}")
    warnings = sum(f.level == "warning" for f in found)
    say(f"{bad} failed, {warnings} warnings." if bad or warnings else "All is well.")
