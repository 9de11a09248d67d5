"""The people of a storm: the demo's own staff and patients at a hurried pace, who ask again until somebody answers.

They take cases, tell stories, decide about money, resolve and close over HTTP, each with a key of their own and an Idempotency-Key per
command; staff acknowledge and patients answer by text. What a case's people do depends on the seed and the patient alone; when they get
to it depends on the storm.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import httpx

from shared.embedded.day.people import Do, Member, Team, take_up
from shared.kernel.ids import new_id
from tests.chaos.provider import Provider
from tests.chaos.record import Done, Record

LOOK_EVERY: Final = 1.5
AGAIN_AFTER: Final = 0.5
# So many ask one service at a time: hundreds who knock at a door that is closed would be a storm of their own.
AT_ONCE: Final = 6
PAGE: Final = "50"
# Of a hundred patients with a case so many want no texts, besides those of the demo.
STOPS_PER_CENT: Final = 8
# An answer of these means: not now, ask again.
NOT_NOW: Final = frozenset({429, 500, 502, 503, 504})


class GoneHome(Exception):
    """The storm is over before the turn of whoever wanted to ask came."""


@dataclass
class People:
    """Everybody of the group. `urls`: where escalation and restitution answer; `minute`: seconds that one of the demo's minutes takes."""

    seed: int
    urls: Mapping[str, str]
    key: str
    keys: Mapping[str, str]
    team: Team
    phones: Mapping[str, str]
    provider: Provider
    record: Record
    minute: float
    _http: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=15, trust_env=False))
    _lanes: dict[str, asyncio.Semaphore] = field(default_factory=lambda: defaultdict(lambda: asyncio.Semaphore(AT_ONCE)))
    _seen: set[str] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _ended: list[asyncio.Task[None]] = field(default_factory=list)
    _resting: bool = False

    async def work(self) -> None:
        """Until cancelled: look for cases that nobody has thought about yet."""
        while True:
            await self._look()
            await asyncio.sleep(LOOK_EVERY)

    async def rest(self, within_seconds: float) -> None:
        """Nobody begins anything any more; what is being asked is asked to its end. Raises what went wrong on the way."""
        self._resting = True
        asking = [task for task in self._tasks if task.get_name() != "later"]
        for task in self._tasks.difference(asking):
            task.cancel()
        if asking:
            _, unanswered = await asyncio.wait(asking, timeout=within_seconds)
            assert not unanswered, f"{len(unanswered)} people wait for an answer"
        await self._http.aclose()
        for task in self._ended:
            task.result()

    async def _look(self) -> None:
        """Newest first, page by page, up to what is known."""
        cursor: str | None = None
        while True:
            query = {"limit": PAGE, **({"cursor": cursor} if cursor else {})}
            page = (await self.ask("GET", "/v1/cases", self.key, query=query)).json()
            fresh = [case for case in page["items"] if case["id"] not in self._seen]
            for case in fresh:
                self._seen.add(case["id"])
                self._take_up(case)
            cursor = page["next_cursor"]
            if cursor is None or not fresh:
                return

    def _take_up(self, case: dict[str, Any]) -> None:
        hands = Hands(self, Random(f"{self.seed}/{case['patient_ref']}/{case['catalyst']}"))
        phone = self.phones.get(case["patient_ref"])
        take_up(hands, self.team, case, phone)
        if phone is not None and hands.random.randrange(100) < STOPS_PER_CENT:
            hands.later(hands.random.uniform(0, 60), lambda: hands.text(phone, "STOP"))

    def spawn(self, seconds: float, do: Do) -> None:
        """Do it after a while, unless everybody rests by then."""
        task = asyncio.create_task(self._after(seconds, do), name="later")
        self._tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._ended.append(task)

    async def _after(self, seconds: float, do: Do) -> None:
        await asyncio.sleep(seconds)
        task = asyncio.current_task()
        assert task is not None, "it runs as one"
        # From here on it is not cancelled any more: what was asked once is asked until it is answered.
        task.set_name("now")
        if not self._resting:
            with contextlib.suppress(GoneHome):
                await do()

    async def ask(
        self, method: str, path: str, key: str, *, body: Mapping[str, Any] | None = None, query: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """One request, asked again under the same Idempotency-Key until somebody answers it."""
        base = self.urls["restitution" if path.startswith("/v1/restitutions") else "escalation"]
        headers = {"authorization": f"Bearer {key}"}
        if method == "POST":
            headers["idempotency-key"] = f'"{new_id()}"'
        async with self._lanes[base]:
            if self._resting:
                raise GoneHome
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    answer = await self._http.request(method, base + path, json=body, params=query, headers=headers)
                    if answer.status_code not in NOT_NOW and not _says(answer, "in-flight"):
                        return answer
                self.record.asked_again += 1
                await asyncio.sleep(AGAIN_AFTER)


@dataclass
class Hands:
    """The world as the people of one case have it; see `shared.embedded.day.people.World`."""

    people: People
    random: Random

    def later(self, minutes: float, do: Do) -> None:
        """After so many of the storm's minutes."""
        self.people.spawn(minutes * self.people.minute, do)

    async def as_person(self, staff_id: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """A command in somebody's name; what was done is on record."""
        answer = await self.people.ask("POST", path, self.people.keys[staff_id], body=body)
        is_lost = _says(answer, "answer-lost")
        if answer.status_code != httpx.codes.OK and not is_lost:
            return None
        subject, _, what = path.removeprefix("/v1/").partition("/")[2].partition("/")
        self.people.record.done.append(Done(what or "request", subject, staff_id))
        # Done, and nobody will ever say how: what people asked for next would need the answer.
        return None if is_lost else dict(answer.json())

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        """A question."""
        found: dict[str, Any] = (await self.people.ask("GET", path, self.people.key, query=query)).json()
        return found

    async def text(self, sender: str, body: str) -> None:
        """A text typed on somebody's phone."""
        await self.people.provider.text(sender, body)


def _says(answer: httpx.Response, code: str) -> bool:
    return answer.status_code == httpx.codes.CONFLICT and answer.json()["code"] == code


def team_of(group: Mapping[str, Any]) -> Team:
    """The group's staff, as its file tells."""
    members = tuple(Member(p["id"], p["role"], tuple(p["locations"]), tuple(p["regions"]), p["phone"]) for p in group["staff"])
    return Team(members, {place["id"]: place["region"] for place in group["locations"]})
