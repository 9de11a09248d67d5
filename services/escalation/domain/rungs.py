"""The ladder as data: whom each rung pages, how, after which wait and how often. Read from `policy/ladder.toml`.

Called by `plan`, which puts a ladder into each plan, and so into each case. Invariant: a ladder that was read has a last rung that is
paged until somebody takes the case, so that no case falls off it.
"""

import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, get_args

from shared.contracts.cases import Channel
from shared.policy import BadTable

Hours = Literal["open", "always"]
CHANNELS: tuple[Channel, ...] = get_args(Channel)

ROLES = ("associate", "store_manager", "regional_manager")
WHO = frozenset(
    {"owner", "on_duty", "associates", "managers", "region", *(f"{kind}:{role}" for kind in ("on_duty", "next") for role in ROLES)}
)
NAMED, NEXT = "staff:", "next:"
UNTIL_TAKEN = "until-taken"
TOP_LEVEL = 2
RUNGS_MAX, REPEATS_MAX, MINUTES_MAX = 10, 100, 10_080
MINUTE = 60


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung. `wait_seconds` since the last page of the rung below and `repeat_seconds` between its own, None where the plan's count;
    `repeats` None: until somebody takes the case."""

    level: int
    who: tuple[str, ...]
    otherwise: tuple[str, ...] = ()
    how: tuple[Channel, ...] = ("text",)
    hours: Hours = "open"
    wait_seconds: int | None = None
    repeat_seconds: int | None = None
    repeats: int | None = 0


@dataclass(frozen=True, slots=True)
class Ladder:
    """The rungs from the bottom up, by the name and version they were read under."""

    name: str
    version: int
    rungs: tuple[Rung, ...]

    @property
    def named(self) -> frozenset[str]:
        """The staff ids that it names."""
        return frozenset(who.removeprefix(NAMED) for rung in self.rungs for who in (*rung.who, *rung.otherwise) if who.startswith(NAMED))

    @property
    def takes_turns(self) -> bool:
        """Whether somebody is paged in turn with others, so that who was paged last has to be known."""
        return any(who.startswith(NEXT) for rung in self.rungs for who in (*rung.who, *rung.otherwise))

    def at_level(self, level: int) -> int:
        """The highest rung of a level, or of the one below it."""
        return max((n for n, rung in enumerate(self.rungs) if rung.level <= level), default=0)

    def after(self, rung: int, repeat: int) -> tuple[int, int]:
        """What comes after a page: (rung, how many times that one was repeated). The last rung is its own successor."""
        repeats = self.rungs[rung].repeats
        if repeats is None or repeat < repeats:
            return rung, repeat + 1
        return rung + 1, 0


# What a case has whose plan was kept before ladders were data.
USUAL = Ladder(
    "ladder",
    1,
    (
        Rung(0, ("owner",), ("region", "managers"), hours="always"),
        Rung(1, ("managers",), ("region",)),
        Rung(2, ("region",), ("managers",), repeats=None),
    ),
)


@dataclass(frozen=True, slots=True)
class Ladders:
    """All versions that are known, by the day they begin on, the oldest first: each a ladder for each severity."""

    versions: tuple[tuple[date, Mapping[int, Ladder]], ...]

    def in_force(self, on: date) -> Mapping[int, Ladder]:
        """The ladders of a day by severity: those of the last version that has begun. Raises BadTable where none has."""
        for since, ladders in reversed(self.versions):
            if since <= on:
                return ladders
        raise BadTable("ladder", [f"no version is in force on {on}"])

    def all(self) -> Iterator[Ladder]:
        """Each ladder of each version."""
        return (ladder for _, ladders in self.versions for ladder in ladders.values())


def load(texts: Iterable[str], severities: Collection[int]) -> Ladders:
    """From the TOML text of each version, in any order. Raises BadTable with one sentence per fault."""
    found: dict[int, tuple[date, Mapping[int, Ladder]]] = {}
    for text in texts:
        number, since, ladders = _version(text, severities)
        if number in found:
            raise BadTable("ladder", [f"version {number} is there twice"])
        found[number] = since, ladders
    versions = tuple(found[number] for number in sorted(found))
    days = [since for since, _ in versions]
    if not versions or days != sorted(set(days)):
        raise BadTable("ladder", ["there is no version of it" if not versions else "a later version begins later"])
    return Ladders(versions)


def _version(text: str, severities: Collection[int]) -> tuple[int, date, Mapping[int, Ladder]]:
    """One version: its number, the day it begins on, the ladder of each severity."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadTable("ladder", [str(error)]) from error
    name, number, since = (table.get(field) for field in ("name", "version", "effective_from"))
    faults: list[str] = []
    if name != "ladder" or not isinstance(number, int) or not isinstance(since, date):
        raise BadTable("ladder", ['it has a name, which is "ladder", a version, which is a number, and effective_from, which is a date'])
    found: dict[int, Ladder] = {}
    for which, row in enumerate(table.get("ladders", ()), 1):
        rungs = tuple(_rung(one, f"ladder {which}, rung {n}", faults) for n, one in enumerate(row.get("rungs", ())))
        faults += _shape(rungs, f"ladder {which}")
        for severity in row.get("severities", ()):
            if severity in found:
                faults.append(f"severity {severity} has two ladders")
            found[severity] = Ladder(name, number, rungs)
    faults += [f"severity {severity} has no ladder" for severity in sorted(severities) if severity not in found]
    if faults:
        raise BadTable(name, faults)
    return number, since, found


