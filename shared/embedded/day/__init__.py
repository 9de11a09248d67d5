"""A day of a twelve-store group: what its stores send, what its people do, what its patients answer.

Called by `amends demo`. Everything goes in by the doors that everybody uses (events, the API with keys that act as people, texts), paced
by business time: paused, sped up or jumped, the day goes along. Invariant: one seed tells the same stories; a step that is refused because
somebody else was first is let go; nothing here knows a database or a topic.
"""

import asyncio
import heapq
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Any, Final

import httpx

from shared.calendars import Calendar
from shared.embedded.day import journeys
from shared.embedded.day.journeys import Person, Step
from shared.embedded.day.people import Do, Member, Team, take_up
from shared.kernel.clock import Clock
from shared.telemetry import logs

TICK_SECONDS: Final = 0.5
LOOK_EVERY: Final = 2.0
# New journeys a store and open hour; of a jump only the last hour is lived, so that a week at once floods nobody.
JOURNEYS_AN_HOUR: Final = 2.2
LIVED_AT_ONCE: Final = timedelta(hours=1)
STEPS_A_TICK: Final = 200
KEY_TRIES, KEY_WAIT = 40, 0.1
_BATCH: Final = "application/cloudevents-batch+json"
_log = logs.get("day")


@dataclass(frozen=True, slots=True)
class Store:
    """A store with its hours and its patients."""

    store_id: str
    name: str
    calendar: Calendar
    patients: tuple[Person, ...]


