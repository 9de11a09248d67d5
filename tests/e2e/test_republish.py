"""A broker whose log is gone with thousands of events unread: filled again, none is lost and nothing is done twice (behaviour 45)."""

import asyncio
import json
import shutil
import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from shared.contracts.flow import TOPICS
from shared.embedded import EmbeddedPostgres
from tests.contract.building import passed_over
from tests.e2e.test_survives import posted
from tests.support.builders import ELM, Event, Patient, complaint, event, group, three_trips
from tests.support.command import Up, amends, down, typed
from tests.support.eventually import eventually
from tests.support.servers import throwaway_folder
from tests.support.stack import Amends, client

pytestmark = pytest.mark.e2e

PAID, PATIENTS, ORDERS, EACH = 10, 150, 3_000, 1_000
DRAIN_SECONDS = 300.0
STORY = {"verbatim": "The left side slides down when I read.", "wished_outcome": "Glasses that stay on.", "read_back_confirmed": True}
COUNTS = {
    "cases": "select count(*) from escalation.cases",
    "second cases of one order or patient": "select count(*) from (select from escalation.cases group by belongs_to having count(*) > 1) c",
    "incidents": "select count(*) from intake.incidents",
    "incidents without a case": "select count(*) from intake.incidents where case_id is null",
    "incidents taken twice": "select count(*) from (select from escalation.case_incidents group by incident_id having count(*) > 1) i",
    "ledger legs": "select count(*) from restitution.ledger",
    "ledger sum": "select coalesce(sum(amount_minor), 0)::bigint from restitution.ledger",
    "payout codes": "select count(*) from restitution.payout_codes",
    "patients that notification knows": "select count(*) from notification.patients",
    "cases that the console shows": "select count(*) from console.queue_rows",
    "keys that restitution knows": "select count(*) from restitution.reference_access",
    "parked": " + ".join(
        f"(select count(*) from {name}.parked where redriven_at is null)"
        for name in ("intake", "escalation", "restitution", "notification", "console")
    ).join(("select ", "")),
}


async def test_a_lost_log_with_thousands_unread_is_said_again_and_nothing_is_done_twice() -> None:
    began = datetime.now(UTC)
    with throwaway_folder() as folder:
        up = Up(folder)
        with down(up):
            up.ready()
            key = furnished(folder)
            async with client(up.url, key) as http:
                paid = await paid_before(Amends(up.url, http))
                now = await Amends(up.url, http).now()
            before = texts(folder)
            for first in range(0, ORDERS, EACH):
                await posted(up.url, key, [complaint_of_order(n, now) for n in range(first, first + EACH)])
            people = [Patient(f"Pia-{n} Example") for n in range(PATIENTS)]
            await posted(up.url, key, [complaint(one, "They still slip.", now, name=f"patient-{n}") for n, one in enumerate(people)])
            up.end(signal.SIGKILL)
        assert up.is_alone()
        unread = await unread_in(folder)
        assert sum(unread.values()) > 3_000, unread
        print(f"unread when the log is lost: {sum(unread.values()):,} deliveries {dict(unread)}")
        shutil.rmtree(folder / "kafka")

        refused = await asyncio.to_thread(amends, "up", "--data", str(folder), "--port", "0", "--empty")
        assert refused.returncode == 1 and "amends republish --since" in refused.stderr, refused.stderr
        too_far = await asyncio.to_thread(amends, "republish", "--since", "2020-01-01", "--data", str(folder))
        assert too_far.returncode == 1 and "can republish from" in too_far.stderr, too_far.stderr
        started = time.monotonic()
        since = (began - timedelta(minutes=1)).isoformat()
        again = await asyncio.to_thread(amends, "republish", "--since", since, "--data", str(folder), "--json")
        assert again.returncode == 0, again.stderr
        print(f"republish took {time.monotonic() - started:.1f} s: {again.stdout.strip()}")

        with Up(folder) as second:
            started = time.monotonic()
            cases = ORDERS + PATIENTS + PAID
            await eventually(lambda: through(second.url, key), within_seconds=DRAIN_SECONDS, every_seconds=1)
            print(f"worked through {time.monotonic() - started:.1f} s after the start")
            found = await counted(folder)
            print(found)
            assert found == {
                **dict.fromkeys(found, 0), "cases": cases, "incidents": cases, "ledger legs": 2 * PAID, "payout codes": PAID,
                "patients that notification knows": PAID + PATIENTS, "cases that the console shows": cases,
                "keys that restitution knows": 1,
            }  # fmt: skip
            after = texts(folder)
            for phone in paid:
                assert after[phone] == before[phone], "whoever was done with before hears nothing more"
            assert [after[one.phone] for one in people] == [1] * PATIENTS, "one receipt each"
            assert not (await unread_in(None, second)), "everything was read by everybody"
            beside = await asyncio.to_thread(amends, "republish", "--since", since, "--data", str(folder))
            assert beside.returncode == 1 and "Traceback" not in beside.stderr, "one folder, one Amends"


