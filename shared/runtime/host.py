"""What a process lends to the services it runs, and what a service answers with.

Called by each service's `__main__.build`. Invariant: settings are read by the caller and arrive here as values; nothing reads them again.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from faststream.kafka import KafkaBroker

from shared import timers
from shared.db import Migration, Pool, Step, migrate, migrations_in
from shared.kernel.clock import Clock
from shared.messaging import Engine
from shared.messaging.counter import bring_past
from shared.reference import BeforeLocations
from shared.telemetry import logs
from shared.timers import CasesOf, Check, TimerHandler
from shared.vault import Vault
from shared.web.auth import Sessions
from shared.web.idempotency import mark_done

_SHARED = Path(__file__).parents[1]
# Rooms whose tables stand in every service's schema, in the order they are made.
SHARED_ROOMS = ("messaging", "timers", "reference", "web")


@dataclass
class Host:
    """One process. `pools` by service; `settings` is the tree's parts that services read (`host.settings.sms`), never the environment.

    `public_url` is how patients and providers reach us, `pages_url` the same for patients' pages, where that is another; `service_urls`
    where each service answers HTTP, by name; `has_demo_people` whether anybody may sign in as anybody of the directory, `is_demo` whether
    `/dev` exists; `member` this process's lasting name in the consumer groups, where it is the only one.
    """

    pools: Mapping[str, Pool]
    clock: Clock
    vault: Vault
    settings: Any
    public_url: str
    pages_url: str | None = None
    service_urls: Mapping[str, str] = field(default_factory=dict)
    signing_key: Ed25519PrivateKey | None = None
    verifying_key: Ed25519PublicKey | None = None
    has_demo_people: bool = False
    is_demo: bool = False
    member: str | None = None
    schemas: dict[str, Path] = field(default_factory=dict)

    def engine(self, name: str, *, schema: Path) -> Engine:
        """The engine of a service; `schema` is where its migrations are."""
        self.schemas[name] = schema
        engine = Engine(name, self.pools[name], self.clock, writers=(timers.write, mark_done))
        engine.member = self.member
        return engine


@dataclass(frozen=True)
class Service:
    """A service, ready to start: `loops` are further tasks that run until cancelled; `measure` sets its own gauges every few seconds;
    `sessions` signs people in (the console's cookies); `before_locations` is what it does about a location before its copy is renewed;
    `timer_check` is what the auditor of timers asks it, `timer_cases` whose cases its timers' subjects are;
    `say_again` says every row of its compacted topics anew, in the version it has, and answers how many, for a broker that lost them.
    `closing`: what lets go of connections to others, once everything else has ended.
    `notes`: what does not work as usual here and why, by a short name; told at the start and at `/readyz?verbose`."""

    engine: Engine
    desk: Any
    subscribe: Callable[[KafkaBroker], None]
    timers: Mapping[str, TimerHandler]
    routes: Sequence[Any]
    loops: Sequence[Callable[[], Awaitable[None]]] = ()
    measure: Callable[[], Awaitable[None]] | None = None
    sessions: Sessions | None = None
    before_locations: BeforeLocations | None = None
    timer_check: Check | None = None
    timer_cases: CasesOf | None = None
    say_again: Callable[[], Awaitable[int]] | None = None
    closing: Sequence[Callable[[], Awaitable[None]]] = ()
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.engine.name


def all_migrations(name: str, schema: Path) -> tuple[Migration, ...]:
    """A service's migrations: the shared rooms' first, then its own."""
    shared = tuple(m for room in SHARED_ROOMS for m in migrations_in(_SHARED / room / "schema", room))
    return (*shared, *migrations_in(schema, name))


async def migrate_service(
    owner_dsn: str, name: str, schema: Path, *, password: str | None = None, step: Step | None = None, into: str | None = None
) -> int:
    """Bring one service's schema up to date; returns how many files were applied. See `migrate` for `step`.

    `into`: a schema of another name, with the rights of the same role. Where the data came from a server that had counted further, this
    one's counter is brought there; raises CounterBehind where it is too far.
    """
    applied = await migrate(owner_dsn, into or name, all_migrations(name, schema), password=password, step=step, service=name)
    if counted := await bring_past(owner_dsn, into or name):
        logs.get("migrate", service=name).warning("the server has counted past the numbers of restored data", count=counted)
    return applied
