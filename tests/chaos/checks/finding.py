"""What a check has to say: one sentence about one thing that is not as it must be."""

from dataclasses import dataclass
from typing import Literal

Invariant = Literal["I1", "I2", "I3", "I4", "I5"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` is the name of the function that found it."""

    invariant: Invariant
    check: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.check}: {self.what}"
