"""`amends up` and `amends demo`: everything on this machine, embedded, until Ctrl-C."""

import asyncio
import importlib
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from services.command.door import DEFAULT_DATA, Data, Port, app, run, say, tell
from services.directory import domain, usecases
from services.directory.gateway import wait_until_heard
from shared.contracts.asyncapi import asyncapi
from shared.contracts.directory import ACCESS
from shared.contracts.flow import ALL_SERVICES
from shared.embedded.stack import Build, Stack
from shared.runtime.memory import collect_rarely
from shared.settings import Settings, read
from shared.telemetry import logs, traces


def builders() -> dict[str, tuple[Build, Path]]:
    """Each service's `build` with its migrations, in the order they are started."""
    return {name: builder(name) for name in ALL_SERVICES}


def builder(name: str) -> tuple[Build, Path]:
    """One service's `build` with its migrations."""
    module = importlib.import_module(f"services.{name}.__main__")
    return module.build, Path(module.__file__ or "").parent / "schema"


@app.command
def up(*, data: Data = DEFAULT_DATA, port: Port = None, empty: Annotated[bool, Parameter(name="--empty", negative="")] = False) -> None:
    """Run everything on this machine, embedded: services, console, PostgreSQL, Kafka. Ctrl-C stops it in order.

    Parameters
    ----------
    port
        Where the pages and the API are; 0 picks a free one.
    empty
        Without the demo group.
    """
    run(lambda: _up(settings_with(port), data, with_group=not empty, with_day=False))


@app.command
def demo(*, data: Data = DEFAULT_DATA, port: Port = None) -> None:
    """Run everything, and live a day of a twelve-store group at 60x.

    Parameters
    ----------
    port
        Where the pages and the API are; 0 picks a free one.
    """
    run(lambda: _up(settings_with(port), data, with_group=True, with_day=True))


async def _up(settings: Settings, data: Path, *, with_group: bool, with_day: bool) -> None:
    logs.configure(level="WARNING")
    traces.configure("amends", os.environ)
    stopping = stop_signal()
    stack = Stack(settings, builders(), data, say=tell, asyncapi=asyncapi)
    if not await done_before(stopping, stack.start()):
        return
    try:
        if with_group and not await done_before(stopping, _load_demo_group(stack)):
            return
        say(f"Amends is up at {stack.url}  (the phone: {stack.url}/dev/phone)")
        collect_rarely()
        async with _a_day(stack, settings) if with_day else nullcontext():
            say("Ctrl-C stops it.")
            await stopping.wait()
    finally:
        tell("Stopping …")
        await stack.stop()


def stop_signal() -> asyncio.Event:
    """Set once somebody wants this process to end."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


async def done_before(stopping: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do the work, unless somebody wants to stop before it is done; False then."""
    task, stop = asyncio.ensure_future(work), asyncio.ensure_future(stopping.wait())
    await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not task.done():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return False
    await task
    return True


@asynccontextmanager
async def _a_day(stack: Stack, settings: Settings) -> AsyncIterator[None]:
    """The simulated day beside what runs, with a key of its own for as long as it lives."""
    from shared.embedded.day import live_a_day

    assert stack.process is not None and stack.dev is not None, "a started stack has its services and its clock"
    desk = stack.process.running["directory"].service.desk
    async with desk.engine.transaction() as tx:
        key, secret = await usecases.create_key(desk, tx, "demo", domain.SCOPES, None, actor="demo")
    await wait_until_heard(dict.fromkeys(ALL_SERVICES, stack.url), {ACCESS: key.version})
    if stack.dev.clock.rate == 1.0:
        stack.dev.set_rate(settings.demo.rate)
    say(f"A day of a twelve-store group runs at {settings.demo.rate}x; pause, speed up and jump in the bar of the console.")
    day = asyncio.create_task(live_a_day(stack.url, secret, stack.clock, settings.demo.seed))
    try:
        yield
    finally:
        day.cancel()
        await asyncio.gather(day, return_exceptions=True)
        async with desk.engine.transaction() as tx:
            await usecases.revoke_key(desk, tx, key.id, actor="demo")


async def _load_demo_group(stack: Stack) -> None:
    """The twelve stores and their people, where they are missing or have changed."""
    assert stack.process is not None, "a started stack has its services"
    desk = stack.process.running["directory"].service.desk
    async with desk.engine.transaction() as tx:
        loaded = await usecases.load(desk, tx, usecases.demo_group(stack.clock.now().date()), actor="demo")
    await wait_until_heard(dict.fromkeys(ALL_SERVICES, stack.url), loaded.reached)


def settings_with(port: int | None) -> Settings:
    """What the environment says, with the port that was asked for."""
    settings = read()
    return settings if port is None else settings.model_copy(update={"http": settings.http.model_copy(update={"port": port})})
