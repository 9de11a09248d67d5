"""The stores of a storm: several senders that post their batches, each again until it is acknowledged, as integrations do."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from shared.embedded.day.journeys import Event
from tests.chaos.plan import Plan
from tests.chaos.record import Record
from tests.support.stack import BATCH, client

SENDERS: Final = 4
AGAIN_AFTER: Final = 0.25


@dataclass
class Stores:
    """`acknowledged`: how many events of the plan were answered with 202 so far; `moved` is set whenever that grows."""

    plan: Plan
    url: str
    key: str
    record: Record
    acknowledged: int = 0
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    _sent: int = 0

    async def send_all(self) -> None:
        """The whole plan, at its pace or as fast as it is taken."""
        waiting = iter(self.plan.batches)
        began = asyncio.get_running_loop().time()
        async with client(self.url, self.key) as http, asyncio.TaskGroup() as senders:
            for _ in range(SENDERS):
                senders.create_task(self._send(http, waiting, began))

    async def reached(self, acknowledged: int) -> None:
        """Return when so many were acknowledged."""
        while self.acknowledged < acknowledged:
            self.moved.clear()
            await self.moved.wait()

    async def _send(self, http: httpx.AsyncClient, waiting: Iterator[tuple[Event, ...]], began: float) -> None:
        loop = asyncio.get_running_loop()
        for batch in waiting:
            due = began + self._sent / self.plan.size.events * self.plan.size.seconds
            self._sent += len(batch)
            await asyncio.sleep(max(due - loop.time(), 0))
            self._keep(await self._post(http, batch))
            self.acknowledged += len(batch)
            self.moved.set()

    async def _post(self, http: httpx.AsyncClient, batch: tuple[Event, ...]) -> dict[str, Any]:
        """Until it is acknowledged: whatever else is answered, or nothing, is asked again."""
        while True:
            with contextlib.suppress(httpx.HTTPError):
                answer = await http.post("/v1/events", json=batch, headers={"content-type": BATCH})
                if answer.status_code == httpx.codes.ACCEPTED:
                    found: dict[str, Any] = answer.json()
                    return found
                if 400 <= answer.status_code < 500 and answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                    raise AssertionError(f"a batch was refused: {answer.status_code} {answer.text}")
            self.record.sent_again += 1
            await asyncio.sleep(AGAIN_AFTER)

    def _keep(self, answer: dict[str, Any]) -> None:
        for result in answer["results"]:
            if result["status"] == "rejected":
                self.record.refused.append(f"{result['source']} {result['id']}: {result['problem']['code']}")
            else:
                self.record.acknowledged[result["source"], result["id"]] += 1
