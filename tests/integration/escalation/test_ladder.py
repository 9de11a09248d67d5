"""The ladder on a real Postgres: storms, shifts, who is there when a late step fires, and cases that are nobody's."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from services.escalation import usecases
from shared import reference
from shared.contracts.directory import Override, Shift, StaffChanged
from tests.integration.escalation.bench import MON_9, Bench, bench_on, incident, location, told
from tests.support.servers import fresh_database

pytestmark = pytest.mark.integration

# The managers take turns before the region is called.
IN_TURN = """
name = "ladder"
version = 2
effective_from = 2026-11-01

[[ladders]]
severities = [1, 2, 3]
rungs = [
    { level = 0, who = ["owner"], hours = "always" },
    { level = 1, who = ["next:store_manager"] },
    { level = 2, who = ["region"], repeats = "until-taken" },
]
"""


@pytest_asyncio.fixture(loop_scope="session")
async def bench(postgres_dsn: str) -> AsyncIterator[Bench]:
    async with fresh_database(postgres_dsn, "escalation") as database, bench_on(database) as made:
        yield made


def minutes(count: float) -> Any:
    return MON_9 + timedelta(minutes=count)


def iso(count: float) -> str:
    """A moment as the contract's JSON spells it."""
    return str(minutes(count).isoformat().replace("+00:00", "Z"))


async def test_a_case_that_is_nobodys_is_somebodys_as_soon_as_somebody_is_there(bench: Bench) -> None:
    """Goal: no case stays without an owner while there is anybody. Method: a store where nobody works, then somebody does, then leaves."""

    async def staffed(version: int, *, active: bool, staff_id: str = "noa") -> int:
        person = StaffChanged(staff_id=staff_id, name="Example", role="associate", locations=("store-50",), active=active)
        async with bench.engine.transaction() as tx:
            await reference.take_staff(tx, [told(person, version)])
        async with bench.engine.transaction() as tx:
            return await usecases.find_owners(bench.desk, tx)

    async with bench.engine.transaction() as tx:
        await reference.take_locations(tx, [told(location("store-50", "nowhere"), 50)])
    await bench.report(incident(location_id="store-50"))
    async with bench.engine.transaction() as tx:
        assert await usecases.find_owners(bench.desk, tx) == 1
    assert (await bench.only_case())["owner"] is None
    assert await staffed(51, active=True) == 0
    assert (await bench.only_case())["owner"] == {"staff_id": "noa"}
    assert await staffed(52, active=False) == 1, "who has left is no owner"
    assert await staffed(53, active=True, staff_id="ora") == 0
    assigned = await bench.said("assigned")
    assert [(e["owner_staff_id"], e.get("was"), e["page"]) for e in assigned] == [("noa", None, ["noa"]), ("ora", "noa", ["ora"])]
    acts = await bench.engine.pool.fetch("select actor, action from audit order by seq")
    assert [(row["actor"], row["action"]) for row in acts] == [("system", "case.assign")] * 2


async def test_18_a_store_wide_breach_is_told_as_one_storm(bench: Bench) -> None:
    await bench.report(*(incident(f"P-{n}") for n in range(4)))
    await bench.advance(minutes(15))
    breached = await bench.said("target_breached")
    assert [event["storm"]["pages"] for event in breached] == [{"mia": 4}] * 4
    assert len({event["storm"]["storm_id"] for event in breached}) == 1


async def test_who_is_on_duty_is_looked_up_when_a_late_step_fires(bench: Bench) -> None:
    """Goal: what is late counts from its due time but pages who is there now. Method: an expiry fires after the shift has changed."""
    shifts = (
        Shift(staff_id="ana", starts="2026-11-23T09:00", ends="2026-11-23T13:30"),
        Shift(staff_id="ben", starts="2026-11-23T13:30", ends="2026-11-23T18:00"),
    )
    async with bench.engine.transaction() as tx:
        await reference.take_locations(tx, [told(location().model_copy(update={"roster": shifts}), 60)])
    await bench.report(incident())
    await bench.post(f"/v1/cases/{(await bench.only_case())['id']}/acknowledge")
    bench.clock.jump_to(minutes(280))
    while await bench.loop.once():
        pass
    (expired,) = await bench.said("acknowledgement_expired")
    assert (expired["at"], expired["page"]) == (iso(240), ["ana", "ben"])


