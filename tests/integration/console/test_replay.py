"""The projections made again from the topics of a real broker: whole, or not at all (behaviour 45).

Method: events are produced as the services produce them, and the console takes them in by its engine; then something happens to its tables
or to the log.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

import services.console
from services.console.store import generation
from services.console.usecases.replay import TAKES, Replayed, replay
from shared.contracts.cases import CASES, CaseAcknowledged, CaseClosed, CaseOpened
from shared.contracts.envelope import Envelope, Event
from shared.kernel.errors import Rejected
from shared.kernel.ids import new_id
from shared.messaging import Batch, Record, parked
from shared.messaging import reread as rereading
from shared.messaging.broker import provision
from shared.messaging.records import headers_of
from shared.messaging.reread import reread
from tests.integration.console.conftest import World
from tests.support.projections import projections
from tests.support.servers import Database, forget_topics

pytestmark = pytest.mark.integration

SCHEMA = Path(services.console.__file__).parent / "schema"


class Cut(Exception):
    """The process was ended."""


@dataclass
class Ground:
    """The console with its topics. `said`: every event that was produced, with its headers."""

    world: World
    owner: "asyncpg.Connection[asyncpg.Record]"
    dsn: str
    servers: str
    said: list[tuple[Event, list[tuple[str, bytes]]]] = field(default_factory=list)
    progress: list[tuple[int, int]] = field(default_factory=list)

    async def say(self, *events: Event) -> None:
        """Events as their services say them."""
        await self.produce([(e, headers_of(Envelope(new_id(), e.type_name, "test", self.world.clock.now(), e.key))) for e in events])

    async def produce(self, records: Sequence[tuple[Event, list[tuple[str, bytes]]]], body: bytes | None = None) -> None:
        self.said += records
        producer = AIOKafkaProducer(bootstrap_servers=self.servers)
        await producer.start()
        try:
            for event, headers in records:
                value = body if body is not None else event.model_dump_json().encode()
                await producer.send_and_wait(event.topic, value, key=event.key.encode(), headers=headers)
        finally:
            await producer.stop()

    async def hear(self) -> None:
        """The console takes in what it has not yet."""
        async with reread(self.servers, tuple(TAKES)) as log:
            async for topic, records in log.batches():
                await self.take(topic, records)

    async def take(self, topic: str, records: Sequence[Record]) -> None:
        await self.world.desk.engine.take(Batch(records), partial(TAKES[topic], self.world.desk))

    async def replay(self, progress: Callable[[int, int], None] | None = None) -> Replayed:
        return await replay(self.dsn, self.servers, SCHEMA, progress or (lambda *at: self.progress.append(at)))

    async def rows(self) -> dict[str, list[str]]:
        return await projections(self.owner)

    async def a_day(self) -> None:
        """Three cases with what belongs to them, one closed; and the console has heard it all."""
        w = self.world
        first, second, third = w.case(), w.case(), w.case()
        await self.say(w.patient(), first, second, third, w.gas_money(first.case_id), w.link(first.case_id, "a-secret"))
        await self.say(w.case(CaseAcknowledged, first.case_id, status="acknowledged"), w.case(CaseClosed, third.case_id, status="closed"))
        await self.hear()


@pytest_asyncio.fixture(loop_scope="session")
async def ground(world: World, database: Database, empty_kafka: str) -> AsyncIterator[Ground]:
    await provision(empty_kafka, partitions=2, replication_factor=1, retention_ms=-1, ingress_hours=24)
    owner = await asyncpg.connect(database.dsn)
    await owner.execute("truncate console.inbox, console.parked; drop schema if exists console_next cascade")
    try:
        yield Ground(world, owner, database.dsn, empty_kafka)
    finally:
        await owner.close()


async def refusal(ground: Ground, code: str) -> str:
    """A replay that is refused changes nothing; what it says."""
    before = await ground.rows()
    with pytest.raises(Rejected) as refused:
        await ground.replay()
    assert refused.value.code == code
    assert await ground.rows() == before
    return refused.value.detail


async def test_45_what_was_broken_is_whole_again_and_what_is_no_projection_stays(ground: Ground) -> None:
    await ground.a_day()
    async with ground.world.signed_in("lee") as browser:
        await ground.owner.execute("update console.links set tries = 3")
        before = await ground.rows()
        assert [len(before[table]) for table in generation.PROJECTIONS] == [3, 7, 3, 1, 0, 1, 1]
        await ground.owner.execute(
            "delete from console.entries where version = 1; update console.queue_rows set severity = 1, status = 'open'"
        )
        done = await ground.replay()
        assert await ground.rows() == before
        assert done == Replayed(8, 0, {table: len(rows) for table, rows in before.items()})
        assert ground.progress[0] == (0, 8) and ground.progress[-1] == (8, 8)
        shown = (await browser.get("/v1/queue", params={"status": "acknowledged"})).json()["items"]
        assert len(shown) == 1, "the role reads the tables that moved in, and the session is still there"
    await ground.hear()
    assert await ground.rows() == before, "what is delivered once more changes nothing"
    await ground.say(opened := ground.world.case())
    await ground.hear()
    assert f'"{opened.case_id}"' in "".join((await ground.rows())["queue_rows"]), "what comes next is heard as always"


async def test_45_cut_off_in_the_middle_nothing_has_changed_and_a_second_run_makes_it_whole(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rereading, "BATCH_RECORDS", 2)
    await ground.a_day()
    whole = await ground.rows()
    await ground.owner.execute("delete from console.entries where version = 1")
    broken = await ground.rows()

    def cut(read: int, total: int) -> None:
        if 0 < read < total:
            raise Cut

    with pytest.raises(Cut):
        await ground.replay(cut)
    assert await ground.rows() == broken
    assert await ground.owner.fetchval("select count(*) from console_next.entries") < len(whole["entries"]), "half of it was there"
    await ground.replay()
    assert await ground.rows() == whole
    assert await ground.owner.fetchval("select to_regnamespace('console_next')") is None


async def test_45_a_topic_whose_beginning_is_gone_is_refused_at_once(ground: Ground) -> None:
    await ground.a_day()
    admin = AIOKafkaAdminClient(bootstrap_servers=ground.servers)
    await admin.start()
    await admin.delete_records({TopicPartition(CASES, n): RecordsToDelete(before_offset=-1) for n in range(2)})
    await admin.close()
    said = await refusal(ground, "log-incomplete")
    assert CASES in said and "AMENDS_KAFKA__RETENTION_MS" in said and not ground.progress


async def test_45_a_log_that_was_filled_again_in_part_is_refused_and_after_the_rest_it_has_everything(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Method: the log is lost; what was said last goes out again first, then, as the refusal advises, all of it."""
    monkeypatch.setattr(rereading, "BATCH_RECORDS", 1)
    await ground.a_day()
    before = await ground.rows()
    all_of_it = list(ground.said)
    await forget_topics(ground.servers)
    await provision(ground.servers, partitions=2, replication_factor=1, retention_ms=-1, ingress_hours=24)
    await ground.produce([record for record in all_of_it if not isinstance(record[0], CaseOpened)])
    said = await refusal(ground, "log-incomplete")
    assert "lack 3 events" in said and "amends.case.opened" in said and "amends republish --since 20" in said
    await ground.produce(all_of_it)
    await ground.replay()
    assert await ground.rows() == before, "also the promise that the opening made, though it comes after what followed it"


