"""The JSON reader: what it takes, what it refuses and where it says so."""

import base64
import json
import random
import time
from decimal import Decimal
from pathlib import Path

import pytest

from shared.kernel.errors import Rejected
from shared.web import body
from shared.web.body import DEPTH_LIMIT, read_bounded, read_json

pytestmark = pytest.mark.unit

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "malformed_json.json").read_text())["cases"]
# Valid JSON that is refused on purpose: the last of two keys is not what the sender meant, and Postgres keeps no U+0000.
REFUSED = {
    "y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json",
    "y_object_escaped_null_in_key.json", "y_string_null_escape.json",
}  # fmt: skip


@pytest.mark.parametrize("case", [c for c in VECTORS if c["expect"] == "accept"], ids=lambda c: c["name"])
def test_valid_json_is_read_as_the_standard_library_reads_it(case: dict[str, str]) -> None:
    raw = base64.b64decode(case["b64"])
    if case["name"] in REFUSED:
        with pytest.raises(Rejected, match=r"duplicate key|U\+0000"):
            read_json(raw)
    else:
        assert read_json(raw) == json.loads(raw, parse_float=Decimal)


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        (b"[1e999]", "out of range"),
        (b"[-1e-999]", "out of range"),
        (b"[1e99999999999999999999]", "out of range"),
        (b"[NaN]", "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b"[" + b"9" * 5000 + b"]", "5000 characters"),
        (b"[0." + b"9" * 5000 + b"]", "5002 characters"),
        (b"[9223372036854775808]", "64 bits"),
        (rb'["\ud800"]', "surrogate"),
        (rb'{"\uDC00": 1}', "surrogate"),
        (rb'["a\u0000b"]', "U\\+0000"),
        (b'["\xed\xa0\x80"]', "not UTF-8 at byte 2"),
        (b'{"a": 1, "b": 2, "a": 3}', 'duplicate key "a"'),
        (b'{"a": [{"b": 1, "b": 1}]}', 'duplicate key "b"'),
        (b"\xef\xbb\xbf{}", "line 1 column 1"),
        (b'{"a": 1}\n x', "line 2 column 2"),
        (b"[" * (DEPTH_LIMIT + 1) + b"]" * (DEPTH_LIMIT + 1), "64 levels"),
        (b"[" * 500_000, "64 levels"),
        (b"", "line 1 column 1"),
    ],
)
def test_what_is_refused_says_where(raw: bytes, where: str) -> None:
    with pytest.raises(Rejected, match=where) as caught:
        read_json(raw)
    assert caught.value.code == "malformed-json"


def test_what_only_looks_dangerous_is_read() -> None:
    assert read_json(rb'["\\u0000", "\\ud800", "\ud83d\ude00"]') == ["\\u0000", "\\ud800", "😀"]
    assert read_json(b'{"a": "' + b"[" * 1000 + b'"}') == {"a": "[" * 1000}
    assert read_json(b"[" * DEPTH_LIMIT + b"]" * DEPTH_LIMIT) is not None
    assert read_json(b"[" + b",".join([b"[]"] * 5000) + b"]") == [[]] * 5000
    assert read_json(b"[9223372036854775807, 1.10, 2e2]") == [2**63 - 1, Decimal("1.10"), Decimal("2E+2")]


def test_the_quick_look_never_finds_fewer_levels_than_there_are() -> None:
    """What is skipped without the walk must hold. Random bodies of brackets, quotes and escapes, beside the walk's own count."""
    dice = random.Random(7)
    for _ in range(3_000):
        raw = b"".join(dice.choices([b"[", b"]", b"{", b"}", b'"', b"\\", b"u", b"[{", b"}]", b'""', b'"{"'], k=dice.randrange(40)))
        depth = deepest = 0
        for match in body._BRACKETS.finditer(raw):
            depth += bool(match[1]) - bool(match[2])
            deepest = max(depth, deepest)
        found = body._most_levels(raw)
        assert found >= deepest or b"\\" in raw.replace(b"\\u", b"u"), raw


def test_a_batch_as_it_is_sent_needs_no_walk() -> None:
    event = {"data": {"patient": {"name": "Zoë [née {Q}]", "consents": [{"purpose": "care"}, {"purpose": "survey"}]}}, "id": ""}
    assert body._most_levels(json.dumps([event] * 1000).encode()) <= DEPTH_LIMIT
    assert body._most_levels(json.dumps([event] * 1000, ensure_ascii=False).encode()) <= DEPTH_LIMIT


def test_a_string_without_an_end_costs_linear_time() -> None:
    """A mebibyte of escaped quotes behind a hundred brackets: quadratic scanning would take hours, so a second is a wide margin."""
    began = time.monotonic()
    with pytest.raises(Rejected):
        read_json(b"[" * 60 + b"{}," * 10 + b'"' + rb"\"" * 500_000)
    assert time.monotonic() - began < 5


def test_the_size_limit_is_inclusive() -> None:
    assert read_json(b" " * (1024 * 1024 - 1) + b"1") == 1
    with pytest.raises(Rejected) as caught:
        read_json(b" " * (1024 * 1024) + b"1")
    assert caught.value.code == "too-large"


async def test_a_client_that_stalls_is_let_go() -> None:
    import asyncio

    async def never() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Rejected) as caught:
        await read_bounded([], never, 100, 0.05)  # type: ignore[arg-type]
    assert caught.value.code == "slow-body"
