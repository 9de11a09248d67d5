"""An `amends up` that is stopped, killed, started again, or given servers of one's own, and what is left."""

import asyncio
import base64
import json
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from shared.embedded import EmbeddedPostgres
from tests.support.builders import ELM, event, group
from tests.support.command import Up, amends, down, typed
from tests.support.eventually import eventually
from tests.support.servers import kafka_server, postgres_server, throwaway_folder
from tests.support.stack import client

pytestmark = pytest.mark.e2e

WHO_IS_CONNECTED = "select distinct application_name, usename from pg_stat_activity where application_name like 'amends-%'"
LOST = """
-- Ids that were sent and are not stored.
select name || '-' || n from (values ('http', $1::int), ('kafka', $2::int)) v(name, until), lateral generate_series(0, until - 1) n
except select id from intake.events_received
"""

OVER_HTTP, OVER_KAFKA, COMPLAINTS_EVERY = 3_000, 50_000, 250
BATCH = "application/cloudevents-batch+json"
DRAIN_SECONDS = 240.0


async def test_ctrl_c_stops_everything_and_a_restart_keeps_everything() -> None:
    with throwaway_folder() as folder:
        first = Up(folder)
        with down(first):
            first.ready()
            key = furnished(folder)
            await posted(first.url, key, pos_events("http", 3))
            assert {process.name() for process in first.children()} >= {"java", "postgres"}
            code, seconds = first.end(signal.SIGINT)
            assert code == 0, first.said()
            assert first.is_alone(within_seconds=1), first.children()
            print(f"stopped after {seconds:.1f} s")
        assert not (folder / "run.json").exists()

        second = Up(folder)
        with down(second):
            second.ready()
            print(f"up again after {second.seconds:.1f} s")
            async with client(second.url, key) as holder:
                found = await holder.get("/v1/events", params={"source": "pos/elm-street", "id": "http-2"})
            assert (found.status_code, found.json()["status"]) == (200, "accepted"), found.text
            code, _ = second.end(signal.SIGTERM)
            assert code == 0

        await made_by_a_newer_version(folder)
        refused = await asyncio.to_thread(amends, "up", "--data", str(folder), "--port", "0")
        assert refused.returncode == 1
        assert "newer Amends (intake/9999_from_the_future.sql)" in refused.stderr.strip().splitlines()[-1]
        assert "Traceback" not in refused.stderr


async def test_ctrl_c_while_it_starts_leaves_nothing() -> None:
    with throwaway_folder() as folder:
        up = Up(folder)
        with down(up):
            await eventually(lambda: any(process.name() == "java" for process in up.children()), within_seconds=60)
            code, _ = up.end()
            assert code == 0, up.said()
            assert up.is_alone(within_seconds=1), up.children()


async def test_killed_with_fifty_thousand_unread_it_loses_none() -> None:
    """Acknowledged over HTTP or by the broker, then kill -9 before they are read: started again, each is there once, with what follows."""
    with throwaway_folder() as folder:
        up = Up(folder)
        with down(up):
            up.ready()
            key = furnished(folder)
            await posted(up.url, key, pos_events("http", OVER_HTTP))
            await produced(running(folder)["kafka"], pos_events("kafka", OVER_KAFKA))
            up.end(signal.SIGKILL)
        assert up.is_alone(), "the servers of a killed keeper end by themselves here"
        assert (folder / "run.json").exists(), "it was killed, not stopped"

        with Up(folder) as again:
            connection = await asyncpg.connect(running(folder)["dsn"])
            try:
                stored = await connection.fetchval("select count(*) from intake.events_received")
                print(f"up again after {again.seconds:.1f} s with {OVER_HTTP + OVER_KAFKA - stored} unread")
                began = time.monotonic()
                complaints = sum(1 for e in (*pos_events("http", OVER_HTTP), *pos_events("kafka", OVER_KAFKA)) if "text" in e["data"])
                await eventually(lambda: worked_through(connection, complaints), within_seconds=DRAIN_SECONDS, every_seconds=0.5)
                print(f"worked through after {time.monotonic() - began:.1f} s")
                assert await connection.fetchval("select count(*) from escalation.cases") == complaints
                assert await connection.fetchval("select count(distinct root_order_id) from escalation.cases") == complaints
                lost = await connection.fetch(LOST, OVER_HTTP, OVER_KAFKA)
                assert not lost
                for service in ("intake", "escalation", "restitution", "notification", "console"):
                    assert await connection.fetchval(f"select count(*) from {service}.parked") == 0, service
            finally:
                await connection.close()


