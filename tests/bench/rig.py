"""A running Amends to measure: every service embedded in this process on the real servers, a group of twelve stores, and an adapter for
texts that answers at once. The generator is a process of its own, so that its work is told apart.
"""

import asyncio
import base64
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from services.command.up import builders
from services.directory import domain, usecases
from services.directory.gateway import wait_until_heard
from services.notification.__main__ import build
from services.notification.gateway import Accepted, Answer, Look, NotFound
from shared.contracts.directory import ACCESS
from shared.contracts.flow import ALL_SERVICES
from shared.embedded.stack import Stack
from shared.kernel.clock import MovableClock
from shared.kernel.ids import new_id
from shared.runtime.memory import collect_rarely
from shared.settings import Http, Settings, VaultKeys
from tests.bench.meter import Meter
from tests.support.builders import MORNING, WEEK, Event
from tests.support.eventually import eventually

QUIET_SECONDS = 300.0
STORES = tuple(f"store-{n}" for n in range(12))
# Area codes of the stores' zone; each has the hundred fictional numbers 555-0100 to 555-0199.
AREAS = (
    201, 203, 212, 215, 267, 315, 332, 339, 347, 351, 401, 410, 412, 413, 475, 484, 508, 516, 518, 551, 570, 585, 607, 609, 610, 617, 631,
    646, 716, 717, 718, 724, 732, 774, 781, 814, 845, 848, 856, 857, 860, 862, 908, 914, 917, 929, 973, 978,
)  # fmt: skip


@dataclass
class InstantSms:
    """A provider in this process that takes every text at once; `taken` is (monotonic seconds, number, text)."""

    taken: list[tuple[float, str, str]] = field(default_factory=list)

    async def send(self, to: str, body: str, notice_id: UUID) -> Answer:
        self.taken.append((monotonic(), to, body))
        return Accepted(f"SM{notice_id.hex}", "queued")

    async def look(self, to: str, body: str, since: datetime, known: frozenset[str]) -> Look:
        return NotFound()

    async def close(self) -> None:
        return None


@dataclass
class Rig:
    """The stack with its hands."""

    stack: Stack
    sms: InstantSms
    key: str
    folder: Path

    async def quiet(self) -> None:
        """Wait until nothing is under way and nothing is due."""
        process = self.stack.process
        assert process is not None

        async def still() -> bool:
            if not process.is_quiet():
                return False
            now = self.stack.clock.now()
            soonest = await asyncio.gather(*(r.loop.next_due() for r in process.running.values()))
            return process.is_quiet() and all(due is None or due > now for due in soonest)

        await eventually(still, within_seconds=QUIET_SECONDS, every_seconds=0.01)

    async def post(self, events: Sequence[Event], *, batch: int = 100, lanes: int = 4, per_second: float | None = None) -> "Posted":
        """The generator posts these events, as fast as they are taken or at an even pace, and tells when each left."""
        file = self.folder / "events.ndjson"
        file.write_bytes(b"\n".join(json.dumps(event, separators=(",", ":")).encode() for event in events))
        words = [self.stack.url, self.key, str(file), str(batch), str(lanes), str(per_second or 0)]
        command = [sys.executable, "-m", "tests.bench.generator", *words]
        child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        told, _ = await child.communicate()
        assert child.returncode == 0, "the generator failed"
        return Posted(**json.loads(told))

    @property
    def meter(self) -> Meter:
        """Who uses the machine."""
        assert self.stack.postgres is not None and self.stack.kafka is not None
        return Meter(self.stack.postgres.pid, self.stack.kafka.pid)


@dataclass(frozen=True)
class Posted:
    """What the generator tells: when its first request left, its CPU seconds, and when each event left and was answered."""

    began: float
    cpu: float
    left: list[float]
    answered: list[float]


@contextlib.asynccontextmanager
async def rig(folder: Path, services: Sequence[str] = ALL_SERVICES) -> AsyncIterator[Rig]:
    """These services, directory among them, running in `folder`, the group loaded and heard. Business time runs with the machine's."""
    sms = InstantSms()
    made = {name: found for name, found in builders().items() if name in services}
    if "notification" in made:
        made["notification"] = (partial(build, gateway=sms), made["notification"][1])
    keys = VaultKeys(master_key=_key(), index_key=_key())
    stack = Stack(Settings(http=Http(port=0), vault=keys), made, folder, clock=MovableClock(business_at=MORNING))
    await stack.start()
    try:
        assert stack.process is not None
        desk = stack.process.running["directory"].service.desk
        async with desk.engine.transaction() as tx:
            loaded = await usecases.load(desk, tx, domain.read(group()), actor="bench")
            key, secret = await usecases.create_key(desk, tx, "bench", domain.SCOPES, None, actor="bench")
        await wait_until_heard(dict.fromkeys(services, stack.url), {**loaded.reached, ACCESS: key.version})
        collect_rarely()
        yield Rig(stack, sms, secret, folder)
    finally:
        await stack.stop()


def group() -> Mapping[str, Any]:
    """Twelve stores of two regions, each with three associates and a manager."""
    numbers = iter(f"+1{area}55501{n:02}" for area in (616, 734) for n in range(100))

    def person(name: str, role: str, stores: list[str], regions: list[str]) -> dict[str, Any]:
        return {"id": name, "name": f"{name} Example", "role": role, "locations": stores, "regions": regions, "phone": next(numbers)}

    regions = ("north", "south")
    locations = [
        {
            "id": store, "name": store.title(), "region": regions[n % 2], "timezone": "America/New_York", "phone": next(numbers),
            "country": "US", "subdivision": "NY", "weekly": WEEK,
        }
        for n, store in enumerate(STORES)
    ]  # fmt: skip
    staff = [person(f"{store}-{n}", "associate", [store], []) for store in STORES for n in range(3)]
    staff += [person(f"{store}-m", "store_manager", [store], []) for store in STORES]
    staff += [person(f"{region}-r", "regional_manager", [], [region]) for region in regions]
    return {"regions": [{"id": r, "name": r.title()} for r in regions], "locations": locations, "staff": staff}


def patient(number: int) -> dict[str, Any]:
    """The `number`-th patient; there are 4,800 numbers, beyond that two share one."""
    at = number % (100 * len(AREAS))
    agreed = [{"purpose": p, "granted": True, "at": "2026-10-01T12:00:00Z", "source": "intake form"} for p in ("care", "compensation")]
    phone = f"+1{AREAS[at // 100]}55501{at % 100:02}"
    return {"ref": f"P-{number}", "name": "Pat Example", "phone": phone, "language": "en", "payer": "commercial", "consents": agreed}


def percentile(values: Iterable[float], share: float) -> float:
    """The value that `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def new_name() -> str:
    """An id of an event nobody has sent before."""
    return new_id().hex


def _key() -> SecretStr:
    return SecretStr(base64.b64encode(os.urandom(32)).decode())
