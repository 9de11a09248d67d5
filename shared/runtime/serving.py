"""Services with their HTTP door, as one process: started, and stopped in order within ten seconds.

Called by `amends serve`. Invariant: pages and API answer only once the services run, and stop before they do.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from shared.db import Pool
from shared.runtime.host import Host, Service
from shared.runtime.process import Process
from shared.web.app import HttpServer, make_app

HTTP_SECONDS: Final = 3.0
PROCESS_SECONDS: Final = 5.0
POOL_SECONDS: Final = 1.0


class Serving:
    """`start` and `stop`; `process` and `server` for whoever looks at it."""

    def __init__(
        self,
        host: Host,
        builders: Sequence[Callable[[Host], Service]],
        *,
        bootstrap_servers: str,
        topics: Mapping[str, int],
        address: tuple[str, int],
        title: str,
        asyncapi: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        """`address`: host and port to listen on; `topics`: how missing ones are made, as `Process` takes it."""
        self._pools = host.pools
        self.process = Process(host, builders, bootstrap_servers=bootstrap_servers, **topics)
        self.server = HttpServer(make_app(self.process.routers(), title=title, health=self.process.health, asyncapi=asyncapi), *address)

    async def start(self) -> None:
        """Services, then pages and API. Raises what stands in the way; call `stop` then too."""
        await self.process.start()
        await self.server.start()

    async def stop(self) -> None:
        """Pages and API, services, connections; what is cut off is taken up again at the next start."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.server.stop(), HTTP_SECONDS)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.process.stop(), PROCESS_SECONDS)
        await asyncio.gather(*(close(pool) for pool in self._pools.values()))


async def close(pool: Pool) -> None:
    """Let go of connections, by force where they do not come back in time."""
    try:
        await asyncio.wait_for(pool.close(), POOL_SECONDS)
    except TimeoutError:
        pool.terminate()
