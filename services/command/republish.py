"""`amends republish`: a broker that lost its log is filled again from the outboxes and the tables."""

import json
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from services.command.door import DEFAULT_DATA, AsJson, Data, Misused, app, run, say, tell
from services.command.up import builders, settings_with
from shared.embedded.stack import Stack
from shared.telemetry import logs


@app.command
def republish(*, since: Annotated[str, Parameter(name="--since")], data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Fill a broker again that lost its log: what was said since then goes out once more, and nothing is done twice.

    Nothing may run meanwhile; embedded servers are started for it and stopped again. The next start sends it all.

    Parameters
    ----------
    since
        A time surely before the first event that not everybody had read: 2026-11-26T08:00Z, or a day. Further back costs time only.
    """
    at = _time(since)

    async def work() -> None:
        logs.configure(level="WARNING")
        done = await Stack(settings_with(0), builders(), data, say=tell).refill(at)
        if as_json:
            print(json.dumps({name: {"events": d.events, "rows": d.rows} for name, d in done.items()}))  # noqa: T201
            return
        for name, d in done.items():
            if d.events:
                say(f"{name}: {d.events:,} events go out again" + (f", {d.rows:,} of them from its tables" if d.rows else "") + ".")
        say(f"The next start sends them, in their order: `amends up --data {data}`, or however you run Amends.")

    run(work)


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as fault:
        raise Misused(f"{text} is no time; write it as 2026-11-26T08:00Z, or a day as 2026-11-26.") from fault
    return at if at.tzinfo else at.replace(tzinfo=UTC)
