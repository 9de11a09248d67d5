"""What the families of commands share: the command itself, its common options, how it speaks, how it fails."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Final

import uvloop
from cyclopts import App, Parameter, validators
from rich.console import Console

OUT, ERR = Console(highlight=False), Console(stderr=True, highlight=False)
DEFAULT_DATA: Final = Path("data")

app = App(name="amends", help="Service recovery for multi-location optical groups.", version="0.1.0")

Data = Annotated[Path, Parameter(name="--data", help="The data folder.")]
Port = Annotated[int | None, Parameter(name="--port", validator=validators.Number(gte=0, lte=65535))]
AsJson = Annotated[bool, Parameter(name="--json", help="For machines.", negative="")]
Service = Annotated[str | None, Parameter(name="--service", help="One service only.")]


class Failed(Exception):
    """What the command cannot do, in one sentence; exit 1."""


class Misused(Exception):
    """The command's words are off; exit 2."""


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A command's work, in a loop of its own."""
    uvloop.run(work())


def say(sentence: str) -> None:
    """What was asked for, unwrapped so that addresses and ids stay whole."""
    OUT.print(sentence, markup=False, soft_wrap=True)


def tell(sentence: str) -> None:
    """What goes on meanwhile, and what went wrong."""
    ERR.print(sentence, markup=False, soft_wrap=True)
