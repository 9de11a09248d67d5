"""`amends clock`: the deadlines of cases, held against what was said of the cases, and mended."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated
from uuid import UUID

from cyclopts import App, Parameter

from services.command.door import DEFAULT_DATA, AsJson, Data, Misused, app, run, say
from services.command.place import beside, business_clock
from services.escalation import usecases
from services.escalation.usecases import Looked
from shared import timers
from shared.messaging import Engine

clock = App(name="clock", help="Deadlines of cases.")
app.command(clock)


@clock.command
def rebuild(
    case: str | None = None,
    /,
    *,
    location: Annotated[str | None, Parameter(name="--location")] = None,
    everything: Annotated[bool, Parameter(name="--all", negative="")] = False,
    apply: Annotated[bool, Parameter(name="--apply", negative="")] = False,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Show where a case's targets and timers differ from what its history says, and mend that with --apply.

    Parameters
    ----------
    case
        Its id or reference.
    location
        All cases of one store.
    everything
        All cases.
    apply
        Write what was found to be right, as a recorded act.
    """
    if sum((case is not None, location is not None, everything)) != 1:
        raise Misused("Name one case, or a store with --location, or say --all.")

    async def work() -> None:
        looked = [one async for batch in _batches(data, case, location, apply) for one in batch]
        if as_json:
            print(json.dumps([_row(one) for one in looked]))  # noqa: T201
            return
        for one in looked:
            say(f"{one.case.reference} at {one.case.location_id}")
            for part in one.differences:
                wont = "" if part.can_mend else "  (it was fired already, so it cannot be set again)"
                say(f"    {part.what} {part.name}: {part.is_now}, ought to be {part.ought}{wont}")
        if not looked:
            say("Nothing differs.")
        else:
            many = f"{len(looked)} {'case differs' if len(looked) == 1 else 'cases differ'}"
            say(f"{many}; it was mended." if apply else f"{many}; nothing was changed. Say --apply to mend it.")

    run(work)


async def _batches(data: Path, case: str | None, location: str | None, apply: bool) -> AsyncIterator[list[Looked]]:
    """A transaction a batch, so that nobody waits long for a lock."""
    async with _desk(data) as engine:
        after: UUID | None = None
        while True:
            async with engine.transaction(door="command") as tx:
                ids = [await usecases.case_named(tx, case)] if case else await usecases.next_cases(tx, location, after)
                found = await usecases.rebuild_clocks(tx, ids, apply=apply)
            yield found
            if case or not ids:
                return
            after = ids[-1]


@asynccontextmanager
async def _desk(data: Path) -> AsyncIterator[Engine]:
    """Escalation's engine beside what runs, at its business time; its relay finds what is written here by its slow poll."""
    place = beside(data)
    async with place.pool("escalation") as pool:
        yield Engine("escalation", pool, await business_clock(place), writers=(timers.write,))


def _row(one: Looked) -> dict[str, object]:
    return {
        "case_id": str(one.case.case_id),
        "reference": one.case.reference,
        "location_id": one.case.location_id,
        "differences": [
            {"what": part.what, "name": part.name, "is": part.is_now, "ought": part.ought, "can_mend": part.can_mend}
            for part in one.differences
        ],
    }
