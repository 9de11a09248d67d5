"""The pages behind their real doors: signing in, forms, what a refusal looks like, the patient's page."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from services.console.gateway import HttpServices
from shared.contracts.cases import CaseAcknowledged, Promise, PromiseMade, Target
from shared.kernel.errors import Rejected, Transient
from tests.integration.console.conftest import World, refuses

pytestmark = pytest.mark.integration

TOKEN = "k" * 43


def token_of(page: str) -> str:
    found = re.search(r'name="anti_forgery" value="([^"]+)"', page)
    assert found, page[:500]
    return found[1]


async def press(browser: httpx.AsyncClient, page: str, command: str, fields: Mapping[str, str] | None = None) -> httpx.Response:
    """A button of a case's page, with what the page's form carries."""
    shown = await browser.get(page)
    return await browser.post(f"{page}/do/{command}", data={"anti_forgery": token_of(shown.text), **(fields or {})})


async def test_without_a_session_the_queue_is_a_sign_in_page_and_nothing_else_opens(world: World) -> None:
    async with world.browser() as browser:
        first = await browser.get("/")
        assert (first.status_code, "Sign in" in first.text) == (200, True)
        assert (await browser.get("/cases/AM-7F3K-9X")).headers["location"] == "/sign-in"
        assert [(await browser.get(path)).status_code for path in ("/v1/queue", "/v1/trends", "/live")] == [401, 401, 401]


async def test_one_button_per_role_signs_the_same_person_in_each_time(world: World) -> None:
    async with world.browser() as browser:
        buttons = re.findall(r'<button name="staff_id" value="(\w+)"><strong>([^<]+)', (await browser.get("/sign-in")).text)
    assert dict(buttons) == {"lee": "Associate", "raj": "Regional manager", "cleo": "Compliance", "ada": "Administrator"}


async def test_the_cookie_is_for_this_site_alone_and_no_script_reads_it(world: World) -> None:
    async with world.browser() as browser:
        cookie = (await browser.post("/sign-in", data={"staff_id": "lee"})).headers["set-cookie"].lower()
    assert cookie.startswith("amends=")
    assert all(part in cookie for part in ("httponly", "samesite=lax", "path=/"))


@pytest.mark.parametrize("staff_id", ["gone", "nobody"])
async def test_who_left_or_never_was_does_not_come_in(world: World, staff_id: str) -> None:
    async with world.browser() as browser:
        assert (await browser.post("/sign-in", data={"staff_id": staff_id})).status_code == 404


async def test_a_session_ends_by_idleness_by_age_and_by_signing_out(world: World) -> None:
    for ended in ("seen_at = clock_timestamp() - interval '16 minutes'", "created_at = clock_timestamp() - interval '13 hours'"):
        async with world.signed_in("lee") as browser:
            assert (await browser.get("/v1/queue")).status_code == 200
            await world.desk.engine.pool.execute(f"update sessions set {ended}")
            assert (await browser.get("/v1/queue")).status_code == 401
    async with world.signed_in("lee") as browser:
        page = (await browser.get("/")).text
        held = browser.cookies["amends"]
        await browser.post("/sign-out", data={"anti_forgery": token_of(page)})
        assert (await browser.get("/v1/queue", headers={"cookie": f"amends={held}"})).status_code == 401


async def test_a_form_without_its_token_or_from_another_site_changes_nothing(world: World) -> None:
    case = world.case()
    await world.hears(case)
    async with world.signed_in("lee") as browser, world.signed_in("lee") as other:
        page = f"/cases/{case.reference}"
        theirs = token_of((await other.get(page)).text)
        mine = token_of((await browser.get(page)).text)
        world.services.asked.clear()
        for data, headers in (
            ({}, {}),
            ({"anti_forgery": theirs}, {}),
            ({"anti_forgery": mine}, {"sec-fetch-site": "cross-site"}),
        ):
            assert (await browser.post(f"{page}/do/acknowledge", data=data, headers=headers)).status_code == 403
    assert world.services.asked == []


async def test_taking_a_case_on_is_asked_of_escalation_in_the_persons_name(world: World) -> None:
    case = world.case()
    await world.hears(case)
    async with world.signed_in("lee") as browser:
        answer = await press(browser, f"/cases/{case.reference}", "acknowledge")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/cases/{case.reference}?done=acknowledge")
        assert "It is yours now" in (await browser.get(answer.headers["location"])).text
    service, path, asker, body = next(asked for asked in world.services.asked if asked[3] is not None)
    assert (service, path, asker.kind, asker.staff_id, body) == (
        "escalation", f"/v1/cases/{case.case_id}/acknowledge", "person", "lee", {},
    )  # fmt: skip


async def test_a_story_goes_out_as_typed_and_stays_in_the_form_when_refused(world: World) -> None:
    case = world.case(CaseAcknowledged, status="acknowledged")
    await world.hears(case)
    story = {"verbatim": "It <b>slides</b> down.", "wished_outcome": "That it stays.", "read_back_confirmed": "yes"}
    world.services.answers[f"/v1/cases/{case.case_id}/story"] = Transient("escalation does not answer")
    async with world.signed_in("lee") as browser:
        answer = await press(browser, f"/cases/{case.reference}", "story", story)
    assert answer.status_code == 503
    assert "Nothing was changed" in answer.text
    assert "It &lt;b&gt;slides&lt;/b&gt; down." in answer.text
    sent = next(body for _, _, _, body in world.services.asked if body is not None)
    assert sent == {"verbatim": "It <b>slides</b> down.", "wished_outcome": "That it stays.", "read_back_confirmed": True}


async def test_a_resolution_before_the_story_says_what_to_do(world: World) -> None:
    case = world.case()
    await world.hears(case)
    world.services.answers[f"/v1/cases/{case.case_id}/resolve"] = refuses("story-not-confirmed", "Not yet.")
    async with world.signed_in("lee") as browser:
        answer = await press(browser, f"/cases/{case.reference}", "resolve", {"root_cause": "lab_error", "action": "other"})
    assert answer.status_code == 409
    assert "Listen first" in answer.text


async def test_an_amount_is_typed_in_dollars_and_sent_in_cents(world: World) -> None:
    case = world.case()
    await world.hears(case)
    wish = {"kind": "store_credit", "amount": "$26.105", "reason": "for the trouble"}
    async with world.signed_in("lee") as browser:
        assert (await press(browser, f"/cases/{case.reference}", "request", wish)).status_code == 303
        assert (await press(browser, f"/cases/{case.reference}", "request", wish | {"amount": "a lot"})).status_code == 400
    sent = [body for _, _, _, body in world.services.asked if body is not None]
    assert sent == [{"case_id": str(case.case_id), "kind": "store_credit", "amount_minor": 2611, "reason": "for the trouble"}]


@pytest.mark.parametrize("restitution_id", ["../cases", "", "0193/approve?x="])
async def test_what_a_form_names_never_becomes_another_address(world: World, restitution_id: str) -> None:
    case = world.case()
    await world.hears(case)
    async with world.signed_in("ada") as browser:
        answer = await press(browser, f"/cases/{case.reference}", "approve", {"restitution_id": restitution_id})
        unknown = await press(browser, f"/cases/{case.reference}", "explode")
    assert (answer.status_code, unknown.status_code) == (400, 404)
    assert [asked for asked in world.services.asked if asked[3] is not None] == []


async def test_the_gateway_tells_a_refusal_from_a_service_that_is_away() -> None:
    answers = {
        "/no": httpx.Response(409, json={"code": "story-not-confirmed", "detail": "Not yet."}),
        "/bug": httpx.Response(500, json={"code": "internal"}),
        "/page": httpx.Response(200, text="<html>"),
        "/yes": httpx.Response(200, json={"id": "1"}),
    }
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.path == "/cut":
            raise httpx.ConnectError("refused")
        return answers[request.url.path]

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    services = HttpServices({"escalation": "http://escalation"}, lambda asker: f"signed-for-{asker}", client)
    assert await services.post("escalation", "/yes", "lee", {"a": 1}, key="k1") == {"id": "1"}
    assert (seen[0].headers["authorization"], seen[0].headers["idempotency-key"]) == ("Bearer signed-for-lee", '"k1"')
    with pytest.raises(Rejected) as refused:
        await services.get("escalation", "/no", "lee")
    assert (refused.value.code, refused.value.detail) == ("story-not-confirmed", "Not yet.")
    for path in ("/bug", "/page", "/cut"):
        with pytest.raises(Transient):
            await services.get("escalation", path, "lee")
    with pytest.raises(Transient):
        await services.get("nowhere", "/yes", "lee")
    await services.close()


async def test_words_are_fetched_for_who_looks_and_a_service_that_is_away_leaves_a_gap(world: World) -> None:
    case = world.case()
    await world.hears(case)
    await world.hears(world.patient())
    async with world.signed_in("lee") as browser:
        page = (await browser.get(f"/cases/{case.reference}")).text
        assert "cannot be fetched at the moment" in page
        assert "Paula Example" in page
        world.services.answers[f"/v1/cases/{case.case_id}"] = {"story": {"verbatim": "Nobody <script>called</script> me."}}
        page = (await browser.get(f"/cases/{case.reference}")).text
    assert "Nobody &lt;script&gt;called&lt;/script&gt; me." in page
    assert {asker.staff_id for _, _, asker, _ in world.services.asked} == {"lee"}


@pytest.mark.parametrize("path", ["/", "/sign-in", "/static/console.js", "/static/console.css", "/p/nothing"])
async def test_pages_carry_no_inline_script_or_style_and_the_headers_that_forbid_it(world: World, path: str) -> None:
    async with world.browser() as browser:
        answer = await browser.get(path)
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert not re.search(r"<script(?! src)|<style|\sstyle=|\son\w+=", answer.text) or path.endswith((".js", ".css"))


async def test_the_demo_bar_moves_the_clock_and_nothing_but_the_clock(world: World) -> None:
    async with world.signed_in("lee") as browser:
        token = token_of((await browser.get("/")).text)
        moves = ["60x", "pause", "1h", "opening"]
        answers = [await browser.post("/demo/clock", data={"anti_forgery": token, "move": m, "back": "//evil.example"}) for m in moves]
        assert (await browser.post("/demo/clock", data={"anti_forgery": token, "move": "back"})).status_code == 400
    assert {answer.headers["location"] for answer in answers} == {"/"}
    # Noon on Monday: the store is open, so its next opening is Tuesday at nine.
    assert world.services.moved == [{"rate": 60}, {"rate": 0}, {"advance_seconds": 3600}, {"advance_seconds": 21 * 3600 + 1}]


async def patients_case(world: World) -> Any:
    case = world.case()
    await world.hears(case)
    await world.hears(world.patient())
    await world.hears(world.link(case.case_id, TOKEN))
    return case


async def test_a_link_shows_the_status_without_names_and_is_kept_by_nobody(world: World) -> None:
    await patients_case(world)
    async with world.browser() as browser:
        answer = await browser.get(f"/p/{TOKEN}")
    assert answer.status_code == 200
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert "A person will contact you by today at 1:00 pm." in answer.text
    assert "Elm Street" in answer.text
    assert not any(word in answer.text for word in ("Paula", "Lee Example", "Late order", "0199"))


async def test_a_link_that_never_was_and_one_that_expired_look_the_same(world: World) -> None:
    case = await patients_case(world)
    await world.hears(world.link(case.case_id, "expired" * 6, hours=-1))
    async with world.browser() as browser:
        expired, unknown = await browser.get("/p/" + "expired" * 6), await browser.get("/p/" + "unknown" * 6)
    assert (expired.status_code, expired.text) == (unknown.status_code, unknown.text)
    assert expired.status_code == 404


async def test_after_the_second_factor_the_page_shows_who_and_the_code_in_the_name_of_that_one_case(world: World) -> None:
    case = await patients_case(world)
    gift = world.gas_money(case.case_id)
    await world.hears(gift)
    world.services.answers[f"/v1/restitutions/{gift.restitution_id}/code"] = {"code": "ABCD-EFGH"}
    async with world.browser() as browser:
        wrong = await browser.post(f"/p/{TOKEN}", data={"digits": "0000"})
        assert (wrong.status_code, "ABCD" in wrong.text) == (403, False)
        right = await browser.post(f"/p/{TOKEN}", data={"digits": "0199"})
        assert (right.status_code, f"path=/p/{TOKEN}" in right.headers["set-cookie"].lower()) == (303, True)
        page = (await browser.get(f"/p/{TOKEN}")).text
    assert all(words in page for words in ("ABCD-EFGH", "$26.10 gas money", "Lee Example is looking after", "Paula Example"))
    ((_, _, asker, _),) = world.services.asked
    assert (asker.kind, asker.case_id, asker.staff_id) == ("patient", str(case.case_id), None)


async def test_wrong_answers_are_bounded_and_the_right_one_comes_too_late(world: World) -> None:
    await patients_case(world)
    async with world.browser() as browser:
        codes = [(await browser.post(f"/p/{TOKEN}", data={"digits": "1234"})).status_code for _ in range(6)]
        late = await browser.post(f"/p/{TOKEN}", data={"digits": "0199"})
    assert codes == [403] * 5 + [429]
    assert late.status_code == 429


@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/demo/clock", "/cases/AM-7F3K-9X/do/story", f"/p/{TOKEN}"])
@pytest.mark.parametrize("body", [b'{"a": NaN}', b'{"a": "\\ud800"}', b"\xff\xfe", b'{"a": 1, "a": 2}', b"["])
async def test_a_body_that_cannot_be_read_is_a_400(world: World, path: str, body: bytes) -> None:
    async with world.browser() as browser:
        answer = await browser.post(path, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


async def test_11_a_call_and_the_wait_after_it_are_one_form(world: World) -> None:
    case = world.case(CaseAcknowledged, status="acknowledged", targets=(Target(milestone="resolve", due_at=world.clock.now()),))
    await world.hears(case)
    async with world.signed_in("lee") as browser:
        page = (await browser.get(f"/cases/{case.reference}")).text
        assert "Then wait" in page and "Put the clock on hold" in page and "Let the clock run again" not in page
        answer = await press(browser, f"/cases/{case.reference}", "actions", {"kind": "call", "then_pause": "waiting_for_patient"})
        assert answer.status_code == 303
        assert [body for _, _, _, body in world.services.asked if body] == [{"kind": "call", "then_pause": "waiting_for_patient"}]
        await world.hears(
            world.case(
                CaseAcknowledged, case_id=case.case_id, status="acknowledged", targets=(Target(milestone="resolve", state="paused"),)
            )
        )
        page = (await browser.get(f"/cases/{case.reference}")).text
    assert "Let the clock run again" in page and "Then wait" not in page and "Put the clock on hold" not in page


async def test_13_planning_anew_is_on_a_managers_page_and_asked_in_their_name(world: World) -> None:
    case = world.case()
    await world.hears(case)
    async with world.signed_in("lee") as browser:
        assert "Plan the deadlines anew" not in (await browser.get(f"/cases/{case.reference}")).text
    async with world.signed_in("raj") as browser:
        assert "Plan the deadlines anew" in (await browser.get(f"/cases/{case.reference}")).text
        world.services.asked.clear()
        answer = await press(browser, f"/cases/{case.reference}", "re-plan", {"reason": "The new policy is better for her."})
        assert answer.status_code == 303
    (asked,) = [(path, body) for _, path, _, body in world.services.asked if body is not None]
    assert asked == (f"/v1/cases/{case.case_id}/re-plan", {"reason": "The new policy is better for her."})


async def test_a_promise_is_made_in_the_stores_time_and_shown_with_why_it_is_for_when_it_is(world: World) -> None:
    """Also where a refusal lands: the form stays open, with what was typed."""
    case = world.case()
    promise = Promise(number=1, what="remake", promised_by=datetime(2026, 12, 4, 15, tzinfo=UTC))
    await world.hears(case, world.case(PromiseMade, case.case_id, what="remake", promised_by=promise.promised_by, promises=(promise,)))
    page = f"/cases/{case.reference}"
    world.services.answers[f"/v1/cases/{case.case_id}"] = {
        "promises": [
            {"what": "A person will be in touch."},
            {"number": 1, "aim_by": "2026-12-03T15:00:00Z", "because": "A person's estimate."},
        ],
    }  # fmt: skip
    async with world.signed_in("lee") as browser:
        shown = (await browser.get(page)).text
        assert (
            "By Fri 4 Dec, 10:00 am." in shown and "Our own target is Thu 3 Dec, 10:00 am." in shown and "A person&#39;s estimate." in shown
        )
        assert (await press(browser, page, "promises", {"what": "remake", "estimate": "2026-12-08T10:30"})).status_code == 303
        assert (await press(browser, page, "promises", {"what": "callback", "estimate": ""})).status_code == 303
        assert (await press(browser, page, "keep-promise", {"what": "remake"})).status_code == 303
        posted = [(path.rpartition("/")[2], body) for _, path, _, body in world.services.asked if body is not None]
        assert posted == [
            ("promises", {"what": "remake", "estimate_at": "2026-12-08T15:30:00+00:00"}),
            ("promises", {"what": "callback"}),
            ("keep-promise", {"what": "remake"}),
        ]
        for typed in ("tomorrow", "2026-12-08T99:30", "2026-13-08T10:30", "0000-00-00T00:00"):
            assert (await press(browser, page, "promises", {"what": "remake", "estimate": typed})).status_code == 400
        world.services.answers[f"/v1/cases/{case.case_id}/promises"] = refuses("promise-moved-already", "A promise is moved once.")
        refused = await press(browser, page, "promises", {"what": "remake", "estimate": "2026-12-09T10:30"})
        assert refused.status_code == 409 and "A promise is moved once." in refused.text and 'value="2026-12-09T10:30"' in refused.text


async def test_the_patients_page_tells_what_was_promised(world: World) -> None:
    case = world.case()
    promise = Promise(number=1, what="remake", promised_by=datetime(2026, 12, 4, 15, tzinfo=UTC))
    await world.hears(case, world.case(PromiseMade, case.case_id, what="remake", promised_by=promise.promised_by, promises=(promise,)))
    await world.hears(world.link(case.case_id, TOKEN))
    async with world.browser() as browser:
        assert "It will be ready by Friday 4 December at 10:00 am." in (await browser.get(f"/p/{TOKEN}")).text


async def test_the_stores_page_tells_how_promises_were_kept_and_stands_without_it(world: World) -> None:
    path = "/v1/promises/kept?limit=200"
    async with world.signed_in("raj") as browser:
        assert "How promises were kept cannot be fetched" in (await browser.get("/trends")).text
        world.services.answers[path] = {"items": []}
        assert "Nothing was promised this month." in (await browser.get("/trends")).text
        row = {"location_id": "elm", "made": 7, "kept": 2, "early": 3, "late": 1, "moved": 1, "kept_percent": 83}
        world.services.answers[path] = {"items": [row, row | {"location_id": "oak", "kept_percent": None}]}
        page = (await browser.get("/trends")).text
    cells = re.findall(r'data-label="(?:Promised|Early|In time|Late|Moved|Kept)" class="number">([^<]*)<', page)
    assert cells == ["7", "3", "2", "1", "1", "83 %", "7", "3", "2", "1", "1", "&ndash;"]
