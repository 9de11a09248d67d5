"""A store changes its hours: its open cases are counted anew on a real Postgres, in batches, each in a recorded act."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from services.escalation.usecases import hours
from shared.contracts.directory import LocationChanged, Override, Shift
from tests.integration.escalation.bench import Bench, bench_on, incident, location
from tests.support.servers import fresh_database

LATE = dict.fromkeys(("mon", "tue", "wed", "thu", "fri"), (("10:00", "16:00"),))
Rows = list[tuple[Any, ...]]


@pytest_asyncio.fixture(loop_scope="session")
async def bench(postgres_dsn: str) -> AsyncIterator[Bench]:
    async with fresh_database(postgres_dsn, "hours") as database, bench_on(database) as made:
        yield made


def at(hour: int, minute: int = 0, day: int = 23) -> datetime:
    """A moment of November 2026 on the wall of New York."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC) + timedelta(hours=5)


def place(version: int, **changes: Any) -> LocationChanged:
    return location().model_copy(update={"version": version, **changes})


async def timers_of(bench: Bench) -> Rows:
    return [
        tuple(row) for row in await bench.engine.pool.fetch("select subject, kind, name, generation, due_at from timers order by 1, 2, 3")
    ]


async def dues_of(bench: Bench) -> Rows:
    return [tuple(row) for row in await bench.engine.pool.fetch("select case_id, targets from cases order by case_id")]


async def settle(bench: Bench) -> None:
    while await bench.loop.once():
        pass


async def test_13_a_store_that_changes_its_hours_has_its_open_cases_counted_anew(bench: Bench) -> None:
    await bench.report(*(incident(f"P-{n}") for n in range(3)), incident("P-9", location_id="store-99"))
    bench.clock.jump_to(at(9, 5))
    await bench.told(place(10, weekly=LATE, closures=("2026-11-26",)))
    await settle(bench)
    told = await bench.said("replanned")
    assert [(event["why"], event["location_id"], event["version"]) for event in told] == [("hours_changed", "store-12", 2)] * 3
    due = {target["milestone"]: target["due_at"] for target in told[0]["targets"]}
    # Severity 2 gives 15 and 60 minutes, 4 and 18 hours: from ten o'clock, six hours a day, Thanksgiving closed.
    assert due == {
        "acknowledge": "2026-11-23T15:15:00Z", "contact": "2026-11-23T16:00:00Z", "action": "2026-11-23T19:00:00Z",
        "resolve": "2026-11-25T21:00:00Z",
    }  # fmt: skip
    kept = {(kind, name): due_at for subject, kind, name, _, due_at in await timers_of(bench) if subject == told[0]["case_id"]}
    assert (kept["target", "contact"], kept["warning", "contact:50"]) == (at(11), at(10, 30))
    audited = await bench.engine.pool.fetch("select actor, action, subject from audit where action = 'location.hours_changed'")
    assert [tuple(row) for row in audited] == [("directory", "location.hours_changed", "store-12")]


async def test_13_hours_changed_back_give_back_the_same_due_times(bench: Bench) -> None:
    await bench.report(*(incident(f"P-{n}") for n in range(3)))
    before, timers = await dues_of(bench), await timers_of(bench)
    await bench.told(place(10, weekly=LATE))
    await settle(bench)
    assert await dues_of(bench) != before
    await bench.told(place(11))
    await settle(bench)
    strip = [(case_id, [(t["milestone"], t["due_at"], t["state"]) for t in targets]) for case_id, targets in before]
    assert [(case_id, [(t["milestone"], t["due_at"], t["state"]) for t in targets]) for case_id, targets in await dues_of(bench)] == strip
    assert await timers_of(bench) == timers


async def test_what_changes_no_hours_and_what_is_older_counts_nothing_anew(bench: Bench) -> None:
    await bench.report(incident())
    await bench.told(place(10, name="Elm Street", phone="+12125550112"))
    await bench.told(place(1, weekly=LATE))
    await settle(bench)
    assert await bench.said("replanned") == []
    assert [
        row["version"] for row in await bench.engine.pool.fetch("select version from location_hours where location_id = 'store-12'")
    ] == [1]


ANA, BEN = (Shift(staff_id=who, starts="2026-11-23T09:00", ends="2026-11-23T18:00") for who in ("ana", "ben"))
FROM_TEN = Override(staff_id="ben", instead_of="ana", starts="2026-11-23T10:00", ends="2026-11-23T18:00")


async def test_an_override_for_later_hands_the_page_of_an_open_case_over_when_it_begins(bench: Bench) -> None:
    await bench.told(place(10, roster=(ANA,)))
    await bench.report(incident())
    await bench.told(place(11, roster=(ANA,), roster_overrides=(FROM_TEN,)))
    await settle(bench)
    assert await bench.said("page_handed_over") == []
    bench.clock.jump_to(at(10))
    await settle(bench)
    (handed,) = await bench.said("page_handed_over")
    assert (handed["at"], handed["page"], handed["owner_staff_id"]) == ("2026-11-23T15:00:00Z", ["ben"], "ana")