def _rung(row: Mapping[str, Any], where: str, faults: list[str]) -> Rung:
    """A rung as written; what is wrong with it is added to `faults`."""
    known = {"level", "who", "otherwise", "how", "hours", "wait_minutes", "repeat_minutes", "repeats"}
    faults += [f"{where}: {name} is no field of a rung" for name in sorted(set(row) - known)]
    who, otherwise, how = (tuple(row.get(name, default)) for name, default in (("who", ()), ("otherwise", ()), ("how", ("text",))))
    faults += [f"{where}: nobody is called {one!r}" for one in (*who, *otherwise) if one not in WHO and not _is_named(one)]
    faults += [f"{where}: {one!r} is no channel" for one in how if one not in CHANNELS]
    if not who or not how:
        faults.append(f"{where} pages nobody")
    hours, level, repeats = row.get("hours", "open"), row.get("level"), row.get("repeats", 0)
    if hours not in get_args(Hours):
        faults.append(f"{where}: hours are open or always")
    if not isinstance(level, int) or not 0 <= level <= TOP_LEVEL:
        faults.append(f"{where}: a level is 0 to {TOP_LEVEL}")
        level = 0
    if repeats != UNTIL_TAKEN and repeats not in range(REPEATS_MAX + 1):
        faults.append(f'{where}: repeats are 0 to {REPEATS_MAX}, or "{UNTIL_TAKEN}"')
        repeats = 0
    wait, again = _minutes(row, "wait_minutes", where, faults), _minutes(row, "repeat_minutes", where, faults)
    return Rung(level, who, otherwise, how, hours, wait, again, None if repeats == UNTIL_TAKEN else repeats)


def _shape(rungs: Sequence[Rung], where: str) -> list[str]:
    """What is wrong with the rungs as a ladder."""
    if not 2 <= len(rungs) <= RUNGS_MAX:
        return [f"{where} has 2 to {RUNGS_MAX} rungs"]
    faults = []
    if [rung.level for rung in rungs] != sorted(rung.level for rung in rungs) or rungs[0].level != 0:
        faults.append(f"{where} starts at level 0 and never climbs down")
    if rungs[1].level == 0:
        faults.append(f"{where}: the second rung is above level 0, for a breached acknowledgement is seen to have climbed")
    if rungs[0].wait_seconds is not None or rungs[1].wait_seconds is not None:
        faults.append(f"{where}: the first rung is for an opened case, the second for a late acknowledgement: neither has wait_minutes")
    if rungs[0].repeats:
        faults.append(f"{where}: the first rung is not repeated, for the warnings of the target remind its owner")
    if rungs[-1].repeats is not None or any(rung.repeats is None for rung in rungs[:-1]):
        faults.append(f'{where}: the last rung, and it alone, is paged "{UNTIL_TAKEN}"')
    return faults


def _is_named(who: str) -> bool:
    return who.startswith(NAMED) and len(who) > len(NAMED)


def _minutes(row: Mapping[str, Any], name: str, where: str, faults: list[str]) -> int | None:
    value = row.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or not 1 <= value <= MINUTES_MAX:
        faults.append(f"{where}: {name} is 1 to {MINUTES_MAX}")
        return None
    return value * MINUTE
