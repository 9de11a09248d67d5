"""`amends keys` and `amends directory`: who may do what, and the group's stores and people."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from services.command.door import DEFAULT_DATA, AsJson, Data, Failed, Misused, app, run
from services.command.place import Place, beside
from services.directory import domain, usecases
from services.directory.gateway import wait_until_heard
from shared import timers
from shared.contracts.directory import ACCESS
from shared.kernel.clock import MachineClock
from shared.messaging import Engine

keys = App(name="keys", help="API keys.")
directory = App(name="directory", help="Regions, locations, staff and rosters.")
app.command(keys)
app.command(directory)


@keys.command
def create(
    name: str,
    /,
    *,
    scope: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    staff: str | None = None,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Make an API key and print it alone on one line, once every service knows it. It is shown this once.

    Parameters
    ----------
    name
        What it is for.
    scope
        What it may do; repeat the option.
    staff
        The person it acts as.
    """
    if not scope and not staff:
        raise Misused("Name what the key may do: --scope events:write, or whom it acts as: --staff ID.")

    async def work() -> None:
        place = beside(data)
        async with _desk(place) as desk:
            async with desk.engine.transaction() as tx:
                key, secret = await usecases.create_key(desk, tx, name, scope, staff, actor="command")
            try:
                await wait_until_heard(place.urls, {ACCESS: key.version})
            finally:
                # It is stored and shown this once: also where somebody has not heard of it yet, or nobody waits for that any longer.
                print(json.dumps({"key": secret, "key_id": key.id}) if as_json else secret)  # noqa: T201 - the key alone, unwrapped

    run(work)


@directory.command
def load(file: Path, /, *, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Load regions, locations, staff and rosters from one YAML or JSON file; loading it twice changes nothing.

    Returns when every service has it.

    Parameters
    ----------
    file
        The file.
    """
    try:
        document = domain.parse(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as fault:
        raise Failed(f"{file} cannot be read ({fault}).") from fault

    async def work() -> None:
        place = beside(data)
        async with _desk(place) as desk:
            async with desk.engine.transaction() as tx:
                loaded = await usecases.load(desk, tx, document, actor="command")
            await wait_until_heard(place.urls, loaded.reached)
        counts = {what: getattr(loaded, what) for what in ("regions", "locations", "staff", "rosters")}
        changed = ", ".join(f"{n} {what}" for what, n in counts.items() if n)
        print(json.dumps(counts) if as_json else f"Changed: {changed}." if changed else "Nothing changed.")  # noqa: T201

    run(work)


@directory.command
def import_roster(file: Path, /, *, location: str, dry_run: bool = False, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Take a location's roster from a CSV or iCalendar file, for the days that the file covers; taking it twice changes nothing.

    All or nothing: a faulty line is named, and nothing is taken. Returns when every service has it.

    Parameters
    ----------
    file
        The file: columns staff_id (or email), from, to; or a calendar (.ics).
    location
        The id of the location.
    dry_run
        Say what would change, and change nothing.
    """
    try:
        raw = file.read_bytes()
    except OSError as fault:
        raise Failed(f"{file} cannot be read ({fault}).") from fault
    kind: domain.Kind = "calendar" if file.suffix.lower() in (".ics", ".ical") else "csv"

    async def work() -> None:
        place = beside(data)
        async with _desk(place) as desk:
            async with desk.engine.transaction() as tx:
                taken = await usecases.import_roster(desk, tx, location, kind, raw, actor="command", is_dry_run=dry_run)
                reached = await usecases.reached(tx)
            if not dry_run:
                await wait_until_heard(place.urls, reached)
        counts = {"added": len(taken.added), "removed": len(taken.removed), "unchanged": taken.unchanged, "left_out": taken.left_out}
        told = ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in counts.items())
        would = "Would be: " if dry_run else ""
        print(json.dumps(counts) if as_json else f"{taken.first} to {taken.last}: {would}{told}.")  # noqa: T201

    run(work)


@asynccontextmanager
async def _desk(place: Place) -> AsyncIterator[usecases.Desk]:
    """The directory's desk beside a running Amends; its relay finds what is written here by its slow poll."""
    async with place.pool("directory") as pool:
        yield usecases.Desk(Engine("directory", pool, MachineClock(), writers=(timers.write,)))
