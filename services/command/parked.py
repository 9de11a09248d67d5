"""`amends parked`: events that could not be handled, to look at and to try again."""

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from cyclopts import App, Parameter, validators

from services.command.door import DEFAULT_DATA, AsJson, Data, Failed, Misused, Service, app, run, say
from services.command.place import beside, services_named
from shared.messaging import parked as park

parked = App(name="parked", help="Events that could not be handled.")
app.command(parked)


@parked.command(name="list")
def listed(
    *,
    service: Service = None,
    after: UUID | None = None,
    limit: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=10_000))] = 200,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """What lies parked, oldest first.

    Parameters
    ----------
    after
        Go on after this one: the last of the page before.
    limit
        How many at most.
    """

    async def work() -> None:
        pages = await _each_park(data, service, lambda pool: park.listed(pool, after, limit + 1))
        # The ids are in the order of their making, across the services too.
        rows = sorted(({"service": name, **row} for name, page in pages for row in page), key=lambda row: row["parked_id"])
        shown, more = rows[:limit], len(rows) > limit
        if as_json:
            print(json.dumps(shown, default=str))  # noqa: T201
            return
        for row in shown:
            waits = f" again at {row['retry_at']:%H:%M:%S}" if row["retry_at"] else ""
            say(
                f"{row['parked_id']}  {row['service']}  {row['topic']}[{row['partition']}]@{row['offset']}  {row['reason']}{waits}\n"
                f"    {' '.join(row['detail'].split())}"
            )
        if more:
            say(f"There is more: add --after {shown[-1]['parked_id']}")
        elif not shown:
            say("Nothing is parked." if after is None else "Nothing more is parked.")

    run(work)


@parked.command
def show(parked_id: UUID, /, *, data: Data = DEFAULT_DATA) -> None:
    """One parked event with its reason, its place and its original bytes (base64).

    Parameters
    ----------
    parked_id
        Its id, as `amends parked list` shows it.
    """

    async def work() -> None:
        for name, row in await _each_park(data, None, lambda pool: park.shown(pool, parked_id)):
            if row is not None:
                record = json.loads(row.pop("record"))
                print(json.dumps({"service": name, **row, "record": record}, default=str, indent=2))  # noqa: T201
                return
        raise Failed(f"Nothing parked has the id {parked_id}; see `amends parked list`.")

    run(work)


@parked.command
def redrive(
    parked_id: UUID | None = None,
    /,
    *,
    everything: Annotated[bool, Parameter(name="--all", negative="")] = False,
    service: Service = None,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Try a parked event again, with all that waits behind it; or everything with --all.

    Parameters
    ----------
    parked_id
        Its id, as `amends parked list` shows it.
    everything
        Whatever is parked.
    """
    if (parked_id is None) != everything:
        raise Misused("Name one parked event, or say --all.")

    async def work() -> None:
        count = sum(n for _, n in await _each_park(data, service, lambda pool: park.redrive(pool, parked_id)))
        if as_json:
            print(json.dumps({"redriven": count}))  # noqa: T201
        if not count:
            raise Failed("Nothing of that is parked; see `amends parked list`.")
        if not as_json:
            say(f"{count} parked {'event is' if count == 1 else 'events are'} tried again; `amends parked list` shows what comes of it.")

    run(work)


async def _each_park(data: Path, service: str | None, ask: Callable[[Any], Coroutine[Any, Any, Any]]) -> list[tuple[str, Any]]:
    """`ask(pool)` of each service's park."""
    names, place = services_named(service), beside(data)
    answers = []
    for name in names:
        async with place.pool(name) as pool:
            answers.append((name, await ask(pool)))
    return answers
