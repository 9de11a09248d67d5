"""Idempotency-Key on a real Postgres: done once, answered again, whatever comes between."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from litestar import post

import shared.messaging
import shared.web
from shared.db import Pool, open_pool
from shared.db.migrate import migrate, migrations_in
from shared.kernel.clock import MachineClock
from shared.kernel.errors import Transient
from shared.messaging import Engine
from shared.web.idempotency import PURGE, mark_done
from tests.support.eventually import eventually
from tests.support.servers import Database
from tests.unit.web.sample import Desk, bearer, client_of, sample_app

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pool(database: Database) -> AsyncIterator[Pool]:
    rooms = [Path(room.__file__ or "").parent for room in (shared.messaging, shared.web)]
    await migrate(database.dsn, "sample", tuple(m for room in rooms for m in migrations_in(room / "schema", room.name)))
    opened = await open_pool(database.dsn_of("amends_sample"), schema="sample")
    yield opened
    await opened.close()


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def no_keys(pool: Pool) -> None:
    await pool.execute("delete from idempotency_keys")


def keyed(key: str = '"k-1"', who: str = "writer") -> dict[str, str]:
    return bearer(who) | {"idempotency-key": key}


async def order(client: httpx.AsyncClient, name: str = "x", **headers: str) -> httpx.Response:
    return await client.post("/v1/orders", json={"name": name}, headers=headers)


async def test_the_same_request_is_done_once_and_answered_twice(pool: Pool) -> None:
    desk = Desk(pool)
    async with client_of(sample_app(desk, pool=pool)) as client:
        first, again = await order(client, **keyed()), await order(client, **keyed())
    assert first.status_code == again.status_code == 200
    assert first.content == again.content and first.headers["content-type"] == again.headers["content-type"]
    assert "idempotent-replayed" not in first.headers and again.headers["idempotent-replayed"] == "true"
    assert "content-security-policy" in again.headers
    assert desk.calls == ["x"]


async def test_a_refusal_is_repeated_too_and_another_body_is_422(pool: Pool) -> None:
    desk = Desk(pool)
    async with client_of(sample_app(desk, pool=pool)) as client:
        refused = [await client.post("/v1/orders", json={"amount_minor": "x"}, headers=keyed()) for _ in range(2)]
        assert [r.status_code for r in refused] == [400, 400]
        assert refused[1].headers["content-type"] == "application/problem+json"
        other = await order(client, "y", **keyed())
        assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
        other_query = await client.post("/v1/orders?dry=1", json={"amount_minor": "x"}, headers=keyed())
        assert other_query.status_code == 422
    assert desk.calls == []


async def test_a_key_belongs_to_its_asker_and_its_address(pool: Pool) -> None:
    desk = Desk(pool)
    async with client_of(sample_app(desk, pool=pool)) as client:
        await order(client, **keyed())
        await order(client, **keyed(who="ana"))
        await client.post("/v1/orders/o-1/confirm", headers=keyed())
        await client.post("/v1/orders/o-2/confirm", headers=keyed())
        await client.post("/v1/orders/o-2/confirm", headers=keyed())
    assert desk.calls == ["x", "x", "o-1", "o-2"]


@pytest.mark.parametrize("bad", ["k-1", '"', '""', '"a" "b"', '"a"; p=1', '"' + "a" * 256 + '"', '"é"', '"a\\x"'])
async def test_a_malformed_key_is_refused(pool: Pool, bad: str) -> None:
    desk = Desk(pool)
    async with client_of(sample_app(desk, pool=pool)) as client:
        headers = [(name.encode(), value.encode()) for name, value in keyed(bad).items()]
        answer = await client.post("/v1/orders", json={"name": "x"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad-idempotency-key")
    assert desk.calls == []


async def test_twenty_at_once_are_done_once(pool: Pool) -> None:
    """While the first is at work the others hear 409; afterwards all hear its answer."""
    gate = asyncio.Event()
    desk = Desk(pool)
    app = sample_app(desk, pool=pool, more=[_slow(gate)])
    async with client_of(app) as client:
        tasks = [asyncio.create_task(client.post("/v1/slow", headers=keyed())) for _ in range(20)]
        await eventually(lambda: sum(task.done() for task in tasks) == 19)
        gate.set()
        codes = sorted(answer.status_code for answer in await asyncio.gather(*tasks))
        assert codes == [200] + [409] * 19
        assert (await client.post("/v1/slow", headers=keyed())).status_code == 200
    assert desk.calls == ["slow"]


async def test_a_crash_in_between_leaves_the_key_to_the_next_after_its_lease(pool: Pool) -> None:
    desk = Desk(pool)
    async with client_of(sample_app(desk, pool=pool)) as client:
        await order(client, **keyed())
        # As a process leaves it that was killed after claiming.
        await pool.execute("update idempotency_keys set status = null, headers = null, body = null")
        assert (await order(client, **keyed())).status_code == 409
        await pool.execute("update idempotency_keys set lease_until = clock_timestamp() - interval '1 second'")
        assert (await order(client, "y", **keyed())).status_code == 422
        assert (await order(client, **keyed())).json()["call"] == 2
        assert await pool.fetchval("select token from idempotency_keys") == 2
    assert desk.calls == ["x", "x"]


async def test_who_lost_the_lease_cannot_store_an_answer(pool: Pool) -> None:
    gate = asyncio.Event()
    desk = Desk(pool)
    async with client_of(sample_app(desk, pool=pool, more=[_slow(gate)])) as client:
        late = asyncio.create_task(client.post("/v1/slow", headers=keyed()))
        await eventually(lambda: bool(desk.calls))
        await pool.execute("update idempotency_keys set token = 2, lease_until = clock_timestamp() + interval '1 minute'")
        gate.set()
        assert (await late).status_code == 200
        assert await pool.fetchval("select status from idempotency_keys") is None


async def test_what_was_committed_is_not_done_again_where_its_answer_was_lost(pool: Pool) -> None:
    """Goal: kill -9 between the commit and the answer costs the answer, never a second action. Method: the key's row as such a kill leaves
    it: marked by the request's own transaction, without a status."""
    async with client_of(sample_app(Desk(pool), pool=pool, more=[_booking(pool)])) as client:
        assert (await client.post("/v1/book", headers=keyed())).status_code == 200
        await pool.execute("update idempotency_keys set status = null, headers = null, body = null")
        within = await client.post("/v1/book", headers=keyed())
        assert (within.status_code, within.json()["code"]) == (409, "in-flight")
        await pool.execute(LEASE_RAN_OUT)
        after = await client.post("/v1/book", headers=keyed())
        assert (after.status_code, after.json()["code"]) == (409, "answer-lost")
        assert (await client.post("/v1/book", headers=keyed('"k-2"'))).status_code == 200
    assert await _booked(pool) == 2


