"""The `amends` command: what people type, and nothing that decides anything.

Exit 0 done, 1 failed, 2 misused. Every command takes `--data DIR` and works beside a running `up` of that folder.
"""

import asyncio
import importlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

from cyclopts import App, Parameter, validators
from rich.console import Console

from services.directory import domain, usecases
from services.directory.gateway import wait_until_heard
from shared import timers
from shared.contracts.asyncapi import asyncapi
from shared.contracts.directory import ACCESS
from shared.contracts.flow import ALL_SERVICES
from shared.db import DATABASE_DOWN, Pool, open_pool
from shared.embedded import EmbeddedError
from shared.embedded.stack import Build, Stack
from shared.kernel.clock import MachineClock
from shared.kernel.errors import AmendsError, Rejected
from shared.messaging import Engine
from shared.messaging import parked as park
from shared.settings import Settings, SettingsError, read
from shared.telemetry import logs, traces

OUT, ERR = Console(highlight=False), Console(stderr=True, highlight=False)
DEFAULT_DATA: Final = Path("data")

app = App(name="amends", help="Service recovery for multi-location optical groups.", version="0.1.0")
keys = App(name="keys", help="API keys.")
directory = App(name="directory", help="Regions, locations, staff and rosters.")
parked = App(name="parked", help="Events that could not be handled.")
for part in (keys, directory, parked):
    app.command(part)

Data = Annotated[Path, Parameter(name="--data", help="The data folder.")]
Port = Annotated[int | None, Parameter(name="--port", validator=validators.Number(gte=0, lte=65535))]
AsJson = Annotated[bool, Parameter(name="--json", help="For machines.", negative="")]
Service = Annotated[str | None, Parameter(name="--service", help="One service only.")]


class Failed(Exception):
    """What the command cannot do, in one sentence."""


def builders() -> dict[str, tuple[Build, Path]]:
    """Each service's `build` with its migrations, in the order they are started."""
    found: dict[str, tuple[Build, Path]] = {}
    for name in ALL_SERVICES:
        module = importlib.import_module(f"services.{name}.__main__")
        found[name] = (module.build, Path(module.__file__ or "").parent / "schema")
    return found


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
    _run(lambda: _up(_settings(port), data, with_group=not empty, with_day=False))


@app.command
def demo(*, data: Data = DEFAULT_DATA, port: Port = None) -> None:
    """Run everything, and live a day of a twelve-store group at 60x.

    Parameters
    ----------
    port
        Where the pages and the API are; 0 picks a free one.
    """
    _run(lambda: _up(_settings(port), data, with_group=True, with_day=True))


async def _up(settings: Settings, data: Path, *, with_group: bool, with_day: bool) -> None:
    logs.configure(level="WARNING")
    traces.configure("amends", os.environ)
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    stack = Stack(settings, builders(), data, say=_tell, asyncapi=asyncapi)
    if not await _before(stopping, stack.start()):
        return
    try:
        if with_group and not await _before(stopping, _load_demo_group(stack)):
            return
        _say(f"Amends is up at {stack.url}  (the phone: {stack.url}/dev/phone)")
        async with _a_day(stack, settings) if with_day else nullcontext():
            _say("Ctrl-C stops it.")
            await stopping.wait()
    finally:
        _tell("Stopping …")
        await stack.stop()