async def paid_before(amends: Amends) -> list[str]:
    """Patients whose gas money was paid and told before the loss; their numbers."""
    now = await amends.open_hours(hours=6)
    people = [Patient(f"Paul-{n} Example") for n in range(PAID)]
    for one in people:
        await amends.send(*three_trips(one, f"order-{one.ref}", now=now))
        case = await amends.case_of(one.ref)
        await amends.do(f"/v1/cases/{case['id']}/story", STORY)
    await amends.advance(minutes=10)
    return [one.phone for one in people]


def complaint_of_order(n: int, at: datetime) -> Event:
    """A complaint without a patient: its case belongs to the root order."""
    return event("complaint.submitted", at, name=f"c-{n}", location_id=ELM, order_id=f"o-{n}", channel="phone", text="They still slip.")


def furnished(data: Path) -> str:
    """Loads the small group and makes a key that acts as the admin and may send events."""
    file = data / "group.json"
    file.write_text(json.dumps(group()))
    assert typed("directory", "load", str(file), "--data", str(data)).returncode == 0
    words = ("--scope", "events:write", "--staff", "ada")
    made = typed("keys", "create", "pos", *words, "--data", str(data))
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def texts(data: Path) -> Counter[str]:
    """How many texts each number got, as the provider tells."""
    rows = (json.loads(line) for line in (data / "phone.jsonl").read_text().splitlines())
    return Counter(row["to"] for row in rows if row.get("direction") == "outbound-api")


async def unread_in(data: Path | None, up: Up | None = None) -> Counter[str]:
    """Events that are in an outbox and not in the inbox of a listener that does something about them, by listener.

    The database is started for it where none runs.
    """
    if data is not None:
        async with EmbeddedPostgres(data) as server:
            return await _unread(server.dsn())
    assert up is not None
    return await _unread(json.loads((up.data / "run.json").read_text())["dsn"])


async def _unread(dsn: str) -> Counter[str]:
    connection = await asyncpg.connect(dsn)
    try:
        found: Counter[str] = Counter()
        passed = passed_over()
        for topic in TOPICS:
            for listener in topic.listeners if topic.events and not topic.compacted else ():
                found[f"{listener} of {topic.name}"] = await connection.fetchval(
                    f"select count(*) from {topic.owner}.outbox o where topic = $1"
                    f" and type <> all($2::text[]) and not exists (select 1 from {listener}.inbox i where i.ce_id = o.event_id)",
                    topic.name,
                    passed[listener, topic.name],
                )
        return +found
    finally:
        await connection.close()


async def through(url: str, key: str) -> bool:
    async with client(url, key) as http:
        answer = (await http.post("/dev/clock", json={"advance_seconds": 0})).json()
    assert answer["drained"], answer
    return True


async def counted(data: Path) -> dict[str, Any]:
    connection = await asyncpg.connect(json.loads((data / "run.json").read_text())["dsn"])
    try:
        return {name: await connection.fetchval(sql) for name, sql in COUNTS.items()}
    finally:
        await connection.close()
