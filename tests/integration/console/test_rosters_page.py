"""The page of rosters: open hours of the next two weeks with nobody on duty, for the stores that the viewer sees."""

import re
from collections.abc import AsyncIterator
from itertools import count

import pytest
import pytest_asyncio

from shared import reference
from shared.contracts.directory import LocationChanged, Override, Shift
from tests.integration.console.conftest import World

pytestmark = pytest.mark.integration

HOME = "/operations/rosters"
_versions = count(100)
WEEK = dict.fromkeys(("mon", "tue", "wed", "thu", "fri", "sat"), (("09:00", "18:00"),))


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def as_it_was(world: World) -> AsyncIterator[None]:
    yield
    await rosters(world)
    await rosters(world, place="bay")


async def rosters(world: World, *shifts: Shift, place: str = "elm", overrides: tuple[Override, ...] = ()) -> None:
    name, region = {"elm": ("Elm Street", "north"), "bay": ("Bay Road", "south")}[place]
    told = LocationChanged(
        version=next(_versions), location_id=place, name=name, region=region, region_name=region.title(), timezone="America/New_York",
        weekly=WEEK, phone="+12125550112", roster=shifts, roster_overrides=overrides,
    )  # fmt: skip
    async with world.desk.engine.transaction() as tx:
        await reference.take_locations(tx, [world.fact(told)])


def daily(who: str, first: int, last: int, until: str = "18:00") -> list[Shift]:
    """A shift on each of these days of November and December 2026, from 1 November on."""
    days = [f"2026-11-{day:02}" if day <= 30 else f"2026-12-{day - 30:02}" for day in range(first, last + 1)]
    return [Shift(staff_id=who, starts=f"{day}T09:00", ends=f"{day}T{until}") for day in days]


async def shown(world: World, staff_id: str = "ada", **query: str) -> tuple[int, str]:
    async with world.signed_in(staff_id) as browser:
        answer = await browser.get(HOME, params=query)
    main = answer.text[answer.text.index("<main") :]
    return answer.status_code, re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main))


async def test_a_store_without_any_roster_has_no_gap(world: World) -> None:
    status, page = await shown(world)
    assert status == 200 and "No store here uses a roster." in page and "fewest open cases" in page
    await rosters(world, *daily("lee", 20, 40))
    _, page = await shown(world)
    assert "Somebody is on duty in every open hour. 1 store's roster covers the next 14 days." in page.replace("&#39;", "'")
    assert "No roster 1" in page and "Bay Road" in page


async def test_gaps_are_shown_with_their_store_the_longest_first_and_now_where_it_is_now(world: World) -> None:
    """It is Monday noon. Lee leaves at five each day and Sam's roster ends on Friday; today an override lets Bay Road's Sam go."""
    await rosters(world, *daily("lee", 20, 40, until="17:00"))
    off = Override(instead_of="sam", starts="2026-11-23T10:00", ends="2026-11-23T14:00")
    await rosters(world, *daily("sam", 20, 27), place="bay", overrides=(off,))
    _, page = await shown(world)
    assert page.index("Bay Road") < page.index("Elm Street")
    bay, elm = page[page.index("Bay Road") : page.index("Elm Street")], page[page.index("Elm Street") :]
    assert "68 h" in bay and "now Mon 23 Nov, 12:00 pm – 2:00 pm" in bay and "last shift ends Fri 27 Nov, 6:00 pm" in bay, bay
    assert "12 h" in elm and "Mon 23 Nov, 5:00 pm – 6:00 pm" in elm and "8 more" in elm and "goes on" in elm, elm


async def test_who_left_keeps_no_hour_and_who_looks_sees_their_own_stores(world: World) -> None:
    await rosters(world, *daily("gone", 20, 36))
    await rosters(world, *daily("sam", 20, 40, until="17:00"), place="bay")
    _, page = await shown(world, "lee")
    assert "no shift in these days" in page and "Bay Road" not in page and "Region" not in page
    _, south = await shown(world, "ada", region="south")
    assert "Bay Road" in south and "Elm Street" not in south
    status, nowhere = await shown(world, "ada", region="a\x00b")
    assert status == 200 and "No store here uses a roster." in nowhere
    async with world.browser() as stranger:
        answer = await stranger.get(HOME, headers={"accept": "text/html"}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
