"""A database that the first version left is brought up to date, and what was begun then goes on (R18).

Goal: no migration loses or changes a row, and the present code works with rows of then. Method: `first/` holds every table as the first
version left it after a morning of its own, a line a row; it is written into the tables of the files 0001, and every later file is applied.
"""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest_asyncio
from pydantic import SecretStr

from services.command.up import builders
from shared.contracts.flow import ALL_SERVICES
from shared.db import Connection, Step, migrate
from shared.runtime.host import all_migrations
from shared.settings import VaultKeys
from shared.timers import Auditor, findings
from tests.support.builders import ANA, BAY, ELM, LEE, MIA, PHONES, RAJ
from tests.support.servers import Database, Servers, forget_topics, fresh_database, throwaway_folder
from tests.support.stack import Amends, client, running

FIRST: Final = Path(__file__).parent / "first"
# When that morning ended, in business time; the keys it was sealed with; the link of Pat's text, which stands nowhere else.
THEN: Final = datetime(2026, 11, 17, 15, 31, tzinfo=UTC)
KEYS: Final = VaultKeys(
    master_key=SecretStr("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    index_key=SecretStr("ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="),
)
LINK, PATS_DIGITS = "gob2CzBlhiNT1aJ9q0ZBWw", "0103"
PAT, DANA, CLEO, KIM, WEI, ZOE = "P-Pat-3", "P-Dana-8", "P-Cleo-10", "P-Kim-15", "P-Wei-19", "P-Zoe-1"
DONE: Final = {"root_cause": "frame_defect", "action": "adjustment", "note": "New temple fitted."}
# Numbers of transactions mean something on the server alone that gave them.
OF_THE_SERVER: Final = {"xid"}
# The migration itself writes the only row of these.
OF_ONE_ROW: Final = {"sequence"}
# The commands of that morning were refused at the door of HTTP, which keeps nothing; directory and console set no timers.
EMPTY: Final = {"rejections", "timers", "timers_done", "idempotency_keys", "audit", "audit_seals", "outbox"}

COLUMNS: Final = """
select attname from pg_attribute
where attrelid = $1::text::regclass and attnum > 0 and not attisdropped order by attnum
"""
PARTITIONS: Final = "select keep_partitions($1, $2, $1, $1)"
WRITE: Final = "insert into {table} ({columns}) overriding system value select {columns} from jsonb_populate_recordset(null::{table}, $1)"
ALL_OUT: Final = "update relay_position set since = pg_current_snapshot(), last_seq = (select coalesce(max(seq), 0) from outbox)"
ROWS: Final = "select to_jsonb(t) from {table} t"

Tables = Mapping[str, list[dict[str, Any]]]


def _kept(service: str) -> tuple[Tables, Mapping[str, int]]:
    """A service's tables of then, in the order they were made, and how far its sequences were."""
    found = json.loads((FIRST / f"{service}.json").read_text("utf-8"))
    return found["tables"], found["sequences"]


async def _write(conn: Connection, tables: Tables, sequences: Mapping[str, int | None]) -> None:
    """All rows of a service; what it said is out."""
    days = [date.fromisoformat(row["day"]) for name in ("inbox", "outbox") for row in tables[name]]
    await conn.execute(PARTITIONS, min(days), max(days))
    for table, rows in tables.items():
        if table != "relay_position" and rows:
            columns = ", ".join(f'"{row["attname"]}"' for row in await conn.fetch(COLUMNS, table) if row["attname"] not in OF_THE_SERVER)
            if table in OF_ONE_ROW:
                await conn.execute(f"delete from {table}")
            await conn.execute(WRITE.format(table=table, columns=columns), rows)
    for sequence, last in sequences.items():
        if last is not None:
            await conn.execute("select setval($1::text::regclass, $2)", sequence, last)
    await conn.execute(ALL_OUT)


async def _connect(database: Database, service: str) -> "asyncpg.Connection[asyncpg.Record]":
    conn = await asyncpg.connect(database.dsn, server_settings={"search_path": service})
    await conn.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    return conn


async def _bring_up_to_date(database: Database, step: Step) -> None:
    for service, (_, schema) in builders().items():
        await migrate(database.dsn, service, all_migrations(service, schema), step=step)


async def _differing(database: Database) -> list[str]:
    """Tables whose rows do not say any more what they said."""
    found = []
    for service in ALL_SERVICES:
        conn = await _connect(database, service)
        try:
            for table, rows in _kept(service)[0].items():
                if table == "relay_position":
                    continue
                now = [row[0] for row in await conn.fetch(ROWS.format(table=table))]
                if len(now) != len(rows) or not all(map(_holds, _in_order(rows, rows), _in_order(now, rows))):
                    found.append(f"{service}.{table}")
        finally:
            await conn.close()
    return found


def _holds(then: Any, now: Any) -> bool:
    """Whether everything that was said then is said now; more may be."""
    if isinstance(then, dict):
        return isinstance(now, dict) and all(
            key in now and _holds(value, now[key]) for key, value in then.items() if key not in OF_THE_SERVER
        )
    if isinstance(then, list):
        return isinstance(now, list) and len(then) == len(now) and all(map(_holds, then, now))
    return bool(then == now)


def _in_order(rows: list[dict[str, Any]], like: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By the plain columns that the rows of then have."""
    names = sorted({name for row in like for name, value in row.items() if not isinstance(value, dict | list)} - OF_THE_SERVER)
    return sorted(rows, key=lambda row: json.dumps([row[name] for name in names]))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def upgraded(postgres_dsn: str) -> AsyncIterator[Database]:
    """The database of then, with every migration since applied in its two steps."""
    async with fresh_database(postgres_dsn, "first") as database:
        for service, (_, schema) in builders().items():
            first = tuple(m for m in all_migrations(service, schema) if m.name.partition("/")[2].startswith("0001_"))
            await migrate(database.dsn, service, first)
            conn = await _connect(database, service)
            await _write(conn, *_kept(service))
            await conn.close()
        assert await _differing(database) == [], "the rows of then were not written as they are kept"
        for step in ("pre", "post"):
            await _bring_up_to_date(database, step)
            assert await _differing(database) == [], f"step {step} changed rows"
        yield database


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def amends(upgraded: Database, servers: Servers) -> AsyncIterator[Amends]:
    """Today's Amends on the database of then, at the minute that morning ended, beside a broker that has never heard of it."""
    await forget_topics(servers.bootstrap_servers)
    for service in ALL_SERVICES:
        conn = await _connect(upgraded, service)
        await conn.execute("delete from topics_heard")
        await conn.close()
    with throwaway_folder() as folder:
        here = Servers(servers.kind, upgraded.dsn, servers.bootstrap_servers)
        async with running(folder, here, at=THEN, vault=KEYS) as found:
            yield found


def test_every_table_of_the_first_version_is_tried() -> None:
    """Goal: a table that was left empty shows nothing; each is filled for one service at least, but for the refusals."""
    empty = {(service, table) for service in ALL_SERVICES for table, rows in _kept(service)[0].items() if not rows}
    assert {table for _, table in empty} <= EMPTY
    assert {table for table in EMPTY if all((service, table) in empty for service in ALL_SERVICES)} == {"rejections"}


async def test_r18_every_row_of_the_first_version_is_as_it_was(upgraded: Database) -> None:
    """Goal: said by the fixture, which compares after each step; here that nothing is left to be done."""
    for service, (_, schema) in builders().items():
        assert await migrate(upgraded.dsn, service, all_migrations(service, schema)) == 0


async def test_r18_the_auditor_of_timers_finds_nothing_amiss(amends: Amends) -> None:
    """Goal: what was added to the rows since is filled, or is not missed where it is not."""
    assert amends.stack is not None
    assert amends.stack.process is not None
    for running_service in amends.stack.process.running.values():
        auditor = Auditor(running_service.engine, running_service.service.timer_check)
        for _ in range(3):
            await auditor.look()
        left = [(f["fault"], f["kind"], f["name"], str(f["due_at"]), f["detail"]) for f in await findings(running_service.engine.pool)]
        assert left == [], left


async def test_r18_cases_of_then_are_read_with_their_words(amends: Amends) -> None:
    pat, dana = await amends.case_of(PAT), await amends.case_of(DANA)
    assert (dana["status"], dana["level"], dana["owner"]) == ("open", 0, {"staff_id": LEE})
    assert pat["story"] == {**pat["story"], "confirmed": True, "verbatim": "The left side slides down when I read."}
    (said,) = [row["incident_id"] for row in _kept("intake")[0]["incidents"] if row["patient_ref"] == DANA]
    assert "three weeks late" in str(await amends.get(f"/v1/incidents/{said}"))
    assert await amends.get(f"/v1/cases/{dana['id']}/clock")

    receipt, *_ = await amends.items("/v1/notices", case_id=pat["id"])
    assert pat["reference"] in receipt["body"]
    legs = await amends.items("/v1/ledger", case_id=pat["id"])
    assert (sum(leg["amount_minor"] for leg in legs), max(leg["amount_minor"] for leg in legs if leg["state"] == "posted")) == (0, 2610)
    assert {item["id"] for item in await amends.items("/v1/queue")} >= {pat["id"], dana["id"]}
    async with client(amends.url) as patient:
        assert (await patient.post(f"/p/{LINK}", data={"digits": PATS_DIGITS}, headers={"origin": amends.url})).status_code == 303
        assert "26.10" in (await patient.get(f"/p/{LINK}")).text


async def test_r18_cases_of_then_are_worked_on(amends: Amends) -> None:
    cleo, kim, pat = await amends.case_of(CLEO), await amends.case_of(KIM), await amends.case_of(PAT)
    wishes = {wish["kind"]: wish for wish in await amends.items("/v1/restitutions", case_id=cleo["id"])}
    assert {kind: wish["status"] for kind, wish in wishes.items()} == {"gas_money": "referred", "store_credit": "referred"}
    assert (await amends.do(f"/v1/restitutions/{wishes['store_credit']['id']}/approve", by=RAJ))["status"] == "approved"
    (offered,) = [wish for wish in await amends.items("/v1/restitutions", case_id=pat["id"]) if wish["kind"] == "store_credit"]
    assert (offered["status"], (await amends.do(f"/v1/restitutions/{offered['id']}/accept", by=ANA))["status"]) == ("offered", "accepted")

    assert {target["state"] for target in kim["targets"]} >= {"paused"}
    resumed = await amends.do(f"/v1/cases/{kim['id']}/resume", by=MIA)
    assert "paused" not in {target["state"] for target in resumed["targets"]}
    (wait,) = [case for case in await amends.items("/v1/cases", location_id=BAY) if case["patient_ref"] is None]
    assert (await amends.get(f"/v1/cases/{wait['id']}"))["story"]["verbatim"] == "The left side slides down when I read."

    await amends.do(f"/v1/cases/{pat['id']}/resolve", DONE, by=ANA)
    assert (await amends.case_of(PAT))["status"] == "resolved"
    refused = await amends.ask("/v1/notices", {"case_id": kim["id"], "text": "Your frame is here."}, by=MIA)
    assert (refused.status_code, refused.json()["code"]) == (409, "opted-out")


async def test_r18_deadlines_of_then_come(amends: Amends) -> None:
    """Goal: those of the case that had just come in, of the one that was climbing, of an order, and of a text that waited."""
    levels = {}
    for minutes in (20, 10, 30):
        await amends.advance(minutes=minutes)
        levels[(await amends.now()).strftime("%H:%M")] = (await amends.case_of(DANA))["level"]
    assert levels == {"15:51": 1, "16:01": 2, "16:31": 2}
    dana, zoe = await amends.case_of(DANA), await amends.case_of(ZOE)
    assert {target["milestone"]: target["state"] for target in dana["targets"]}["acknowledge"] == "breached"
    assert any(dana["reference"] in text for text in await amends.texts(PHONES[ANA]))
    assert len([text for text in await amends.texts(PHONES[RAJ]) if zoe["reference"] in text]) == 2
    await amends.advance(minutes=24 * 60)
    assert (await amends.case_of(WEI))["location_id"] == ELM
    assert not [
        notice for notice in await amends.items("/v1/notices", case_id=(await amends.case_of(PAT))["id"]) if notice["status"] == "held"
    ]
