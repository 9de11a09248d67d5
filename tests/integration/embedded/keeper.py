"""Run as `python -m tests.integration.embedded.keeper postgres|kafka FOLDER [--unleashed]`: keeps a server until it is killed.

Says one JSON line when the server is up. `--unleashed` takes the leash off, as on systems that have none.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from shared.embedded import EmbeddedKafka, EmbeddedPostgres, kafka, postgres, processes


def unleashed(argv: Sequence[str], *, parting: signal.Signals, user: processes.User | None = None) -> list[str]:
    command = processes.leashed(argv, parting=parting, user=user)
    if "--pdeathsig" in command:
        at = command.index("--pdeathsig")
        command[at : at + 2] = ["--no-new-privs"]
    return command


async def main(what: str, folder: Path) -> None:
    server = EmbeddedPostgres(folder) if what == "postgres" else EmbeddedKafka(folder)
    await server.start()
    print(json.dumps({"pid": server.pid}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    if "--unleashed" in sys.argv:
        for module in (postgres, kafka):
            setattr(module, "leashed", unleashed)  # noqa: B010 - the name is theirs by import
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
