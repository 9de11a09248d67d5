"""`docker compose up` and nothing else: the third trip goes through it, and what happened is still there after `down` and `up`."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import yaml

from tests.support.builders import ANA, LEE, Patient, group, three_trips
from tests.support.compose import Compose, lacks, project
from tests.support.eventually import eventually
from tests.support.fleet import PAST
from tests.support.stack import BATCH, client

WORDS = "The left side slides down when I read."
STORY = {"verbatim": WORDS, "wished_outcome": "Glasses that stay on.", "read_back_confirmed": True}
SCOPES = ("events:write", "cases:read", "cases:write", "restitutions:read", "notices:read")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def compose() -> AsyncIterator[Compose]:
    if (reason := lacks()) is not None:
        pytest.skip(f"docker compose is not tried: {reason}")
    async with project() as made:
        yield made


@pytest.fixture
def group_file(tmp_path: Path) -> Path:
    """The small group, readable by whoever the container runs as."""
    file = tmp_path / "group.yaml"
    file.write_text(yaml.safe_dump(group()), "utf-8")
    file.chmod(0o644)
    return file


@pytest.mark.timeout(1500)
async def test_the_third_trip_goes_through_compose_and_survives_down_and_up(compose: Compose, group_file: Path) -> None:
    seconds = await compose.up()
    print(f"healthy after {seconds:.0f} s")
    assert "2 regions, 3 locations" in await compose.command("directory", "load", "/file", file=group_file)
    key = await compose.command("keys", "create", "stories", *(word for scope in SCOPES for word in ("--scope", scope)))

    paula = Patient("Paula Example")
    async with client(compose.urls["intake"], key) as http:
        taken = await http.post("/v1/events", json=list(three_trips(paula, "order-paula", now=PAST)), headers={"content-type": BATCH})
        assert (taken.status_code, taken.json()["rejected"]) == (202, 0)
    case = await _case(compose, key, paula.ref)
    assert case["owner"] == {"staff_id": LEE}
    async with client(compose.urls["escalation"], key) as http:
        assert (await http.post(f"/v1/cases/{case['id']}/story", json=STORY)).status_code == 200
    async with client(compose.urls["restitution"], key) as http:

        async def settled() -> bool:
            items = (await http.get("/v1/restitutions", params={"case_id": case["id"]})).json()["items"]
            return [item["status"] for item in items] == ["settled"]

        await eventually(settled, within_seconds=60, every_seconds=0.5)
    await _the_page_tells_the_story(compose, case["reference"])
    async with client(compose.urls["notification"], key) as http:
        notices = (await http.get("/v1/notices", params={"case_id": case["id"]})).json()["items"]
    # There is no provider here: what may leave waits and says why, and nothing was lost.
    assert ("held", "no-provider") in {(notice["status"], notice["reason"]) for notice in notices}

    await compose.run("down")
    print(f"healthy again after {await compose.up():.0f} s")
    again = await _case(compose, key, paula.ref)
    assert (again["id"], again["incidents"]) == (case["id"], case["incidents"])
    await _the_page_tells_the_story(compose, case["reference"])


async def _case(compose: Compose, key: str, ref: str) -> dict[str, Any]:
    async with client(compose.urls["escalation"], key) as http:

        async def opened() -> dict[str, Any]:
            (found,) = (await http.get("/v1/cases", params={"patient_ref": ref})).json()["items"] or [{}]
            return dict(found)

        return await eventually(opened, within_seconds=60, every_seconds=0.5)


async def _the_page_tells_the_story(compose: Compose, reference: str) -> None:
    """Its words are fetched from escalation by the console's own signature."""
    async with httpx.AsyncClient(base_url=compose.urls["console"], timeout=30, trust_env=False) as browser:
        assert (await browser.get("/", follow_redirects=True)).status_code == 200
        assert (await browser.post("/sign-in", data={"staff_id": ANA})).status_code == 303

        async def told() -> bool:
            return WORDS in (await browser.get(f"/cases/{reference}")).text

        await eventually(told, within_seconds=60, every_seconds=0.5)
