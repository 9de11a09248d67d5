"""The plan of a storm: the group it plays in, what is sent in which batches, and what is struck when.

A pure function of its seed, its size and the instant it begins, so a storm that found something can be had again. Strikes are placed by
how many events were acknowledged so far, not by a clock: a slow machine gets the same storm.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from shared.contracts.flow import ALL_SERVICES
from shared.embedded.day import journeys
from shared.embedded.day.journeys import Event, Person, Step
from tests.support.builders import WEEK

# `broker` is killed and started again; `log` is the broker killed, its folder emptied, and everything republished.
Target = Literal["directory", "intake", "escalation", "restitution", "notification", "console", "broker", "log"]

DUPLICATES: Final = 0.05
# Events change places with others up to so far away.
DISORDER: Final = 120
BATCH_MAX: Final = 40
# The stores' phones have the last of an area's hundred numbers of fiction, their people the ones before, patients the first.
STORE_LINE, STAFF_LINE = 99, 95
ZONES: Final = (
    "America/New_York", "America/Los_Angeles", "Pacific/Honolulu", "Pacific/Auckland", "Australia/Perth", "Asia/Tokyo", "Asia/Kolkata",
    "Asia/Dubai", "Africa/Nairobi", "Europe/Madrid", "Atlantic/Azores",
)  # fmt: skip
AREAS: Final = (
    201, 202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 224, 225, 228, 229, 231, 234, 239, 240, 248, 251,
    252, 253, 254, 256, 260,
)  # fmt: skip
_ALWAYS: Final = {day: [["00:00", "24:00"]] for day in (*WEEK, "sun")}


@dataclass(frozen=True, slots=True)
class Size:
    """How big a storm is. `seconds`: over how long it is sent where the machine keeps up."""

    events: int
    kills: int
    broker_kills: int
    wipes: int
    seconds: int
    stores: int
    patients: int


@dataclass(frozen=True, slots=True)
class Strike:
    """One blow: after so many acknowledged events `target` is killed, and started again `down_ms` later."""

    after: int
    target: Target
    down_ms: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a storm does. `phones`: patients' numbers by their reference."""

    seed: int
    size: Size
    began_at: datetime
    group: Mapping[str, Any]
    batches: tuple[tuple[Event, ...], ...]
    strikes: tuple[Strike, ...]
    phones: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Two plans of one digest are one plan."""
        return hashlib.sha256(repr((self.group, self.batches, self.strikes)).encode()).hexdigest()[:12]


def plan(seed: int, size: Size, began_at: datetime) -> Plan:
    """The storm of that seed, begun at `began_at` (UTC, whole seconds)."""
    began_at = began_at.astimezone(UTC).replace(microsecond=0)
    zone = _noon(began_at)
    stores = [f"store-{n + 1}" for n in range(size.stores)]
    people = {
        store: [journeys.patient(store, _number(n, STORE_LINE), number, seed) for number in range(size.patients)]
        for n, store in enumerate(stores)
    }
    events = _events(Random(f"{seed}/events"), size, began_at, people)
    return Plan(
        seed,
        size,
        began_at,
        _group(stores, zone, began_at, size.seconds),
        tuple(_batches(Random(f"{seed}/batches"), events)),
        strikes(seed, size),
        {person.ref: person.phone for some in people.values() for person in some},
    )


def strikes(seed: int, size: Size) -> tuple[Strike, ...]:
    """What is struck, in order: every service about as often as another, the broker in the thick of it, nothing at the very end."""
    random = Random(f"{seed}/strikes")
    rounds: list[Target] = []
    while len(rounds) < size.kills:
        services: list[Target] = list(ALL_SERVICES)
        random.shuffle(services)
        rounds += services
    targets = rounds[: size.kills]
    broken: tuple[tuple[Target, int], ...] = (("broker", size.broker_kills), ("log", size.wipes))
    for target, times in broken:
        for _ in range(times):
            targets.insert(random.randint(len(targets) // 3, 2 * len(targets) // 3), target)
    step = 0.9 * size.events / len(targets)
    return tuple(
        Strike(int(0.04 * size.events + step * (n + random.random())), target, random.randint(0, 2500)) for n, target in enumerate(targets)
    )


def _events(random: Random, size: Size, began_at: datetime, people: Mapping[str, Sequence[Person]]) -> list[Event]:
    """All events in the order they are sent: journeys side by side, some twice, all of them shaken."""
    fresh = round(size.events / (1 + DUPLICATES))
    placed: list[tuple[float, Event]] = []
    number = 0
    while len(placed) < fresh:
        number += 1
        store = random.choice(list(people))
        person = random.choice(people[store])
        steps = journeys.any_journey(random, f"order-{number}", began_at, person.miles)
        first = random.uniform(0, fresh)
        for place, step in enumerate(steps):
            at = first + place * random.uniform(0, fresh / 20) + random.uniform(0, DISORDER)
            placed.append((at, _event(step, steps, f"e-{number}-{place}", store, person, began_at)))
    del placed[fresh:]
    again = random.choices(placed, k=size.events - fresh)
    placed += [(at + random.uniform(0, fresh / 10), event) for at, event in again]
    return [event for _, event in sorted(placed, key=lambda one: one[0])]


def _event(step: Step, steps: Sequence[Step], name: str, store: str, person: Person, began_at: datetime) -> Event:
    """The journey's last step is of the moment the storm begins, the ones before lie as long before it as they are apart."""
    ahead = max(s.after_minutes for s in steps)
    return journeys.as_event(step, name, store, person, began_at - timedelta(minutes=ahead - step.after_minutes))


