"""`amends replay`: the console's projections are made again from the topics."""

import json
import time

import asyncpg

from services.command.door import DEFAULT_DATA, AsJson, Data, Failed, Misused, app, run, say, tell
from services.command.up import builder, builders, settings_with
from services.console.usecases.replay import Replayed
from services.console.usecases.replay import replay as replay_console
from shared.embedded.stack import Stack
from shared.messaging.broker import StillRead
from shared.runtime import Process
from shared.settings import PREFIX
from shared.telemetry import logs

EVERY_SECONDS = 2.0


@app.command
def replay(service: str = "console", /, *, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Make the console's pages again from everything that was said. It never sends a text and never moves money.

    The console may not run meanwhile; embedded servers are started for it and stopped again. Interrupted, it has changed nothing.

    Parameters
    ----------
    service
        console: the only service that keeps nothing but projections.
    """
    if service != "console":
        raise Misused(f"Only projections are replayed, and {service} is no service of projections; leave it out, or say console.")

    async def work() -> None:
        logs.configure(level="WARNING")
        settings = settings_with(0)
        told = _Told()

        async def on(process: Process, owner_dsn: str, servers: str) -> Replayed:
            await process.unread("console")
            return await replay_console(owner_dsn or settings.postgres.dsn_of("console") or "", servers, builder("console")[1], told)

        try:
            done = await Stack(settings, builders(), data, say=tell).instead(on)
        except (StillRead, asyncpg.LockNotAvailableError) as fault:
            raise Failed("The console is still running; stop it first, it goes on afterwards. Nothing was changed.") from fault
        except asyncpg.InsufficientPrivilegeError as fault:
            raise Failed(
                f"PostgreSQL refuses what a replay needs ({fault}); name the owner of the database, {PREFIX}POSTGRES__DSN."
            ) from fault
        if as_json:
            print(json.dumps({"events": done.events, "parked": done.parked, "rows": done.rows}))  # noqa: T201
            return
        say(f"{done.events:,} events were read. The console shows {done.rows['queue_rows']:,} cases from its next start on.")
        if done.parked:
            say(f"{done.parked:,} of them lie parked and are left out; see `amends parked list --service console`.")

    run(work)


class _Told:
    """Says how far it is, now and then."""

    def __init__(self) -> None:
        self._at = 0.0

    def __call__(self, read: int, total: int) -> None:
        if read in (0, total) or time.monotonic() - self._at >= EVERY_SECONDS:
            self._at = time.monotonic()
            tell(f"{read:,} of {total:,} events")
