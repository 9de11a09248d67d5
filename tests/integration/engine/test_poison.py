"""Bad records and broken use cases: each parked alone with place, reason and bytes; followers wait; redrive brings all back in order."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from shared.contracts.incidents import INCIDENTS
from shared.kernel.errors import Poison, Rejected, Transient, Unready
from shared.kernel.ids import new_id
from shared.messaging import consumer, parked
from shared.messaging.consumer import Halted
from shared.messaging.records import Record
from tests.integration.engine.bed import Bed, raises, record
from tests.support.eventually import eventually

FAR_ID = UUID("ffffffff-ffff-7fff-bfff-ffffffffffff")
OLD_ID = UUID("018bcfe5-6800-7000-8000-000000000001")  # minted in November 2023
POISONS: dict[str, tuple[dict[str, Any], str]] = {
    "no headers": ({"headers": ()}, "unreadable-envelope"),
    "null header": ({"headers_": {"ce_type": None}}, "unreadable-envelope"),
    "header that is no text": ({"headers_": {"ce_type": b"\xff\xfe"}}, "unreadable-envelope"),
    "no id": ({"headers_": {"ce_id": ...}}, "unreadable-envelope"),
    "an id that is none": ({"headers_": {"ce_id": b"seven"}}, "unreadable-envelope"),
    "random id": ({"headers_": {"ce_id": str(uuid4()).encode()}}, "unreadable-envelope"),
    "an id beyond all calendars": ({"headers_": {"ce_id": str(FAR_ID).encode()}}, "unreadable-envelope"),
    "an id from before the inbox": ({"headers_": {"ce_id": str(OLD_ID).encode()}}, "too-old"),
    "no time": ({"headers_": {"ce_time": ...}}, "unreadable-envelope"),
    "a time without a zone": ({"headers_": {"ce_time": b"2026-11-23T12:00:00"}}, "unreadable-envelope"),
    "unknown type": ({"headers_": {"ce_type": b"amends.incident.imagined"}}, "unknown-type"),
    "a type of another topic": ({"headers_": {"ce_type": b"amends.case.opened"}}, "unknown-type"),
    "a type with a NUL": ({"headers_": {"ce_type": b"amends\x00"}}, "unknown-type"),
    "no body": ({"value": None}, "empty-body"),
    "empty body": ({"value": b""}, "unreadable-body"),
    "broken JSON": ({"value": b'{"incident": '}, "unreadable-body"),
    "not UTF-8": ({"value": b'{"incident": "\xff"}'}, "unreadable-body"),
    "other JSON": ({"value": b"[1, 2]"}, "unreadable-body"),
    "deep JSON": ({"value": b"[" * 100_000}, "unreadable-body"),
    "no key and no headers": ({"key": None, "headers": ()}, "unreadable-envelope"),
    "a key that is no text": ({"key": b"\xff\x00\xfe", "value": None}, "empty-body"),
    "an endless key": ({"key": b"k" * 100_000, "value": None}, "empty-body"),
}


@pytest.mark.parametrize("what", POISONS)
async def test_a_bad_record_is_parked_alone_with_place_reason_and_bytes(bed: Bed, what: str) -> None:
    changes, reason = POISONS[what]
    bad = record("P-bad", "bad", partition=3, offset=17, **changes)
    await bed.take(record("P-1", "before"), bad, record("P-2", "after"))
    assert await bed.words() == ["before", "after"]
    rows = await bed.pool.fetch("select * from parked")
    assert [(r["topic"], r["partition"], r["offset"], r["reason"], r["is_behind"]) for r in rows] == [(INCIDENTS, 3, 17, reason, False)]
    assert rows[0]["detail"]
    assert Record.unpacked(INCIDENTS, 3, 17, rows[0]["record"]) == bad


@pytest.mark.parametrize("what", POISONS)
async def test_a_bad_record_that_is_tried_again_stays_parked_and_keeps_no_other_from_it(bed: Bed, what: str) -> None:
    changes, reason = POISONS[what]
    bed.troubles["mended"] = raises(ValueError("a bug\x00"))
    await bed.take(record("P-bad", "bad", partition=3, offset=17, **changes))
    await bed.take(record("P-1", "mended"))
    bed.troubles.clear()
    assert await parked.redrive(bed.pool, None) == 2
    done = await bed.redriver().once()
    # What is unreadable stays so; what is too old for the inbox is applied, for a person asked for it.
    left = [] if reason == "too-old" else [(reason, 1, None)]
    rows = await bed.pool.fetch("select reason, attempts, retry_at from parked where redriven_at is null")
    assert [tuple(row) for row in rows] == left and done == 2 - len(left)
    assert "mended" in await bed.words()


async def test_a_use_case_that_complains_with_a_nul_is_parked_again_and_again(bed: Bed) -> None:
    bed.troubles["boom"] = raises(ValueError("a bug\x00"))
    await bed.take(record("P\x001", "boom"))
    await bed.take(record("P\x001", "behind"))
    assert await bed.parked() == [("failed", False), ("behind", True)]
    await parked.redrive(bed.pool, None)
    assert await bed.redriver().once() == 0
    bed.troubles.clear()
    await parked.redrive(bed.pool, None)
    assert await bed.redriver().once() == 2
    assert await bed.words() == ["boom", "behind"]


async def test_the_reason_of_a_park_does_not_quote_what_was_said(bed: Bed) -> None:
    await bed.take(record("P-1", "words", value=b'{"incident": {"incident_id": "somebody\'s own words", "catalyst": 7}}'))
    detail = await bed.pool.fetchval("select detail from parked")
    assert "incident.incident_id" in detail and "and" in detail
    assert "own words" not in detail and "http" not in detail


async def test_the_same_bad_record_again_is_parked_once(bed: Bed) -> None:
    """Goal: redelivered, twice in one batch, and twice in the log (a relay that started again), it comes back once from the park."""
    ce_id = new_id()
    bad = record("P-1", "bad", value=b"{", offset=5, ce_id=ce_id)
    twin = record("P-1", "bad", value=b"{", offset=6, ce_id=ce_id)
    await bed.take(bad, bad, twin)
    await bed.take(bad)
    await bed.take(twin)
    assert await bed.parked() == [("unreadable-body", False)]


async def test_another_record_at_the_offset_of_a_parked_one_is_not_lost(bed: Bed) -> None:
    """A broker that lost its log counts from the beginning again."""
    await bed.take(record("P-1", "old", value=b"{", offset=5))
    await bed.take(record("P-2", "new", value=b"}", offset=5))
    assert len(await bed.parked()) == 2


async def test_followers_wait_in_the_same_batch_and_in_later_ones(bed: Bed) -> None:
    await bed.take(record("P-1", "a1"), record("P-1", "bad", value=b"{"), record("P-1", "a2"), record("P-2", "b1"))
    await bed.take(record("P-1", "a3"), record("P-2", "b2"))
    assert await bed.words() == ["a1", "b1", "b2"]
    assert await bed.parked() == [("unreadable-body", False), ("behind", True), ("behind", True)]


async def test_an_event_before_the_bad_one_of_its_key_is_applied_also_where_the_batch_breaks(bed: Bed) -> None:
    """Goal: searching for a broken event by halves never puts a healthy one behind a bad record that came after it."""
    bed.raw["boom"] = raises(ValueError("no"))
    batch = [
        record("X", "x"),
        record("X", "boom"),
        record("Y", "y"),
        record("P-1", "a1"),
        record("P-1", "bad", value=b"{"),
        record("P-1", "a2"),
    ]
    await bed.take(*batch)
    assert await bed.words() == ["x", "y", "a1"]
    assert sorted(await bed.parked()) == [("behind", True), ("failed", False), ("unreadable-body", False)]


@pytest.mark.parametrize("how", ["decide", "raw", "sql"])
async def test_an_unexpected_exception_comes_home_to_its_one_event(bed: Bed, how: str) -> None:
    word = "sql" if how == "sql" else "boom"
    if how == "decide":
        bed.troubles["boom"] = raises(ZeroDivisionError("by nothing"))
    elif how == "raw":
        bed.raw["boom"] = raises(ZeroDivisionError("by nothing"))
    bed.sql = "select 1/0"
    batch = [record(f"P-{n}", f"w{n}") for n in range(20)]
    batch.insert(7, record("P-x", word))
    batch.append(record("P-x", "follower"))
    await bed.take(*batch)
    assert sorted(await bed.words()) == sorted(f"w{n}" for n in range(20))
    assert await bed.parked() == [("failed", False), ("behind", True)]
    detail = await bed.pool.fetchval("select detail from parked where reason = 'failed'")
    assert "by nothing" in detail or "division by zero" in detail


@pytest.mark.parametrize("error", [FileNotFoundError("a bug"), asyncpg.InterfaceError("the server expects 2 arguments, 1 was passed")])
async def test_a_bug_that_looks_like_a_lost_connection_is_parked_and_does_not_stop_the_topic(bed: Bed, error: Exception) -> None:
    bed.raw["boom"] = raises(error)
    await asyncio.wait_for(bed.take(record("P-1", "boom"), record("P-2", "fine")), 10)
    assert await bed.words() == ["fine"]
    assert await bed.parked() == [("failed", False)]


async def test_a_passing_exception_is_tried_again(bed: Bed) -> None:
    tries = iter([ValueError("once"), ValueError("twice")])

    def passing() -> None:
        for error in tries:
            raise error

    bed.troubles["boom"] = passing
    await bed.take(record("P-1", "boom"))
    assert await bed.words() == ["boom"]


@pytest.mark.parametrize("how", ["troubles", "raw"])
async def test_what_each_error_family_does_inside_and_outside_decide_each(bed: Bed, how: str) -> None:
    getattr(bed, how).update(
        refused=raises(Rejected("story-not-confirmed")), poison=raises(Poison("impossible", "a leap year of 400 days"))
    )
    await bed.take(record("P-1", "refused"), record("P-1", "a2"), record("P-2", "poison"), record("P-2", "b2"), record("P-3", "c"))
    assert await bed.words() == ["a2", "c"]
    assert await bed.parked() == [("impossible", False), ("behind", True)]
    assert await bed.pool.fetchval("select detail from parked where reason = 'impossible'") == "a leap year of 400 days"
    rows = await bed.pool.fetch("select door, code, subject from rejections")
    assert [tuple(row) for row in rows] == [("kafka", "story-not-confirmed", "P-1")]


@pytest.mark.parametrize("how", ["troubles", "raw"])
async def test_what_is_not_ready_comes_in_by_itself_and_its_followers_after_it(bed: Bed, how: str) -> None:
    waiting = {"early": raises(Unready("location store-12", retry_in=0.01))}
    getattr(bed, how).update(waiting)
    await bed.take(record("P-1", "early"), record("P-1", "a2"), record("P-2", "b1"))
    await bed.take(record("P-1", "a3"))
    assert await bed.words() == ["b1"]
    assert await bed.parked() == [("waiting", False), ("behind", True), ("behind", True)]
    redriver = bed.redriver()
    assert await redriver.once() == 0
    getattr(bed, how).clear()

    async def came() -> bool:
        await redriver.once()
        return await bed.words("P-1") == ["early", "a2", "a3"]

    await eventually(came, within_seconds=5)
    assert await bed.parked() == []


async def test_what_never_gets_ready_is_left_to_a_person(bed: Bed) -> None:
    bed.troubles["early"] = raises(Unready("location store-12", retry_in=0.0))
    await bed.take(record("P-1", "early"))
    await bed.pool.execute("update parked set give_up_at = clock_timestamp()")
    redriver = bed.redriver()
    await redriver.once()
    row = await bed.pool.fetchrow("select retry_at, attempts, reason from parked")
    assert row is not None and (row["retry_at"], row["attempts"], row["reason"]) == (None, 1, "waiting")
    assert await redriver.once() == 0


async def test_a_world_that_is_down_parks_nothing_and_the_batch_goes_through_after(bed: Bed) -> None:
    left = [Transient("no", retry_in=0.01)] * 3

    def down() -> None:
        if left:
            raise left.pop()

    bed.troubles["down"] = down
    await bed.take(record("P-1", "down"), record("P-2", "b"))
    assert await bed.words() == ["down", "b"]
    assert await bed.parked() == []


async def test_redrive_returns_a_key_in_order_and_more_than_a_page_of_it(bed: Bed) -> None:
    bed.troubles["w000"] = raises(ValueError("a bug"))
    words = [f"w{n:03}" for n in range(620)]
    await bed.take(record("P-1", words[0]))
    await bed.take(*[record("P-1", word) for word in words[1:]])
    assert await bed.words() == []
    bed.troubles.clear()
    redriver = bed.redriver()
    assert await redriver.once() == 0, "nobody asked"
    head = (await parked.listed(bed.pool, None, 1))[0]
    assert await parked.redrive(bed.pool, head["parked_id"]) == 620
    assert await redriver.once() == 620
    assert await bed.words() == words
    assert await parked.listed(bed.pool, None, 10) == []


async def test_what_lies_parked_of_a_topic_that_is_heard_no_longer_is_done_when_it_is_tried_again(bed: Bed) -> None:
    """Goal: whoever stops listening leaves nothing parked for ever. Method: the handler is gone when a person asks for a redrive."""
    bed.troubles["early"] = raises(ValueError("a bug"))
    await bed.take(record("P-1", "early"), record("P-1", "late"))
    redriver = bed.redriver()
    bed.engine.handlers.clear()
    assert await redriver.once() == 0, "nobody asked"
    await parked.redrive(bed.pool, None)
    assert await redriver.once() == 2
    assert (await bed.words(), await bed.parked()) == ([], [])


async def test_redrive_stops_at_the_first_that_fails_again_and_no_other_key_starves(bed: Bed) -> None:
    bed.troubles["a1"] = raises(ValueError("a bug"))
    await bed.take(record("P-1", "a1"))
    await bed.take(*[record("P-1", f"a{n}") for n in range(2, 600)])
    await bed.take(record("P-2", "bad", value=b"{"))
    await parked.redrive(bed.pool, None)
    redriver = bed.redriver()
    await redriver.once()
    assert await bed.words() == []
    bed.troubles["b"] = raises(Unready("a row", retry_in=0.0))
    await bed.take(record("P-3", "b"))
    bed.troubles.clear()
    await redriver.once()
    assert await bed.words() == ["b"]


async def test_a_follower_that_arrives_while_its_key_is_redriven_comes_in_after_it(bed: Bed) -> None:
    """Goal: the last of a key is redriven while a new one is parked behind it. Method: the newcomer arrives inside the redrive."""
    bed.troubles["early"] = raises(Unready("a row", retry_in=0.0))
    await bed.take(record("P-1", "early"))
    bed.troubles.clear()
    real, entered = bed.usecase, asyncio.Event()

    async def slow(tx: Any, facts: Any) -> None:
        if not entered.is_set():
            entered.set()
            await bed.take(record("P-1", "late"))
        await real(tx, facts)

    bed.usecase = slow  # type: ignore[method-assign]
    redriver = bed.redriver()
    await redriver.once()
    await redriver.once()
    assert await bed.words() == ["early", "late"]
    assert await bed.parked() == []


async def test_two_redrivers_apply_a_parked_event_once(bed: Bed) -> None:
    bed.troubles["boom"] = raises(ValueError("a bug"))
    await bed.take(*[record(f"P-{n}", "boom") for n in range(8)])
    bed.troubles.clear()
    await parked.redrive(bed.pool, None)
    await asyncio.gather(bed.redriver().once(), bed.redriver().once(), bed.redriver().once())
    assert await bed.words() == ["boom"] * 8


async def test_records_of_others_are_parked_by_key_or_place(bed: Bed) -> None:
    """The ingress topic: no envelope of ours, duplicates told by the use case's own table."""
    bed.troubles["boom"] = raises(Poison("unreadable-body", "no"))
    batch = [record("P-1", "-", value=b"boom", headers=()), record("P-1", "-", value=b"a2", headers=())]
    keyless = record("P-1", "-", value=b"free", headers=(), key=None, offset=99)
    await bed.take(*batch, keyless, foreign=True)
    await bed.take(record("P-1", "-", value=b"a3", headers=()), foreign=True)
    assert await bed.words() == ["free"]
    assert await bed.parked() == [("unreadable-body", False), ("behind", True), ("behind", True)]