async def test_who_left_is_never_on_duty_and_an_override_of_the_roster_is(bench: Bench) -> None:
    """Goal: paging asks the one rule of duty. Method: Ana is on the roster but has left, Ben's shift is Cleo's for the morning."""
    shifts = (
        Shift(staff_id="ana", starts="2026-11-23T09:00", ends="2026-11-23T18:00"),
        Shift(staff_id="ben", starts="2026-11-23T09:00", ends="2026-11-23T18:00"),
    )
    swap = Override(staff_id="cleo", instead_of="ben", starts="2026-11-23T09:00", ends="2026-11-23T13:00")
    gone = StaffChanged(staff_id="ana", name="Ana", role="associate", locations=("store-12",), active=False)
    async with bench.engine.transaction() as tx:
        await reference.take_staff(tx, [told(gone, 61)])
        await reference.take_locations(tx, [told(location().model_copy(update={"roster": shifts, "roster_overrides": (swap,)}), 62)])
    await bench.report(incident())
    assert (await bench.only_case())["owner"]["staff_id"] == "cleo"


async def test_a_page_is_handed_over_when_the_shift_ends(bench: Bench) -> None:
    shifts = (
        Shift(staff_id="ana", starts="2026-11-23T09:00", ends="2026-11-23T09:10"),
        Shift(staff_id="ben", starts="2026-11-23T09:10", ends="2026-11-23T18:00"),
    )
    async with bench.engine.transaction() as tx:
        await reference.take_locations(tx, [told(location().model_copy(update={"roster": shifts}), 60)])
    await bench.report(incident())
    await bench.advance(minutes(14))
    (handed,) = await bench.said("page_handed_over")
    assert (handed["at"], handed["page"], handed["owner_staff_id"]) == (iso(10), ["ben"], "ana")
    warned = await bench.said("target_at_risk")
    assert [event["page"] for event in warned] == [["ana"], ["ben"]]


async def test_who_takes_turns_is_paged_in_turn_also_after_a_restart(postgres_dsn: str) -> None:
    """Goal: `next:store_manager` goes round, whichever process pages. Method: the service starts again between two breaches."""

    async def breached(bench: Bench, *patients: str) -> list[list[str]]:
        """Whom the late acknowledgements of these cases page, one after the other."""
        for patient in patients:
            await bench.report(incident(patient))
            await bench.advance(bench.clock.now() + timedelta(minutes=1))
        await bench.advance(bench.clock.now() + timedelta(minutes=15))
        return [event["page"] for event in (await bench.said("target_breached")) if event["patient_ref"] in patients]

    async with fresh_database(postgres_dsn, "turns") as database:
        async with bench_on(database, later_ladders=(IN_TURN,)) as bench:
            moe = StaffChanged(staff_id="moe", name="Moe Example", role="store_manager", locations=("store-12",))
            async with bench.engine.transaction() as tx:
                await reference.take_staff(tx, [told(moe, 70)])
            assert await breached(bench, "P-1", "P-2", "P-3") == [["mia"], ["moe"], ["mia"]]
            told_steps = (await bench.get(f"/v1/cases/{await named(bench, 'P-2')}/clock")).json()["ladder"]["steps"]
            assert [(step["state"], step["who"], step["people"]) for step in told_steps] == [
                ("paged", ["owner"], ["ben"]),
                ("paged", ["next:store_manager"], ["moe"]),
                ("next", ["region"], ["rex"]),
            ]
        async with bench_on(database, later_ladders=(IN_TURN,)) as bench:
            bench.clock.jump_to(minutes(60))
            assert await breached(bench, "P-4") == [["moe"]]
            assert await breached(bench, "P-5") == [["mia"]]


async def named(bench: Bench, patient: str) -> str:
    """The reference of a patient's case."""
    items = (await bench.get("/v1/cases", "machine", patient_ref=patient)).json()["items"]
    return str(items[0]["reference"])


async def test_the_clock_of_a_case_tells_its_ladder_with_what_was_and_what_comes(bench: Bench) -> None:
    await bench.report(incident())
    await bench.advance(minutes(16))
    case = await bench.only_case()
    ladder = (await bench.get(f"/v1/cases/{case['id']}/clock")).json()["ladder"]
    assert (ladder["name"], ladder["version"], ladder["acknowledged"]) == ("ladder", 1, None)
    assert [(s["state"], s["level"], s["people"], s["how"], s["at"] or s["due_at"]) for s in ladder["steps"]] == [
        ("paged", 0, ["ana"], ["text"], iso(0)),
        ("paged", 1, ["mia"], ["text"], iso(15)),
        ("next", 2, ["rex"], ["text"], iso(30)),
    ]
    assert ladder["steps"][-1]["repeats"] == {"times": None, "every_seconds": 1800}
    await bench.post(f"/v1/cases/{case['id']}/acknowledge")
    ladder = (await bench.get(f"/v1/cases/{case['id']}/clock")).json()["ladder"]
    assert {step["acknowledged"]["by"] for step in ladder["steps"]} == {"ana"} and ladder["acknowledged"]["expires_at"] == iso(256)