async def test_on_servers_of_ones_own_each_service_has_its_role() -> None:
    async with postgres_server() as dsn, kafka_server() as kafka:
        keys = {name: base64.b64encode(os.urandom(32)).decode() for name in ("AMENDS_VAULT__MASTER_KEY", "AMENDS_VAULT__INDEX_KEY")}
        environ = {"AMENDS_POSTGRES__DSN": dsn, "AMENDS_KAFKA__BOOTSTRAP_SERVERS": kafka, **keys}
        with throwaway_folder() as folder:
            with Up(folder, environ=environ) as up:
                assert not [process for process in up.children() if process.name() in ("java", "postgres")]
                key = furnished(folder)
                await posted(up.url, key, pos_events("own", 2))
                connection = await asyncpg.connect(dsn)
                try:
                    users = await connection.fetch(WHO_IS_CONNECTED)
                finally:
                    await connection.close()
                services = ("directory", "intake", "escalation", "restitution", "notification", "console")
                assert {(row[0], row[1]) for row in users} == {(f"amends-{name}", f"amends_{name}") for name in services}
            assert (folder / "run.json").exists() is False

            away = {**environ, "AMENDS_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9"}
            refused = await asyncio.to_thread(amends, "up", "--data", str(folder), "--port", "0", environ=away)
            assert refused.returncode == 1
            assert "AMENDS_KAFKA__BOOTSTRAP_SERVERS" in refused.stderr.strip().splitlines()[-1]
            assert "Traceback" not in refused.stderr


def furnished(data: Path) -> str:
    """Loads the small group and makes a key, by the commands."""
    file = data / "group.json"
    file.write_text(json.dumps(group()))
    loaded = typed("directory", "load", str(file), "--data", str(data))
    assert loaded.returncode == 0, loaded.stderr
    made = typed("keys", "create", "pos", "--scope", "events:write", "--scope", "cases:read", "--data", str(data))
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def running(data: Path) -> dict[str, Any]:
    """Where the running `up` and its servers are."""
    found: dict[str, Any] = json.loads((data / "run.json").read_text())
    return found


def pos_events(name: str, count: int) -> list[dict[str, Any]]:
    """Check-ins, each for an order of its own; every so often a complaint, which opens a case. Ids are `name`-0, `name`-1, …"""
    at = datetime.now(UTC) - timedelta(hours=1)
    made = []
    for n in range(count):
        order = {"location_id": ELM, "order_id": f"{name}-order-{n}"}
        if n % COMPLAINTS_EVERY == 0:
            made.append(event("complaint.submitted", at, name=f"{name}-{n}", channel="phone", text="They still slip.", **order))
        else:
            made.append(event("pos.visit.checked_in", at, name=f"{name}-{n}", reason="pickup", **order))
    return made


async def posted(url: str, key: str, events: list[dict[str, Any]]) -> None:
    """Over HTTP, a thousand at a time; each must be acknowledged."""
    async with client(url, key) as pos:
        for first in range(0, len(events), 1000):
            batch = events[first : first + 1000]
            answer = await pos.post("/v1/events", content=json.dumps(batch), headers={"content-type": BATCH})
            assert answer.json().get("accepted") == len(batch), answer.text[:500]


async def produced(servers: str, events: list[dict[str, Any]]) -> None:
    """Over Kafka, in CloudEvents' binary mode; each is acknowledged by the broker."""
    producer = AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True, max_batch_size=1 << 20, linger_ms=5)
    await producer.start()
    try:
        sends = []
        for e in events:
            headers = [(f"ce_{name}", str(value).encode()) for name, value in e.items() if name != "data"]
            body, order = json.dumps(e["data"]).encode(), e["data"]["order_id"].encode()
            sends.append(
                await producer.send("amends.ingress.v1", body, key=order, headers=[*headers, ("content-type", b"application/json")])
            )
        await asyncio.gather(*sends)
    finally:
        await producer.stop()


async def worked_through(connection: "asyncpg.Connection[asyncpg.Record]", complaints: int) -> bool:
    """Everything is stored, and every complaint knows its case."""
    stored = await connection.fetchval("select count(*) from intake.events_received")
    assert stored == OVER_HTTP + OVER_KAFKA, f"{stored} stored"
    known = await connection.fetchval("select count(*) from intake.incidents where case_id is not null")
    assert known == complaints, f"{known} of {complaints} complaints have their case"
    return True


async def made_by_a_newer_version(data: Path) -> None:
    """The stopped folder's database learns of a migration that this version does not know."""
    async with EmbeddedPostgres(data) as server:
        connection = await asyncpg.connect(server.dsn())
        try:
            await connection.execute("insert into intake.migrations (name, checksum) values ('intake/9999_from_the_future.sql', 'x')")
        finally:
            await connection.close()