async def test_45_what_lies_parked_is_left_out_until_it_is_redriven(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    w = ground.world
    healthy, sick = w.case(), w.case()
    await ground.say(healthy, sick)
    real = TAKES[CASES]

    async def fails(desk: Any, tx: Any, facts: Any) -> None:
        if any(fact.event.case_id == sick.case_id for fact in facts):
            raise ValueError("a bug")
        await real(desk, tx, facts)

    with monkeypatch.context() as patched:
        patched.setitem(TAKES, CASES, fails)
        await ground.hear()
        await ground.produce([(healthy, [("ce_id", str(new_id()).encode()), ("ce_type", b"amends.case.imagined")])], b"{}")
        await ground.say(w.case(CaseAcknowledged, sick.case_id, status="acknowledged"))
        await ground.hear()
        rows = await parked.listed(w.desk.engine.pool, None, 10)
        assert sorted(row["reason"] for row in rows) == ["behind", "failed", "unreadable-envelope"]
        before = await ground.rows()
        done = await ground.replay()
    assert (done.events, done.parked) == (4, 3)
    assert await ground.rows() == before and len(before["queue_rows"]) == 1
    assert len(await parked.listed(w.desk.engine.pool, None, 10)) == 3, "it still lies there"
    for row in rows:
        record = Record.unpacked(row["topic"], row["partition"], row["offset"], (await ground.owner.fetchval(
            "select record from console.parked where parked_id = $1", row["parked_id"])))  # fmt: skip
        await w.desk.engine.take(Batch([record], row["parked_id"]), partial(real, w.desk))
    after = await ground.rows()
    assert (len(after["queue_rows"]), len(after["entries"])) == (2, 3)
    assert (await ground.replay()).parked == 1, "the one that nobody can read"
    assert await ground.rows() == after


async def test_45_an_event_that_fails_is_named_and_nothing_is_changed(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    await ground.a_day()
    real = TAKES[CASES]

    async def fails(desk: Any, tx: Any, facts: Any) -> None:
        if any(isinstance(fact.event, CaseClosed) for fact in facts):
            raise ValueError("a bug")
        await real(desk, tx, facts)

    monkeypatch.setitem(TAKES, CASES, fails)
    said = await refusal(ground, "event-failed")
    (at_fault,) = [dict(headers)["ce_id"].decode() for event, headers in ground.said if isinstance(event, CaseClosed)]
    assert at_fault in said and "ValueError: a bug" in said and f"{CASES}[" in said and "after it" not in said


async def test_45_a_console_that_runs_meanwhile_is_noticed(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: nothing that is heard during a replay is lost by it. Method: something is, just before the switch."""
    await ground.a_day()
    real = generation.shut

    async def meanwhile(conn: Any) -> None:
        await ground.say(ground.world.case())
        await ground.hear()
        await real(conn)

    with monkeypatch.context() as patched:
        patched.setattr(generation, "shut", meanwhile)
        with pytest.raises(Rejected) as refused:
            await ground.replay()
    assert refused.value.code == "still-running"
    rows = await ground.rows()
    assert len(rows["queue_rows"]) == 4
    await ground.replay()
    assert await ground.rows() == rows
