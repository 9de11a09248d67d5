"""What the group's people do about a case: take it or let it climb, call, write the story down, decide, resolve; and patients answer.

Called by the day for each case it has not seen. Everything goes through the public API with a key that acts as the person, or by text,
so a person at the console may come first at any step: what is refused then ends that step and nothing else.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Protocol

from shared.embedded.day import words

Do = Callable[[], Awaitable[None]]
# Of ten cases: how many minutes until somebody takes it, and from how far up the ladder.
PROMPT, SLOW, FORGOTTEN = (2, 11), (18, 40), (50, 110)
WAITS: Final = ((PROMPT, 68), (SLOW, 20), (FORGOTTEN, 12))


class World(Protocol):
    """What they act through."""

    random: Random

    def later(self, minutes: float, do: Do) -> None:
        """Do something after so many minutes of business time."""
        ...

    async def as_person(self, staff_id: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """A command in somebody's name; None where it was refused."""
        ...

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        """A question."""
        ...

    async def text(self, sender: str, body: str) -> None:
        """A text typed on somebody's phone."""
        ...


@dataclass(frozen=True, slots=True)
class Member:
    """One of the staff, as the directory tells."""

    staff_id: str
    role: str
    locations: tuple[str, ...]
    regions: tuple[str, ...]
    phone: str | None


@dataclass
class Team:
    """Who is who."""

    members: tuple[Member, ...]
    region_of: dict[str, str] = field(default_factory=dict)

    def of(self, role: str, store_id: str) -> list[Member]:
        """People of a role who answer for a store."""
        region = self.region_of.get(store_id)
        return [
            m
            for m in self.members
            if m.role == role and (role in ("compliance", "admin") or store_id in m.locations or region in m.regions)
        ]

    def named(self, staff_id: str | None) -> Member | None:
        return next((m for m in self.members if m.staff_id == staff_id), None)


def take_up(world: World, team: Team, case: dict[str, Any], phone: str | None, *, at_once: bool = False) -> None:
    """Plan what people do about a case that was seen for the first time. `phone`: the patient's number, where it is known."""
    random, store_id = world.random, case["location_id"]
    spread = (2, 3) if at_once else random.choices([w for w, _ in WAITS], [n for _, n in WAITS])[0]
    wait = random.uniform(*spread)
    higher = [*team.of("store_manager", store_id), *team.of("regional_manager", store_id)]
    owner = team.named((case["owner"] or {}).get("staff_id")) or (higher[0] if higher else None)
    if owner is None:
        return
    taker = owner if spread in (PROMPT, (2, 3)) or not higher else random.choice(higher)
    by_text = not at_once and taker.phone is not None and random.random() < 0.3

    async def take() -> None:
        if case["status"] == "acknowledged":
            pass
        elif by_text and taker.phone is not None:
            await world.text(taker.phone, "ACK")
        else:
            await world.as_person(taker.staff_id, f"/v1/cases/{case['id']}/acknowledge")
        _work(world, team, case, taker, at_once=at_once)

    world.later(wait, take)
    if phone is not None:
        _answers(world, phone)


def _answers(world: World, phone: str) -> None:
    """Some patients answer the receipt, and a few do not want texts."""
    said = world.random.choices((None, "thanks", "HELP", "STOP"), (74, 20, 3, 3))[0]
    if said is not None:
        body = world.random.choice(words.THANKS) if said == "thanks" else said
        world.later(world.random.uniform(2, 15), lambda: world.text(phone, body))


def _work(world: World, team: Team, case: dict[str, Any], taker: Member, *, at_once: bool) -> None:
    """From the call to the closing; the numbers are minutes after the acknowledgement."""
    random, pace = world.random, 0.4 if at_once else 1.0
    address = f"/v1/cases/{case['id']}"
    verbatim, wish = random.choice(words.STORIES)
    call = {"kind": "call", "note": random.choice(words.CALL_NOTES)}
    story = {"verbatim": verbatim, "wished_outcome": wish, "read_back_confirmed": True}
    deed = random.choice(("adjustment", "remake", "order_expedited"))
    done = {"root_cause": random.choice(words.ROOT_CAUSES), "action": deed, "note": "Tried on together; the patient is content."}

    def ask(minutes: float, path: str, body: dict[str, Any] | None = None) -> None:
        async def command() -> None:
            await world.as_person(taker.staff_id, address + path, body)

        world.later(minutes * pace, command)

    called = random.uniform(4, 25)
    ask(called, "/actions", call)
    ask(called + random.uniform(2, 9), "/story", story)
    world.later((called + 12) * pace, lambda: _decide(world, team, case))
    if not at_once and random.random() < 0.2:
        world.later(called + 6, lambda: _wish_for(world, team, case, taker))
    acted = called + random.uniform(15, 45)
    ask(acted, "/actions", {"kind": deed, "note": None})
    if deed in words.PROMISED:
        ask(acted + 1, "/promises", {"what": words.PROMISED[deed]})
    resolved = acted + random.uniform(10, 90 if not at_once else 20)
    ask(resolved, "/resolve", done)
    ask(resolved + random.uniform(60, 240), "/close")


async def _decide(world: World, team: Team, case: dict[str, Any]) -> None:
    """Somebody with the authority looks at what was referred."""
    for asked in (await world.get("/v1/restitutions", case_id=case["id"]))["items"]:
        if asked["status"] != "referred":
            continue
        role = (asked["needs"] or {}).get("role", "store_manager")
        deciders = [m for m in team.of(role, case["location_id"]) if m.staff_id != asked["requested_by"]]
        if not deciders:
            continue
        decider, address = world.random.choice(deciders), f"/v1/restitutions/{asked['id']}"
        if role == "compliance" and asked["kind"] == "gas_money":
            await world.as_person(decider.staff_id, f"{address}/decline", {"reason": "No cash for this payer; offer a care kit instead."})
        else:
            body = {"amount_minor": 1500} if asked["kind"] == "gas_money" and not asked["amount_minor"] else None
            await world.as_person(decider.staff_id, f"{address}/approve", body)


async def _wish_for(world: World, team: Team, case: dict[str, Any], taker: Member) -> None:
    """The one who listened asks for a gesture; another one decides."""
    kind, worth = world.random.choice((("care_kit", 900), ("home_delivery", 1200), ("store_credit", 4000)))
    wanted = {"case_id": case["id"], "kind": kind, "amount_minor": worth, "reason": "It would put this right."}
    if await world.as_person(taker.staff_id, "/v1/restitutions", wanted) is not None:
        world.later(world.random.uniform(3, 20), lambda: _decide(world, team, case))
