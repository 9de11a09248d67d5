"""Whatever arrives on whichever POST, the answer is a sentence about it (4xx problem+json), never our fault (5xx) and never silence."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.builders import MORNING, Patient, complaint, event
from tests.support.eventually import eventually
from tests.support.stack import BATCH, Amends

pytestmark = pytest.mark.e2e

VECTORS: Final = Path(__file__).parents[1] / "vectors"
SOME_ID: Final = "01900000-0000-7000-8000-000000000000"
# Pages and the phone are no part of the described API, but they take bodies too.
PAGES: Final = (
    "/sign-in", "/sign-out", "/p/some-token", f"/cases/{SOME_ID}/do/story", "/dev/phone/messages", "/dev/phone/faults",
    "/2010-04-01/Accounts/AC1/Messages.json",
)  # fmt: skip
AT_ONCE: Final = 16


async def test_no_malformed_body_is_our_fault_on_any_post(amends: Amends) -> None:
    cases = json.loads((VECTORS / "malformed_json.json").read_text("utf-8"))["cases"]
    paths = [*await _posts(amends), *PAGES]
    assert len(paths) > 20
    limit = asyncio.Semaphore(AT_ONCE)
    wrong: list[str] = []

    async def one(path: str, case: dict[str, Any]) -> None:
        async with limit:
            answer = await amends.http.post(path, content=_body(case), headers={"content-type": "application/json"})
        is_refused = 400 <= answer.status_code < 500
        is_problem = answer.headers.get("content-type", "").startswith("application/problem+json")
        if answer.status_code >= 500 or (case["expect"] == "reject" and not is_refused):
            wrong.append(f"{path} {case['name']}: {answer.status_code}")
        elif is_refused and not is_problem and path not in PAGES:
            wrong.append(f"{path} {case['name']}: {answer.headers.get('content-type')}")

    await asyncio.gather(*(one(path, case) for path in paths for case in cases))
    assert not wrong, f"{len(wrong)} of {len(paths) * len(cases)}: {sorted(wrong)[:20]}"


def _body(case: dict[str, Any]) -> bytes:
    if "repeat" in case:
        piece, times = case["repeat"]
        return str(piece).encode() * int(times)
    return base64.b64decode(case["b64"])


async def _posts(amends: Amends) -> list[str]:
    """Every POST of the described API, with an id of nothing in each place of the address."""
    described = (await amends.get("/openapi.json"))["paths"]
    found = []
    for path, methods in described.items():
        if "post" in methods:
            names = {p["name"] for p in methods["post"].get("parameters", ()) if p["in"] == "path"}
            for name in names:
                path = path.replace("{" + name + "}", SOME_ID)
            found.append(path)
    return sorted(found)


async def test_each_fault_has_its_own_code_and_harms_no_neighbour(amends: Amends) -> None:
    now = await amends.open_hours(hours=1)
    nora = Patient("Nora Example")
    bad = {
        "unknown-location": event("complaint.submitted", now, location_id="nowhere", channel="web", text="?"),
        "unknown-type": event("pos.teapot.boiled", now, location_id="elm-street"),
        "future-time": event("complaint.submitted", now.replace(year=now.year + 1), location_id="elm-street", channel="web", text="?"),
        "invalid-data": event("pos.visit.checked_in", now, location_id="elm-street", reason="boredom"),
        "invalid-event": complaint(nora, "?", now) | {"specversion": "0.3"},
    }
    good = complaint(nora, "Still waiting.", now)
    answer = await amends.post_events(*bad.values(), good)
    assert [r.get("problem", {}).get("code") for r in answer["results"]] == [*bad, None]
    assert (answer["accepted"], answer["rejected"]) == (1, len(bad))
    await amends.settle()
    assert (await amends.case_of(nora.ref))["incidents"] == 1


async def test_too_much_the_wrong_kind_and_the_wrong_key_are_told_apart(amends: Amends) -> None:
    one = complaint(Patient("Nuno Example"), "?", MORNING)
    headers = {"content-type": BATCH}
    large = json.dumps([one]).encode()
    answers = {
        "too large": await amends.http.post("/v1/events", content=large.ljust(1024 * 1024 + 1), headers=headers),
        "too many": await amends.http.post("/v1/events", json=[{}] * 1001, headers=headers),
        "wrong kind": await amends.http.post("/v1/events", content=large, headers={"content-type": "text/csv"}),
        "wrong key": await amends.http.post("/v1/events", content=large, headers=headers | {"authorization": "Bearer amk_0_0"}),
        "no key": await amends.http.post("/v1/events", content=large, headers=headers | {"authorization": ""}),
        "not enough": await amends.people["lee"].post("/v1/keys", json={"name": "mine", "scopes": ["parked:write"]}),
    }
    status = {what: answer.status_code for what, answer in answers.items()}
    assert status == {"too large": 413, "too many": 413, "wrong kind": 415, "wrong key": 401, "no key": 401, "not enough": 403}
    for answer in answers.values():
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert answer.json()["code"]


async def test_everything_is_ready_and_stays_so(amends: Amends) -> None:
    async def ready() -> bool:
        answer = await amends.http.get("/readyz", params={"verbose": ""})
        return answer.status_code == 200

    await eventually(ready)
