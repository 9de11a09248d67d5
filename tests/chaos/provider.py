"""The SMS provider of a storm: the embedded phone behind a server of the harness's own, so that nothing that is killed keeps its record."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from shared.embedded.phone import Phone, Text
from shared.kernel.clock import MachineClock, machine_now
from shared.web.app import Check, HttpServer, make_app
from tests.chaos.record import Record, Stop

ACCOUNT, TOKEN, NUMBER = "AC" + "0" * 31 + "1", "1" * 32, "+12025550100"
TYPED_AGAIN_AFTER: Final = 1.0
AT_ONCE: Final = 6


@dataclass
class Provider:
    """As a context it listens at `url`; `accepted` is what it took, in order, whatever became of who sent it."""

    record: Record
    phone: Phone = field(init=False)
    _server: HttpServer = field(init=False)
    _lanes: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    def __post_init__(self) -> None:
        self.phone = Phone("http://localhost:1", ACCOUNT, TOKEN, NUMBER, MachineClock())
        self._server = HttpServer(make_app([self.phone.router()], title="SMS provider", health=_fine), "127.0.0.1", 0)

    async def __aenter__(self) -> "Provider":
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop()
        await self.phone.close()

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"http://localhost:{self._server.port}"

    def reports_to(self, url: str) -> None:
        """Where answers go, and what they are signed for."""
        self.phone.public_url = url

    @property
    def accepted(self) -> list[Text]:
        """Texts taken from us, in order."""
        return [text for text in self.phone.texts if text.direction == "outbound-api"]

    @property
    def is_busy(self) -> bool:
        """Whether a report or an answer is on its way to us."""
        return self.phone.busy > 0

    async def text(self, sender: str, body: str) -> None:
        """A text typed on a phone, and typed again until it was taken."""
        typed_at = machine_now()
        async with self._lanes:
            _, status = await self.phone.answer(sender, None, body)
            while not 200 <= status < 300:
                await asyncio.sleep(TYPED_AGAIN_AFTER)
                _, status = await self.phone.answer(sender, None, body)
        if body == "STOP":
            self.record.stops.append(Stop(sender, typed_at, machine_now()))


def notice_of(text: Text) -> UUID | None:
    """The notice that a text tells, by the address its reports go to."""
    named = parse_qs(urlsplit(text.callback or "").query).get("notice")
    return UUID(named[0]) if named else None


async def _fine() -> Mapping[str, Check]:
    return {}