@pytest.mark.parametrize("how", ["unreadable", "poison", "failing"])
async def test_at_the_park_limit_the_consumer_stops_instead_of_emptying_the_topic(
    bed: Bed, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "PARK_LIMIT", 30)
    bed.troubles["poison"] = raises(Poison("impossible"))
    bed.troubles["failing"] = raises(ValueError("a bad deploy"))
    changes: dict[str, Any] = {"value": b"{"} if how == "unreadable" else {}
    batches = [[record(f"P-{n}-{m}", how, **changes) for m in range(20)] for n in range(10)]

    async def all_of_them() -> None:
        for batch in batches:
            await bed.take(*batch)

    with pytest.raises(Halted):
        await asyncio.wait_for(all_of_them(), 30)
    assert 20 <= await bed.pool.fetchval("select count(*) from parked") <= 60


async def test_a_few_bad_ones_among_many_stop_nothing(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "PARK_LIMIT", 30)
    for n in range(4):
        batch = [record(f"P-{n}-{m}", "fine") for m in range(90)]
        await bed.take(*batch, *[record(f"B-{n}-{m}", "bad", value=b"{") for m in range(10)])
    assert (await bed.reasons())["unreadable-body"] == 40


async def test_a_parked_event_shows_its_bytes(bed: Bed) -> None:
    await bed.take(record("P-1", "bad", value=b"\xff{"))
    row = (await parked.listed(bed.pool, None, 10))[0]
    shown = await parked.shown(bed.pool, row["parked_id"])
    assert shown is not None and json.loads(shown["record"])["value"] == "/3s="