async def test_an_answer_that_broke_after_the_commit_is_lost_at_once_and_nothing_is_done_again(pool: Pool) -> None:
    async with client_of(sample_app(Desk(pool), pool=pool, more=[_booking(pool, breaks=True)]), raise_errors=False) as client:
        codes = [(await client.post("/v1/book", headers=keyed())).status_code for _ in range(2)]
    assert codes == [500, 409]
    assert await _booked(pool) == 1


async def test_r4_who_lost_the_lease_commits_nothing(pool: Pool) -> None:
    """A process that was paused beyond its lease: the request was done by another meanwhile."""
    gate = asyncio.Event()
    async with client_of(sample_app(Desk(pool), pool=pool, more=[_booking(pool, gate)])) as client:
        late = asyncio.create_task(client.post("/v1/book", headers=keyed()))
        await eventually(lambda: pool.fetchval("select count(*) from idempotency_keys"))
        await pool.execute(LEASE_RAN_OUT)
        second = asyncio.create_task(client.post("/v1/book", headers=keyed()))
        await eventually(lambda: pool.fetchval("select token = 2 from idempotency_keys"))
        gate.set()
        assert [(await late).status_code, (await second).status_code] == [409, 200]
    assert await _booked(pool) == 1


async def test_what_failed_for_the_moment_may_be_tried_again(pool: Pool) -> None:
    desk = Desk(pool)
    async with client_of(sample_app(desk, pool=pool, more=[_shaky()]), raise_errors=False) as client:
        assert [(await client.post("/v1/shaky", headers=keyed())).status_code for _ in range(3)] == [503, 200, 200]
        assert await order(client, **keyed(who="reader")) is not None
    assert desk.calls == ["shaky", "shaky"]
    # Neither the 503 nor the reader's 403 holds a key.
    assert await pool.fetchval("select array_agg(status) from idempotency_keys") == [200]