@pytest.mark.parametrize(
    "redrawn", [{"roster": (BEN,)}, {"roster": (ANA,), "roster_overrides": (FROM_TEN.model_copy(update={"starts": "2026-11-23T09:00"}),)}]
)
async def test_a_roster_that_puts_another_on_duty_now_hands_the_pages_over_at_once(bench: Bench, redrawn: dict[str, Any]) -> None:
    """Told again it pages nobody again, and a case that somebody took is left alone. The first roster waits to be heard of as well."""
    await bench.told(place(10, roster=(ANA,)))
    await bench.report(incident(), incident("P-2"))
    await bench.post(f"/v1/cases/{(await bench.get('/v1/cases', 'machine')).json()['items'][0]['id']}/acknowledge")
    bench.clock.jump_to(at(9, 5))
    await bench.told(place(11, **redrawn))
    await settle(bench)
    (handed,) = await bench.said("page_handed_over")
    assert (handed["at"], handed["page"], handed["owner_staff_id"]) == ("2026-11-23T14:05:00Z", ["ben"], "ana")
    await bench.told(place(12, name="Elm Street", **redrawn))
    await bench.told(place(13, **{**redrawn, "roster": (*redrawn["roster"], BEN.model_copy(update={"starts": "2026-11-23T17:00"}))}))
    await settle(bench)
    assert len(await bench.said("page_handed_over")) == 1 and await bench.said("replanned") == []


async def test_thousands_of_cases_are_counted_anew_in_batches_and_the_last_hours_count(bench: Bench, monkeypatch: Any) -> None:
    """Method: batches of seven; between two of them the hours change once more, and the process that did the first batches is gone."""
    monkeypatch.setattr(hours, "CASES_AT_ONCE", 7)
    await bench.report(*(incident(f"P-{n:03}", location_id="store-12" if n % 3 else "store-99") for n in range(60)))
    await bench.told(place(10, weekly=LATE), location("store-99", "south").model_copy(update={"version": 11, "weekly": LATE}))
    await bench.loop.once()
    assert len(await bench.said("replanned")) == 7
    await bench.told(place(12, weekly=dict.fromkeys(LATE, (("11:00", "16:00"),))))
    await settle(bench)
    dues = await bench.engine.pool.fetch("select distinct location_id, targets -> 1 ->> 'due_at' as due from cases order by 1")
    assert [tuple(row) for row in dues] == [("store-12", "2026-11-23T17:00:00Z"), ("store-99", "2026-11-23T16:00:00Z")]
    assert await bench.engine.pool.fetchval("select count(*) from timers where kind = 'recount'") == 0
    assert await bench.engine.pool.fetchval("select count(*) from timers_done where kind = 'recount' and outcome = 'fired'") > 60 / 7


async def test_a_case_opened_after_the_change_is_planned_by_the_new_hours_and_not_counted_twice(bench: Bench) -> None:
    await bench.told(place(10, weekly=LATE))
    await bench.report(incident())
    await settle(bench)
    assert await bench.said("replanned") == []
    assert (await bench.only_case())["targets"][1]["due_at"] == "2026-11-23T16:00:00Z"


async def test_the_clock_takes_each_target_apart_by_the_hours_it_was_counted_with(bench: Bench) -> None:
    await bench.told(place(9, weekly=dict.fromkeys(LATE, (("09:00", "12:00"), ("13:00", "18:00")))))
    bench.clock.jump_to(at(9, 30))
    await bench.report(incident())
    case = await bench.only_case()
    await bench.advance(at(9, 50))
    await bench.post(f"/v1/cases/{case['id']}/acknowledge")
    await bench.told(place(10, weekly=LATE))
    await settle(bench)
    told = (await bench.get(f"/v1/cases/{case['id']}/clock")).json()
    targets = {target["milestone"]: target for target in told["targets"]}
    # Taken on by the hours of then; in touch by the hours of now.
    assert [(part["kind"], part["seconds"]) for part in targets["acknowledge"]["stretches"]] == [("counted", 900)]
    assert [line["what"] for line in targets["acknowledge"]["history"]] == ["planned", "warned", "warned", "breached", "met late"]
    assert [(part["kind"], part["seconds"]) for part in targets["action"]["stretches"]] == [("closed", 0), ("counted", 4 * 3600)]
    assert targets["action"]["history"][-1]["words"] == (
        "The store's hours changed: counted anew from the start, until Mon 23 Nov, 2:00 pm."
    )
    assert {target["counted_seconds"] - target["open_seconds"] for target in targets.values()} == {0}