def _batches(random: Random, events: Sequence[Event]) -> list[tuple[Event, ...]]:
    found: list[tuple[Event, ...]] = []
    first = 0
    while first < len(events):
        size = random.choice((1, 2, 5, 10, 20, BATCH_MAX))
        found.append(tuple(events[first : first + size]))
        first += size
    return found


def _group(stores: Sequence[str], zone: str, began_at: datetime, seconds: int) -> dict[str, Any]:
    """Half of the stores never close; the others close one by one, at full minutes while the storm goes on, so that promises are missed."""
    regions = ("north", "south")
    today = began_at.astimezone(ZoneInfo(zone))
    locations, staff = [], []
    for n, store in enumerate(stores):
        region = regions[n % 2]
        hours: dict[str, Any] = {}
        if n % 4 >= 2:
            closes = (today + timedelta(seconds=30 + seconds * (n + 1) / len(stores), minutes=1)).replace(second=0)
            hours = {"overrides": {today.date().isoformat(): [["00:00", closes.strftime("%H:%M")]]}}
        locations.append(
            {"id": store, "name": f"Store {n + 1}", "region": region, "timezone": zone, "phone": _number(n, STORE_LINE), "country": "US",
             "weekly": _ALWAYS, **hours}
        )  # fmt: skip
        staff.append(_member(f"manager-{n + 1}", "store_manager", [store], [], _number(n, STAFF_LINE)))
        staff.append(_member(f"associate-{n + 1}", "associate", [store], [], _number(n, STAFF_LINE + 1)))
    for n, region in enumerate(regions):
        staff.append(_member(f"head-{region}", "regional_manager", [], [region], _number(n, STAFF_LINE + 2)))
    staff.append(_member("cora", "compliance", [], [], _number(0, STAFF_LINE + 3)))
    staff.append(_member("ada", "admin", [], [], _number(1, STAFF_LINE + 3)))
    return {"regions": [{"id": name, "name": name.title()} for name in regions], "locations": locations, "staff": staff}


def _member(staff_id: str, role: str, locations: list[str], regions: list[str], phone: str) -> dict[str, Any]:
    name = f"{staff_id.replace('-', ' ').title()} Example"
    return {"id": staff_id, "name": name, "role": role, "locations": locations, "regions": regions, "phone": phone}


def _number(area: int, line: int) -> str:
    """555-01xx of one of the areas: numbers of fiction."""
    return f"+1{AREAS[area]}55501{line:02}"


def _noon(at: datetime) -> str:
    """The zone where it is closest to noon: whenever a storm is run, its day has hours to go and patients may be texted."""
    return min(ZONES, key=lambda zone: abs(at.astimezone(ZoneInfo(zone)).hour * 60 + at.astimezone(ZoneInfo(zone)).minute - 720))