async def test_an_answer_is_forgotten_after_a_day(pool: Pool) -> None:
    desk = Desk(pool)
    async with client_of(sample_app(desk, pool=pool)) as client:
        await order(client, **keyed())
        await pool.execute("update idempotency_keys set created_at = clock_timestamp() - interval '25 hours'")
        assert (await order(client, "y", **keyed())).json()["call"] == 2
        await pool.execute("update idempotency_keys set created_at = clock_timestamp() - interval '25 hours'")
    await pool.execute(PURGE, timedelta(hours=24), 1000)
    assert await pool.fetchval("select count(*) from idempotency_keys") == 0


async def test_a_stored_answer_is_sealed_where_the_service_has_a_vault(pool: Pool) -> None:
    class Rot:
        def seal(self, text: str, table: str, row: str, field: str) -> bytes:
            return f"{table}/{row}/{field}:{text[::-1]}".encode()

        def open(self, sealed: bytes, table: str, row: str, field: str) -> str:
            place, _, text = sealed.decode().partition(":")
            assert place == f"{table}/{row}/{field}"
            return text[::-1]

    desk = Desk(pool)
    async with client_of(sample_app(desk, pool=pool, sealer=Rot())) as client:
        first, again = await order(client, "canary", **keyed()), await order(client, "canary", **keyed())
    assert first.json() == again.json()
    stored = await pool.fetchval("select body from idempotency_keys")
    assert b"CANARY" not in stored and b"canary" not in stored


async def test_a_database_that_is_away_is_503_and_nothing_is_done(database: Database) -> None:
    gone = await open_pool(database.dsn_of("amends_sample"), schema="sample")
    await gone.close()
    desk = Desk(gone)
    async with client_of(sample_app(desk, pool=gone), raise_errors=False) as client:
        answer = await order(client, **keyed())
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert desk.calls == []


LEASE_RAN_OUT = "update idempotency_keys set lease_until = clock_timestamp() - interval '1 second'"


def _booking(pool: Pool, gate: asyncio.Event | None = None, *, breaks: bool = False) -> Any:
    engine = Engine("sample", pool, MachineClock(), writers=(mark_done,))

    @post("/v1/book", status_code=200)
    async def book() -> dict[str, str]:
        """Changes something, in one transaction."""
        async with engine.transaction(door="http") as tx:
            if gate is not None:
                await gate.wait()
            tx.audit("test", "book", "x")
        if breaks:
            raise RuntimeError("after the commit")
        return {"is": "booked"}

    return book


async def _booked(pool: Pool) -> int:
    """How often since the last time it was asked."""
    seen: int = await pool.fetchval("select count(*) from audit")
    before, _seen["booked"] = _seen.get("booked", 0), seen
    return seen - before


_seen: dict[str, int] = {}


def _slow(gate: asyncio.Event) -> Any:
    @post("/v1/slow", status_code=200)
    async def slow(desk: Desk) -> dict[str, int]:
        """Waits for the test."""
        desk.calls.append("slow")
        await gate.wait()
        return {"call": len(desk.calls)}

    return slow


def _shaky() -> Any:
    @post("/v1/shaky", status_code=200)
    async def shaky(desk: Desk) -> dict[str, int]:
        """Fails the first time."""
        desk.calls.append("shaky")
        if len(desk.calls) == 1:
            raise Transient("away")
        return {"call": len(desk.calls)}

    return shaky