@dataclass
class Day:
    """The world that the day happens in; see `people.World`."""

    http: httpx.AsyncClient
    clock: Clock
    random: Random
    run: str
    team: Team
    stores: tuple[Store, ...]
    say: Callable[[str], None]
    phones: dict[str, str] = field(default_factory=dict)
    hurried: set[str] = field(default_factory=set)
    _seen: set[str] = field(default_factory=set)
    _keys: dict[str, str] = field(default_factory=dict)
    _plan: list[tuple[datetime, int, Do]] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def later(self, minutes: float, do: Do) -> None:
        """After so many minutes of business time."""
        heapq.heappush(self._plan, (self.clock.now() + timedelta(minutes=minutes), next(self._numbers), do))

    async def live(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        lived_until, look_at = self.clock.now(), 0.0
        self._begin()
        while True:
            now = self.clock.now()
            self._new_journeys(max(lived_until, now - LIVED_AT_ONCE), now)
            lived_until = now
            await self._do_what_is_due(now)
            if loop.time() >= look_at:
                look_at = loop.time() + LOOK_EVERY
                await self._safely(self._look)
            await asyncio.sleep(TICK_SECONDS)

    def _begin(self) -> None:
        """The story that everybody is here for, within the first hour of the day: a third trip, from the door to the resolution."""
        now = self.clock.now()
        open_now = [store for store in self.stores if store.calendar.is_open(now)] or list(self.stores)
        store = open_now[-1]
        # Somebody whose payer is no programme and who lives nine miles away, so that the system itself may approve.
        person = next((p for p in store.patients if p.data["payer"] == "commercial" and p.miles), store.patients[0])
        self.hurried.add(person.ref)
        self._start(store, person, journeys.third_trip(self.random, self._name("order"), now, 9))
        self.say(f"{person.name} is at {store.name} for the third time with the same glasses.")

    def _new_journeys(self, since: datetime, now: datetime) -> None:
        hours = (now - since).total_seconds() / 3600
        for store in self.stores:
            if store.calendar.is_open(now) and self.random.random() < hours * JOURNEYS_AN_HOUR:
                person = self.random.choice(store.patients)
                order = self._name("order")
                self._start(store, person, journeys.any_journey(self.random, order, now, person.miles))

    def _start(self, store: Store, person: Person, steps: Sequence[Step]) -> None:
        first = [step for step in steps if step.after_minutes == 0]
        self.later(0, lambda: self._send(store, person, first))
        for step in steps:
            if step.after_minutes:
                self.later(step.after_minutes, lambda step=step: self._send(store, person, [step]))  # type: ignore[misc]

    async def _send(self, store: Store, person: Person, steps: Sequence[Step]) -> None:
        now = self.clock.now()
        events = [journeys.as_event(step, self._name("e"), store.store_id, person, now) for step in steps]
        if events:
            await self.http.post("/v1/events", json=events, headers={"content-type": _BATCH})

    async def _do_what_is_due(self, now: datetime) -> None:
        for _ in range(STEPS_A_TICK):
            if not self._plan or self._plan[0][0] > now:
                return
            await self._safely(heapq.heappop(self._plan)[2])

    async def _look(self) -> None:
        """Cases that nobody of ours has thought about yet."""
        for status in ("open", "acknowledged"):
            for case in (await self.get("/v1/cases", status=status, limit="200"))["items"]:
                if case["id"] not in self._seen:
                    self._seen.add(case["id"])
                    ref = case["patient_ref"]
                    take_up(self, self.team, case, self.phones.get(ref), at_once=ref in self.hurried)
                    self.hurried.discard(ref)

    async def _safely(self, do: Do) -> None:
        """A step of the day that does not come through is not worth the day."""
        try:
            await do()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            _log.warning("a step of the day was not heard", error=type(error).__name__)

    async def as_person(self, staff_id: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """A command in somebody's name; a new key is asked with again until every service has heard of it."""
        headers = {"authorization": f"Bearer {await self._key_of(staff_id)}"}
        for _ in range(KEY_TRIES):
            answer = await self.http.post(path, json=body, headers=headers)
            if answer.status_code != 401:
                break
            await asyncio.sleep(KEY_WAIT)
        return answer.json() if answer.is_success else None

    async def _key_of(self, staff_id: str) -> str:
        if staff_id not in self._keys:
            answer = await self.http.post("/v1/keys", json={"name": f"demo {staff_id}", "staff_id": staff_id})
            answer.raise_for_status()
            self._keys[staff_id] = answer.json()["key"]
        return self._keys[staff_id]

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        """A question with the day's own key."""
        answer = await self.http.get(path, params=query)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    async def text(self, sender: str, body: str) -> None:
        """A text typed on somebody's phone."""
        await self.http.post("/dev/phone/messages", json={"from": sender, "body": body})

    def _name(self, kind: str) -> str:
        return f"{kind}-{self.run}-{next(self._numbers)}"


async def live_a_day(url: str, key: str, clock: Clock, seed: int, say: Callable[[str], None] = lambda _: None) -> None:
    """Live on the group that the directory at `url` tells of, until cancelled. `key` needs every scope; `clock` is business time.

    Where every store is closed at first, business time moves to half an hour after the first opening.
    """
    async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=30, trust_env=False) as http:
        stores, team = await _learn(http, seed)
        await _open(http, clock, stores)
        phones = {person.ref: person.phone for store in stores for person in store.patients}
        run = f"{int(clock.now().timestamp()):x}"
        await Day(http, clock, Random(seed), run, team, stores, say, phones).live()


async def _learn(http: httpx.AsyncClient, seed: int) -> tuple[tuple[Store, ...], Team]:
    """The group as the directory has it."""
    locations = await _all(http, "/v1/locations")
    staff = await _all(http, "/v1/staff")
    stores = tuple(
        Store(
            row["id"],
            row["name"],
            Calendar.of(row),
            tuple(journeys.patient(row["id"], row["phone"], n, seed) for n in range(journeys.PATIENTS_PER_STORE)),
        )
        for row in locations
        if row["phone"]
    )
    members = tuple(Member(p["id"], p["role"], tuple(p["locations"]), tuple(p["regions"]), p["phone"]) for p in staff if p["active"])
    return stores, Team(members, {row["id"]: row["region"] for row in locations})


async def _all(http: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        answer = await http.get(path, params={"limit": "200", **({"cursor": cursor} if cursor else {})})
        answer.raise_for_status()
        body = answer.json()
        found += body["items"]
        cursor = body["next_cursor"]
        if cursor is None:
            return found


async def _open(http: httpx.AsyncClient, clock: Clock, stores: Sequence[Store]) -> None:
    """Nobody watches closed stores at night: forward to half an hour after the next opening."""
    now = clock.now()
    closed = [store for store in stores if not store.calendar.is_open(now)]
    if len(closed) * 3 < len(stores) * 2:
        return
    openings = [opens for store in closed for opens, _ in store.calendar.intervals(now, now + timedelta(days=7))[:1]]
    if openings:
        ahead = min(openings) + timedelta(minutes=30) - now
        with suppress(httpx.HTTPError):
            await http.post("/dev/clock", json={"advance_seconds": ahead.total_seconds()})
