"""What the families of commands share: the command itself, its common options, how it speaks, how it fails."""

import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Final

import uvloop
from cyclopts import App, Parameter, validators
from rich.console import Console

# Control characters but the line's end, what turns the direction of writing, and halves of characters, which no stream takes.
_STEERS: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

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
    OUT.print(printable(sentence), markup=False, soft_wrap=True)


def tell(sentence: str) -> None:
    """What goes on meanwhile, and what went wrong."""
    ERR.print(printable(sentence), markup=False, soft_wrap=True)


def printable(text: str) -> str:
    """The text with what steers a terminal written out: a reason may quote whoever wrote to a topic."""
    return _STEERS.sub(lambda found: f"\\x{ord(found[0]):02x}" if ord(found[0]) < 0x100 else f"\\u{ord(found[0]):04x}", text)
