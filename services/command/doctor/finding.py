"""What a check answers, and what it is given to look at."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from services.command.place import Place
from shared.settings import Settings

Level = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`about` is what was looked at, `detail` what was found; `fix` one sentence that says what to do, where something is to be done."""

    about: str
    level: Level
    detail: str
    fix: str = ""


@dataclass(frozen=True)
class Around:
    """What a check may look at. `place` is None where nothing runs and the settings name no servers of one's own."""

    settings: Settings
    environ: Mapping[str, str]
    data: Path
    place: Place | None

    @property
    def is_embedded(self) -> bool:
        """Whether `amends up` brings the servers along."""
        return self.settings.is_embedded


Check = Callable[[Around], Awaitable[list[Finding]]]


def ok(about: str, detail: str) -> Finding:
    """All is well."""
    return Finding(about, "ok", detail)


def warning(about: str, detail: str, fix: str) -> Finding:
    """It works, and somebody should look at it in time."""
    return Finding(about, "warning", detail, fix)


def failed(about: str, detail: str, fix: str) -> Finding:
    """It does not work, or it will not when it is needed."""
    return Finding(about, "failed", detail, fix)
