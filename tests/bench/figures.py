"""What a run of the measurements found: each figure beside what it is to reach, told together at the end by `conftest`.

A machine has slow hours: `calibrate` times a fixed piece of plain Python beside the figures, so that a slow machine is told from slow
code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time

import psutil


@dataclass(frozen=True)
class Figure:
    """One line of the summary; `is_met` None where nothing is to be reached."""

    what: str
    measured: str
    target: str
    is_met: bool | None


@dataclass(frozen=True)
class Calibration:
    """A million additions: CPU seconds they took, and wall seconds, which are more where others use the machine."""

    cpu: float
    wall: float


FIGURES: list[Figure] = []
CALIBRATIONS: list[Calibration] = []


def note(
    what: str, measured: float, unit: str = "", *, at_least: float | None = None, at_most: float | None = None, spread: str = ""
) -> None:
    """Keep a figure for the summary and print it."""
    is_met, target = None, "-"
    if at_least is not None:
        is_met, target = measured >= at_least, f"≥ {_number(at_least)}{unit}"
    if at_most is not None:
        is_met, target = measured <= at_most, f"≤ {_number(at_most)}{unit}"
    figure = Figure(what, f"{_number(measured)}{unit}{f' ({spread})' if spread else ''}", target, is_met)
    FIGURES.append(figure)
    print(f"\n{figure.what}: {figure.measured}; to reach: {figure.target}", flush=True)


def spread(values: Sequence[float]) -> str:
    """The least and the most of several rounds."""
    return f"{_number(min(values))} to {_number(max(values))}, {len(values)} rounds"


def calibrate() -> Calibration:
    """Time the fixed piece, and keep it for the summary."""
    wall, cpu = perf_counter(), process_time()
    total = 0
    for n in range(1_000_000):
        total += n
    assert total == 499_999_500_000
    found = Calibration(process_time() - cpu, perf_counter() - wall)
    CALIBRATIONS.append(found)
    return found


def summary() -> list[str]:
    """The table of all figures as it goes into docs/PERFORMANCE.md, and what the machine was worth meanwhile."""
    if not FIGURES:
        return []
    lines = ["| figure | measured | to reach | reached |", "|---|---|---|---|"]
    said = {True: "yes", False: "**no**", None: "-"}
    lines += [f"| {f.what} | {f.measured} | {f.target} | {said[f.is_met]} |" for f in FIGURES]
    if CALIBRATIONS:
        cpu, wall = [1e3 * c.cpu for c in CALIBRATIONS], [1e3 * c.wall for c in CALIBRATIONS]
        lines += ["", f"A million additions in Python: median {median(cpu):.0f} ms of CPU ({min(cpu):.0f} to {max(cpu):.0f}),"]
        lines.append(f"{median(wall):.0f} ms by the clock ({max(wall):.0f} at most): where this is much more, others used the machine.")
        lines.append(f"Cores: {psutil.cpu_count()}; load when this was told: {', '.join(f'{n:.1f}' for n in psutil.getloadavg())}.")
    return lines


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
