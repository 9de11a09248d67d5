"""Webhook signatures against the vendors' own vectors, and against everything else."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.web import signatures

pytestmark = pytest.mark.unit

FILE = json.loads((Path(__file__).parents[2] / "vectors" / "webhook_signatures.json").read_text())
Case = dict[str, Any]


def cases(vendor: str) -> Any:
    return pytest.mark.parametrize("case", FILE[vendor]["vectors"], ids=lambda case: case["name"])


@cases("twilio")
def test_twilio(case: Case) -> None:
    body = case["body"].encode() if case["body"] is not None else None
    assert signatures.twilio(case["token"], case["url"], case["params"], body, case["signature"]) is case["valid"]


@cases("square")
def test_square(case: Case) -> None:
    assert signatures.square(case["key"], case["url"], case["body"].encode(), case["signature"]) is case["valid"]


@cases("shopify")
def test_shopify(case: Case) -> None:
    assert signatures.shopify(case["secret"], case["body"].encode(), case["signature"]) is case["valid"]
    assert not signatures.shopify(case["secret"], case["body"].encode() + b" ", case["signature"])


@cases("standard_webhooks")
def test_standard(case: Case) -> None:
    now = datetime.fromtimestamp(case["now"], UTC)
    assert signatures.standard([case["secret"]], case["headers"], case["payload"].encode(), now) is case["valid"]
    # While secrets rotate, the old one and the new one are both tried.
    other = "whsec_" + "b3RoZXIgc2VjcmV0IG9mIHRoZSBzYW1lIGxlbmd0aA=="
    assert signatures.standard([other, case["secret"]], case["headers"], case["payload"].encode(), now) is case["valid"]


def test_a_json_post_to_twilio_needs_the_hash_of_its_body() -> None:
    assert not signatures.twilio("12345", "https://mycompany.com/myapp.php", None, b"{}", "RSOYDt4T1cUTdK1PDd93/VVr8B8=")


@pytest.mark.parametrize("odd", ["", "é", "\ud800", "a" * 100_000, "=", "v1,é", None])
def test_odd_signatures_are_wrong_and_raise_nothing(odd: Any) -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    for url in ("https://a.example/x", "https://[::1", "https://a.example:notaport/", ""):
        assert signatures.twilio("t", url, {"a": "b"}, None, odd) is False
        assert signatures.square("k", url, b"", odd) is False
    assert signatures.twilio("t", "https://a.example", {"a": 1, "b": None, "c": [2]}, b"", odd) is False
    assert signatures.shopify("s", b"", odd) is False
    headers = {"webhook-id": "m", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": odd}
    assert signatures.standard(["whsec_!!", "", "whsec_YQ=="], headers, b"", now) is False
    assert (
        signatures.standard(["whsec_YQ=="], {"webhook-id": "m", "webhook-timestamp": odd, "webhook-signature": "v1,x"}, b"", now) is False
    )
