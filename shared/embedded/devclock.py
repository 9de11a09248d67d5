"""`/dev/clock`: moves the whole system's business time forward, stepping from due time to due time across the services.

Embedded only. Invariant: a jump past ten deadlines fires ten and what follows them, once each, in order: time stops at each due instant
until everything in the process is quiet. Only business time moves; leases, sessions, retries and Kafka's timestamps do not.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from litestar import get, post
from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.kernel.clock import MovableClock
from shared.runtime import Process
from shared.telemetry import logs
from shared.web.auth import PUBLIC
from shared.web.body import BodyMiddleware

ANSWER_WITHIN: Final = 5.0
KEEP_EVERY: Final = 1.0
ADVANCE_MAX: Final = 366 * 24 * 3600


class Move(BaseModel):
    """Either `advance_seconds` or `rate` (business seconds per machine second; 0 pauses)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    advance_seconds: float | None = Field(None, ge=0, le=ADVANCE_MAX)
    rate: float | None = Field(None, ge=0, le=3600)

    @model_validator(mode="after")
    def _one_of_them(self) -> "Move":
        if (self.advance_seconds is None) == (self.rate is None):
            raise ValueError("send either advance_seconds or rate; business time never goes back")
        return self


class Reading(BaseModel):
    """What time it is for the business, how fast it runs, and whether everything that was due has been done."""

    now: datetime
    rate: float
    drained: bool = True


class DevClock:
    """The clock with its mover. `extra_busy` are further things to wait for (the embedded phone's callbacks)."""

    def __init__(self, clock: MovableClock, file: Path | None, extra_busy: Callable[[], bool] = lambda: False) -> None:
        self.clock, self._file, self._extra_busy = clock, file, extra_busy
        self.process: Process | None = None
        self._moving = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = logs.get("devclock")

    def load(self) -> bool:
        """Go on where the last run stopped; False where there was none."""
        if self._file is None or not self._file.exists():
            return False
        with suppress(ValueError, KeyError, TypeError, OSError):
            kept = json.loads(self._file.read_text("utf-8"))
            at, rate = datetime.fromisoformat(kept["now"]), float(kept["rate"])
            # What runs as the machine's clock does not stay behind it; what was paused or sped up goes on where it stopped.
            self.clock.start_at(max(at, self.clock.now()) if rate == 1.0 else at, rate)
            return True
        return False

    def keep(self) -> None:
        """Write the time down, whole or not at all."""
        if self._file is not None:
            fresh = self._file.with_suffix(".new")
            fresh.write_text(json.dumps({"now": self.clock.now().isoformat(), "rate": self.clock.rate}), "utf-8")
            fresh.replace(self._file)

    async def run(self) -> None:
        """Until cancelled: keep the time."""
        while True:
            await asyncio.sleep(KEEP_EVERY)
            self.keep()

    def set_rate(self, rate: float) -> None:
        """Change the speed; sleeping timers think again."""
        self.clock.set_rate(rate)
        self._wake()
        self.keep()

    async def advance(self, seconds: float) -> bool:
        """Move forward by `seconds`; True when all that was due by then is done, False when that takes longer than the answer may."""
        task = asyncio.create_task(self._advance(seconds))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        done, _ = await asyncio.wait({task}, timeout=ANSWER_WITHIN)
        if done:
            task.result()
        return bool(done)

    async def _advance(self, seconds: float) -> None:
        async with self._moving:
            rate, target = self.clock.rate, self.clock.now() + timedelta(seconds=seconds)
            self.clock.set_rate(0)
            try:
                while True:
                    await self.quiet()
                    due = await self._next_due()
                    if due is None or due > target:
                        break
                    self._move(due)
                self._move(target)
                await self.quiet()
            finally:
                self.clock.set_rate(rate)
                self._wake()
                self.keep()

    def _move(self, at: datetime) -> None:
        self.clock.jump_to(at)
        self._wake()

    def _wake(self) -> None:
        if self.process is not None:
            for r in self.process.running.values():
                r.engine.timers_wake.set()

    async def _next_due(self) -> datetime | None:
        assert self.process is not None, "the clock moves only in a running process"
        found = [await r.loop.next_due() for r in self.process.running.values()]
        return min((due for due in found if due is not None), default=None)

    async def quiet(self) -> None:
        """Return when nothing is under way, waits for another topic's row, or is due by now; seen twice, so that no gap counts."""
        assert self.process is not None, "the clock moves only in a running process"
        seen = 0
        while seen < 2:
            due = await self._next_due()
            is_due = due is not None and due <= self.clock.now()
            is_busy = is_due or self._extra_busy() or not self.process.is_quiet() or await self.process.is_waiting()
            seen = 0 if is_busy else seen + 1
            if seen < 2:
                await asyncio.sleep(0.005)


def clock_routes(dev: DevClock) -> list[Any]:
    """`GET` and `POST /dev/clock`."""

    async def read() -> Reading:
        """What time it is for the business."""
        return Reading(now=dev.clock.now(), rate=dev.clock.rate)

    async def move(data: Move) -> Reading:
        """Jump forward, or change the speed; answers when all is quiet or after 5 seconds."""
        drained = True
        if data.rate is not None:
            dev.set_rate(data.rate)
        else:
            drained = await dev.advance(data.advance_seconds or 0)
        return Reading(now=dev.clock.now(), rate=dev.clock.rate, drained=drained)

    return [get("/dev/clock", opt=PUBLIC)(read), post("/dev/clock", opt=PUBLIC, status_code=200, middleware=[BodyMiddleware()])(move)]