async def _before(stopping: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
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
    await _heard(stack.url, {ACCESS: key.version})
    if stack.dev.clock.rate == 1.0:
        stack.dev.set_rate(settings.demo.rate)
    _say(f"A day of a twelve-store group runs at {settings.demo.rate}x; pause, speed up and jump in the bar of the console.")
    day = asyncio.create_task(live_a_day(stack.url, secret, stack.clock, settings.demo.seed))
    try:
        yield
    finally:
        day.cancel()
        await asyncio.gather(day, return_exceptions=True)
        async with desk.engine.transaction() as tx:
            await usecases.revoke_key(desk, tx, key.id, actor="demo")


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
        raise _Misused("Name what the key may do: --scope events:write, or whom it acts as: --staff ID.")

    async def run() -> None:
        row = _running(data)
        async with _directory(row) as desk:
            async with desk.engine.transaction() as tx:
                key, secret = await usecases.create_key(desk, tx, name, scope, staff, actor="command")
            await _heard(row["url"], {ACCESS: key.version})
        print(json.dumps({"key": secret, "key_id": key.id}) if as_json else secret)  # noqa: T201 - the key alone, unwrapped

    _run(run)


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

    async def run() -> None:
        row = _running(data)
        async with _directory(row) as desk:
            async with desk.engine.transaction() as tx:
                loaded = await usecases.load(desk, tx, document, actor="command")
            await _heard(row["url"], loaded.reached)
        counts = {what: getattr(loaded, what) for what in ("regions", "locations", "staff", "rosters")}
        changed = ", ".join(f"{n} {what}" for what, n in counts.items() if n)
        print(json.dumps(counts) if as_json else f"Changed: {changed}." if changed else "Nothing changed.")  # noqa: T201

    _run(run)


@parked.command(name="list")
def parked_list(*, service: Service = None, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """What lies parked, oldest first."""

    async def run() -> None:
        rows = await _each_park(data, service, lambda pool: park.listed(pool, None, 1000))
        found = [{"service": name, **row} for name, some in rows for row in some]
        if as_json:
            print(json.dumps(found, default=str))  # noqa: T201
            return
        for row in found:
            waits = f" again at {row['retry_at']:%H:%M:%S}" if row["retry_at"] else ""
            _say(
                f"{row['parked_id']}  {row['service']}  {row['topic']}[{row['partition']}]@{row['offset']}  {row['reason']}{waits}\n"
                f"    {row['detail']}"
            )
        if not found:
            _say("Nothing is parked.")

    _run(run)


@parked.command
def show(parked_id: UUID, /, *, data: Data = DEFAULT_DATA) -> None:
    """One parked event with its reason, its place and its original bytes (base64).

    Parameters
    ----------
    parked_id
        Its id, as `amends parked list` shows it.
    """

    async def run() -> None:
        for name, row in await _each_park(data, None, lambda pool: park.shown(pool, parked_id)):
            if row is not None:
                record = json.loads(row.pop("record"))
                print(json.dumps({"service": name, **row, "record": record}, default=str, indent=2))  # noqa: T201
                return
        raise Failed(f"Nothing parked has the id {parked_id}; see `amends parked list`.")

    _run(run)


@parked.command
def redrive(
    parked_id: UUID | None = None,
    /,
    *,
    everything: Annotated[bool, Parameter(name="--all", negative="")] = False,
    data: Data = DEFAULT_DATA,
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
        raise _Misused("Name one parked event, or say --all.")

    async def run() -> None:
        count = sum(n for _, n in await _each_park(data, None, lambda pool: park.redrive(pool, parked_id)))
        if not count:
            raise Failed("Nothing of that is parked; see `amends parked list`.")
        _say(f"{count} parked {'event is' if count == 1 else 'events are'} tried again; `amends parked list` shows what comes of it.")

    _run(run)


@asynccontextmanager
async def _directory(row: dict[str, Any]) -> AsyncIterator[usecases.Desk]:
    """The directory's desk beside a running `up`; its relay finds what is written here by its slow poll."""
    async with _pool(row["dsn"], "directory") as pool:
        yield usecases.Desk(Engine("directory", pool, MachineClock(), writers=(timers.write,)))


@asynccontextmanager
async def _pool(dsn: str, schema: str) -> AsyncIterator[Pool]:
    try:
        pool = await open_pool(dsn, schema=schema, size=2)
    except DATABASE_DOWN as fault:
        raise Failed(f"The database does not answer ({str(fault) or type(fault).__name__}); is `amends up` still running?") from fault
    try:
        yield pool
    finally:
        await pool.close()


async def _heard(url: str, reached: Mapping[str, int]) -> None:
    await wait_until_heard(dict.fromkeys(ALL_SERVICES, url), reached)


async def _load_demo_group(stack: Stack) -> None:
    """The twelve stores and their people, where they are missing or have changed."""
    assert stack.process is not None, "a started stack has its services"
    desk = stack.process.running["directory"].service.desk
    async with desk.engine.transaction() as tx:
        loaded = await usecases.load(desk, tx, usecases.demo_group(stack.clock.now().date()), actor="demo")
    await _heard(stack.url, loaded.reached)


async def _each_park(data: Path, service: str | None, ask: Callable[[Any], Coroutine[Any, Any, Any]]) -> list[tuple[str, Any]]:
    """`ask(pool)` of each service's park, with the owner's connection."""
    if service is not None and service not in ALL_SERVICES:
        raise _Misused(f"There is no service {service}; there are {', '.join(ALL_SERVICES)}.")
    dsn = _running(data)["dsn"]
    answers = []
    for name in [service] if service else ALL_SERVICES:
        async with _pool(dsn, name) as pool:
            answers.append((name, await ask(pool)))
    return answers


def _running(data: Path) -> dict[str, Any]:
    """Where the running `up` of this folder is."""
    file = data / "run.json"
    try:
        row: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except FileNotFoundError as missing:
        raise Failed(f"Nothing runs in {data}; start it with `amends up --data {data}`.") from missing
    except (OSError, ValueError) as fault:
        raise Failed(f"{file} cannot be read ({fault}).") from fault
    try:
        os.kill(row["pid"], 0)
    except ProcessLookupError as gone:
        raise Failed(f"Amends was killed in {data}; start it again with `amends up --data {data}`, it goes on.") from gone
    except PermissionError:
        pass
    return row


class _Misused(Exception):
    """The command's words are off; exit 2."""


def _settings(port: int | None) -> Settings:
    settings = read()
    return settings if port is None else settings.model_copy(update={"http": settings.http.model_copy(update={"port": port})})


def _run(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(run())


def _say(sentence: str) -> None:
    """What was asked for, unwrapped so that addresses and ids stay whole."""
    OUT.print(sentence, markup=False, soft_wrap=True)


def _tell(sentence: str) -> None:
    """What goes on meanwhile, and what went wrong."""
    ERR.print(sentence, markup=False, soft_wrap=True)


def main(words: Sequence[str] | None = None) -> None:
    """The door: every failure people can do something about is one sentence."""
    try:
        app(sys.argv[1:] if words is None else words, exit_on_error=True)
    except _Misused as fault:
        _tell(str(fault))
        sys.exit(2)
    except (Failed, EmbeddedError, SettingsError) as fault:
        _tell(str(fault))
        sys.exit(1)
    except AmendsError as fault:
        faults = (
            [f"{error['pointer']}: {error['detail']}" for error in fault.facts.get("errors", ())] if isinstance(fault, Rejected) else []
        )
        _tell("\n".join(faults) or fault.detail)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
