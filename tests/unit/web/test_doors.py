"""What a service's door does before its handler is asked, and with what goes wrong in it."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.web.app import Check
from tests.unit.web.sample import Desk, bearer, client_of, sample_app

pytestmark = pytest.mark.unit

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "malformed_json.json").read_text())["cases"]


def bytes_of(case: dict[str, Any]) -> bytes:
    """A vector is its bytes, or a text and how often it is repeated (then cut or padded by one to its size)."""
    if "b64" in case:
        return base64.b64decode(case["b64"])
    text, times = case["repeat"]
    raw = str(text).encode() * int(times)
    return raw + b"\n" * (int(case["size"]) - len(raw))


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["code"], body["status"]) == (status, code, status), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["type"] == f"urn:amends:problem:{code}"
    assert body["title"] and body["detail"]
    return body


@pytest.mark.parametrize("path", ["/v1/orders", "/v1/orders/o-1/confirm", "/v1/raw"])
async def test_every_malformed_body_is_a_problem_and_none_is_a_500(path: str) -> None:
    """All vectors on a door with a model, one without a body and one that reads its own."""
    async with client_of(sample_app(), raise_errors=False) as client:
        for case in VECTORS:
            raw = bytes_of(case)
            answer = await client.post(path, content=raw, headers=bearer("writer") | {"content-type": "application/json"})
            assert answer.status_code < 500, case["name"]
            if case["expect"] == "reject":
                problem(answer, 400, "malformed-json")


async def test_numbers_with_a_fraction_arrive_as_decimals() -> None:
    async with client_of(sample_app()) as client:
        body = b'{"name": "x", "lines": [{"sku": "a", "price": 0.1}, {"sku": "b", "price": 0.2}]}'
        answer = await client.post("/v1/orders", content=body, headers=bearer("writer") | {"content-type": "application/json"})
        assert answer.json()["total"] == "0.3"


async def test_a_body_that_does_not_fit_names_each_place() -> None:
    async with client_of(sample_app()) as client:
        answer = await client.post(
            "/v1/orders",
            json={"amount_minor": "many", "lines": [{"sku": 1}], "labels": {"a.b/c": "x"}, "phone": "+12125550143"},
            headers=bearer("writer"),
        )
        body = problem(answer, 400, "invalid-input")
        assert {item["pointer"] for item in body["errors"]} == {
            "/name", "/amount_minor", "/lines/0/sku", "/lines/0/price", "/labels/a.b~1c", "/phone",
        }  # fmt: skip
        assert "2125550143" not in answer.text


async def test_a_missing_body_and_a_wrong_parameter_are_problems() -> None:
    async with client_of(sample_app()) as client:
        body = problem(await client.post("/v1/orders", headers=bearer("writer")), 400, "invalid-input")
        assert body["errors"] == [{"pointer": "", "detail": "A body is needed."}]
        body = problem(await client.get("/v1/orders?limit=lots", headers=bearer("writer")), 400, "invalid-input")
        assert body["errors"][0]["pointer"] == "/query/limit"


async def test_a_missing_parameter_is_named() -> None:
    async with client_of(sample_app()) as client:
        body = problem(await client.get("/v1/lines", headers=bearer("reader")), 400, "invalid-input")
    assert body["errors"] == [{"pointer": "/query/order_id", "detail": "It is required."}]


async def test_an_address_with_a_nul_is_no_address() -> None:
    async with client_of(sample_app()) as client:
        problem(await client.post("/v1/orders/o-1%00/confirm", headers=bearer("writer")), 404, "not-found")


async def test_size_type_method_and_address() -> None:
    async with client_of(sample_app()) as client:
        headers = bearer("writer") | {"content-type": "application/json"}
        problem(await client.post("/v1/orders", content=b" " * (1024 * 1024 + 1), headers=headers), 413, "too-large")
        fits = b'{"name": "' + b"x" * (1024 * 1024 - 12) + b'"}'
        assert len(fits) == 1024 * 1024
        assert (await client.post("/v1/orders", content=fits, headers=headers)).status_code == 200
        problem(
            await client.post("/v1/orders", content=b"name=x", headers=bearer("writer") | {"content-type": "text/plain"}),
            415,
            "unsupported-media-type",
        )
        problem(await client.post("/v1/orders", data={"name": "x"}, headers=bearer("writer")), 415, "unsupported-media-type")
        answer = await client.delete("/v1/orders", headers=bearer("writer"))
        problem(answer, 405, "method-not-allowed")
        assert "POST" in answer.headers["allow"]
        problem(await client.get("/v1/nothing"), 404, "not-found")
        assert (await client.post("/v1/webhooks/form", data={"From": "+12125550143"})).json() == {"from": "+12125550143"}


async def test_a_body_announced_small_and_sent_large_is_refused() -> None:
    async def drip() -> Any:
        for _ in range(20):
            yield b" " * 100_000

    async with client_of(sample_app()) as client:
        answer = await client.post("/v1/orders", content=drip(), headers=bearer("writer") | {"content-type": "application/json"})
        problem(answer, 413, "too-large")


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("rejected", 409, "story-not-confirmed"),
        ("own", 403, "own-approval"),
        ("unknown", 404, "unknown-case"),
        ("unknown-in-body", 400, "unknown-location"),
        ("poison", 400, "bad-request"),
        ("transient", 503, "unavailable"),
        ("unready", 503, "unavailable"),
        ("refused", 503, "unavailable"),
        ("bug", 500, "internal"),
    ],
)
async def test_each_family_of_errors_has_its_answer(how: str, status: int, code: str) -> None:
    async with client_of(sample_app(), raise_errors=False) as client:
        answer = await client.get(f"/v1/fail/{how}")
        body = problem(answer, status, code)
        assert ("retry-after" in answer.headers) == (status == 503)
        if how == "transient":
            assert answer.headers["retry-after"] == "3"
        if how == "rejected":
            assert body["reference"] == "AM-0000-00"
        if how == "unknown-in-body":
            assert body["errors"][0]["pointer"] == "/data/location_id"
        if how == "bug":
            assert body["instance"].removeprefix("urn:uuid:") in body["detail"]
        assert "secret" not in answer.text and "10.0.0.1" not in answer.text


async def test_keys_and_scopes() -> None:
    async with client_of(sample_app()) as client:
        for headers in ({}, {"authorization": "Bearer nonsense"}, {"authorization": "Basic abc"},
                        {"authorization": "Bearer amk_writer_wrong"},
                        {"authorization": "Bearer amk_nobody_x"}, {"authorization": "Bearer amk_writer_"}, bearer("gone")):  # fmt: skip
            answer = await client.post("/v1/orders", content=b"{", headers=headers)
            problem(answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"].startswith("Bearer")
        assert problem(await client.post("/v1/orders", json={"name": "x"}, headers=bearer("reader")), 403, "forbidden")["needs"] == [
            "cases:write"
        ]
        assert (await client.post("/v1/orders", json={"name": "x"}, headers=bearer("writer"))).json()["by"] == "key:writer"
        assert (await client.post("/v1/orders", json={"name": "x"}, headers=bearer("ana"))).json()["by"] == "staff:ana"


async def test_if_match_holds_the_version() -> None:
    async with client_of(sample_app()) as client:
        for given, status in (("*", 200), ('"3"', 200), ('W/"3"', 200), ('"2", "3"', 200), ('"2"', 412), ("3", 400)):
            answer = await client.post("/v1/orders/o-1/confirm", headers=bearer("writer") | {"if-match": given})
            assert answer.status_code == status, given


async def test_addresses_that_every_service_has() -> None:
    async def sick() -> dict[str, Check]:
        return {"database": Check(True), "subscribers": Check(False, "amends.cases.v1 has stopped")}

    async with client_of(sample_app(asyncapi=lambda: {"asyncapi": "3.0.0"})) as client:
        assert (await client.get("/livez")).json() == {"status": "alive"}
        assert (await client.get("/readyz")).json() == {"status": "ready"}
        assert (await client.get("/readyz?verbose")).json()["checks"]["subscribers"] == {"ok": True, "detail": "4 assigned"}
        assert (await client.get("/asyncapi.json")).json() == {"asyncapi": "3.0.0"}
        await client.get("/v1/nothing/at/all")
        text = (await client.get("/metrics")).text
        assert 'amends_http_requests_total{method="GET",route="unrouted",status="404"}' in text
        schema = (await client.get("/openapi.json")).json()
        assert schema["openapi"].startswith("3.1")
        create = schema["paths"]["/v1/orders"]["post"]
        assert create["responses"]["default"]["content"] == {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        }
        assert "parameters" not in create
        assert "/livez" not in schema["paths"]
        page = await client.get("/docs")
        assert page.headers["content-type"].startswith("text/html")
        assert "/v1/orders" in page.text and "<script" not in page.text and "//cdn" not in page.text
        assert (await client.get("/docs.css")).status_code == 200
    async with client_of(sample_app(health=sick)) as client:
        answer = await client.get("/readyz?verbose=1")
        assert answer.status_code == 503
        assert answer.json()["checks"]["subscribers"]["detail"] == "amends.cases.v1 has stopped"


async def test_every_answer_carries_the_security_headers() -> None:
    async with client_of(sample_app(), raise_errors=False) as client:
        for path in ("/livez", "/v1/orders", "/v1/nothing", "/v1/fail/bug", "/docs"):
            headers = (await client.get(path)).headers
            assert "frame-ancestors 'none'" in headers["content-security-policy"], path
            assert "unsafe-inline" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"


async def test_two_apps_may_share_the_handlers() -> None:
    one, two = Desk(object()), Desk(object())
    async with client_of(sample_app(one)) as first, client_of(sample_app(two)) as second:
        await first.post("/v1/orders", json={"name": "a"}, headers=bearer("writer"))
        await second.post("/v1/orders", json={"name": "b"}, headers=bearer("writer"))
    assert (one.calls, two.calls) == (["a"], ["b"])
