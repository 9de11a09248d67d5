"""`python -m shared.embedded`: fetches and trains what the embedded servers need, for `make setup`; quiet when all is there."""

import asyncio
import sys

from rich.console import Console

from shared.embedded.kafka import default_cache, prepare
from shared.embedded.processes import EmbeddedError


def main() -> int:
    try:
        asyncio.run(prepare(default_cache()))
    except EmbeddedError as fault:
        Console(stderr=True).print(str(fault), highlight=False, markup=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
