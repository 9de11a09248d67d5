"""Who strikes: each blow once its number of events was acknowledged, whether or not what was struck before is up again."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from shared.contracts.flow import ALL_SERVICES
from shared.kernel.clock import machine_now
from tests.chaos.ground import Ground
from tests.chaos.plan import Plan, Strike
from tests.chaos.record import Blow, Record
from tests.chaos.traffic import Stores


@dataclass
class Striker:
    """The same thing is struck again only once it is up; the lost log is everybody's, and waits for all of them."""

    here: Ground
    stores: Stores
    plan: Plan
    record: Record
    say: Callable[[str], None]
    _held: dict[str, asyncio.Lock] = field(default_factory=lambda: {name: asyncio.Lock() for name in (*ALL_SERVICES, "broker")})

    async def strike_all(self) -> None:
        """The whole plan; returns when everything is up again."""
        async with asyncio.TaskGroup() as striking:
            for strike in self.plan.strikes:
                await self.stores.reached(strike.after)
                striking.create_task(self._strike(strike))

    async def _strike(self, strike: Strike) -> None:
        async with contextlib.AsyncExitStack() as held:
            for lock in self._held.values() if strike.target == "log" else [self._held[strike.target]]:
                await held.enter_async_context(lock)
            acknowledged, struck_at = self.stores.acknowledged, machine_now()
            await self._blow(strike)
        blow = Blow(strike.target, acknowledged, struck_at, machine_now())
        self.record.blows.append(blow)
        self.say(f"{strike.target:<13} struck at {acknowledged:>6} events, up after {(blow.up_at - struck_at).total_seconds():.1f} s")

    async def _blow(self, strike: Strike) -> None:
        """Killed, away for a while, and back."""
        away_seconds = strike.down_ms / 1000
        if strike.target == "log":
            await self.here.lose_the_log(self.plan.began_at, away_seconds)
        elif strike.target == "broker":
            await self.here.kill_broker()
            await asyncio.sleep(away_seconds)
            await self.here.kafka.start()
        else:
            await self.here.kill(strike.target)
            await asyncio.sleep(away_seconds)
            await self.here.revive(strike.target)
