"""Reads what a storm has left: the tables of every service, the topics on the broker, the provider's record, the world's.

Called once, when all is quiet. `watch` is called before the first event: it puts a trigger on every service's timers, so that what was set
is known without asking the rows that firing removes.
"""

import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import asyncpg

from shared.contracts.flow import ALL_SERVICES, TOPICS
from shared.db import Connection
from tests.chaos.checks import Events, Money, Order, Seen, Texts, Timers
from tests.chaos.checks.money import Granted, Leg, Trip
from tests.chaos.checks.order import Copy, Said
from tests.chaos.checks.texts import Accepted, Told
from tests.chaos.checks.timers import Ended, Key
from tests.chaos.ground import Ground
from tests.chaos.plan import Plan
from tests.chaos.provider import Provider, notice_of
from tests.chaos.record import Blow, Record
from tests.chaos.topics import arrived
from tests.contract.building import passed_over

WATCH: Final = """
create schema if not exists watched;
create table if not exists watched.timers (service text, kind text, subject text, name text, generation int, set_at timestamptz);
create or replace function watched.note_timer() returns trigger language plpgsql security definer as $$
begin
    insert into watched.timers values (tg_table_schema, new.kind, new.subject, new.name, new.generation, clock_timestamp());
    return null;
end $$;
"""
NOTE: Final = "create trigger noted after insert or update on {service}.timers for each row execute function watched.note_timer()"

STORED: Final = "select source, id, count(*) as times from intake.events_received group by source, id"
INCIDENTS: Final = "select incident_id, case_id from intake.incidents where status = 'reported'"
ATTACHED: Final = "select incident_id, case_id from escalation.case_incidents"
# By people; an offer counts as an action of its approver and is no command of theirs.
HAPPENED: Final = """
select case_id::text as case_id, type, count(*) as times from escalation.case_events
where by is not null and data ->> 'kind' is distinct from 'offer' group by 1, 2
"""
SAID: Final = """
select event_id, topic, key, type, convert_from(body, 'UTF8')::jsonb as body from {service}.outbox order by seq
"""
TAKEN: Final = "select ce_id, count(*) as times from {service}.inbox group by ce_id"
PARKED: Final = "select topic, reason, detail from {service}.parked where redriven_at is null"
GRANTED: Final = """
select restitution_id, kind, amount_minor, status, requested_by, approved_by, trips, location_id, month from restitution.restitutions
"""
LEGS: Final = "select entry_id, restitution_id, purpose, account, amount_minor, state from restitution.ledger"
VISITS: Final = "select visit_id, root_order_id, miles from intake.visits"
CODES: Final = "select payout_id, amount_minor from restitution.payout_codes"
BUDGETS: Final = "select location_id, month, reserved_minor, posted_minor from restitution.budgets"
SET_AT: Final = "select service, kind, subject, name, generation, max(set_at) as set_at from watched.timers group by 1, 2, 3, 4, 5"
ENDED: Final = "select kind, subject, name, generation, outcome, due_at, fired_at from {service}.timers_done"
WAITING: Final = "select kind, subject, name, generation, due_at, parked_reason from {service}.timers"
NOTICES: Final = "select notice_id, template, case_id, status, provider_sid, left_at, carried_by from notification.notices"
CASES: Final = "select case_id, patient_ref from escalation.cases where patient_ref is not null"
# What an event's version counts, by topic; elsewhere it is the key alone that keeps the order.
COUNTED: Final = {"amends.cases.v1": "case_id", "amends.restitutions.v1": "restitution_id", "amends.notices.v1": "notice_id"}
# What is kept of others' things: the owner's table and the listener's, each as (id, version).
COPIES: Final = (
    ("case", "escalation.cases", "case_id", (("restitution", "cases"), ("notification", "cases"), ("console", "queue_rows"))),
    ("restitution", "restitution.restitutions", "restitution_id", (("console", "restitutions"),)),
    ("patient", "intake.patients", "patient_ref", (("notification", "patients"), ("escalation", "patients"), ("console", "patients"))),
    ("location", "directory.locations", "location_id", tuple((name, "reference_locations") for name in ALL_SERVICES)),
    ("staff", "directory.staff", "staff_id", tuple((name, "reference_staff") for name in ALL_SERVICES)),
    ("key", "directory.keys", "key_id", tuple((name, "reference_access") for name in ALL_SERVICES)),
)
COPY: Final = """
select coalesce(o.{id}, l.{id})::text as id, o.version as owned, l.version as kept
from {owner} o full join {listener} l using ({id}) where o.version is distinct from l.version
"""
LOADS: Final = """
-- Whose live cases are not as many as was counted when they changed.
with owned as (
    select location_id || ' ' || owner_staff_id as id, count(*)::int as cases from escalation.cases
    where status in ('open', 'acknowledged') and owner_staff_id is not null group by 1
), counted as (
    select location_id || ' ' || staff_id as id, sum(cases)::int as cases from escalation.case_loads group by 1
)
select id, coalesce(o.cases, 0) as owned, coalesce(c.cases, 0) as counted from owned o full join counted c using (id)
where coalesce(o.cases, 0) <> coalesce(c.cases, 0)
"""
TIMELINE: Final = """
-- Each event that concerns a case and that the console's timeline lacks.
select o.event_id from {service}.outbox o where convert_from(o.body, 'UTF8')::jsonb ? 'case_id' and o.topic = $1
except select event_id from console.entries
"""


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Connection]:
    """The superuser's connection."""
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def watch(dsn: str) -> None:
    """Note every timer that is set from now on."""
    async with connected(dsn) as conn:
        await conn.execute(WATCH)
        for service in ALL_SERVICES:
            await conn.execute(NOTE.format(service=service))


async def read(here: Ground, plan: Plan, record: Record, provider: Provider, slack: timedelta, frozen_at: datetime) -> Seen:
    """Everything, as it has been since `frozen_at`."""
    lying = await arrived(here.servers)
    async with connected(here.dsn) as conn:
        await conn.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
        return Seen(
            await _events(conn, record),
            await _order(conn, lying),
            await _money(conn, plan, record),
            await _timers(conn, record, slack, frozen_at),
            await _texts(conn, record, provider, plan),
        )


async def _events(conn: Connection, record: Record) -> Events:
    return Events(
        acknowledged=record.acknowledged,
        refused=record.refused,
        done=record.done,
        stored={(r["source"], r["id"]): r["times"] for r in await conn.fetch(STORED)},
        incidents={r["incident_id"]: r["case_id"] for r in await conn.fetch(INCIDENTS)},
        attached={r["incident_id"]: r["case_id"] for r in await conn.fetch(ATTACHED)},
        happened={(r["case_id"], r["type"]): r["times"] for r in await conn.fetch(HAPPENED)},
    )


async def _order(conn: Connection, lying: Mapping[str, Sequence[tuple[str, UUID]]]) -> Order:
    said: dict[str, list[Said]] = {}
    for service in ALL_SERVICES:
        for row in await conn.fetch(SAID.format(service=service)):
            said.setdefault(row["topic"], []).append(_said(row))
    parked = [
        f"{service}: {r['topic']} {r['reason']} ({r['detail'][:120]})"
        for service in ALL_SERVICES
        for r in await conn.fetch(PARKED.format(service=service))
    ]
    return Order(
        said=said,
        arrived=lying,
        taken={service: {r["ce_id"]: r["times"] for r in await conn.fetch(TAKEN.format(service=service))} for service in ALL_SERVICES},
        passed_over=passed_over(),
        copies=await _copies(conn),
        parked=parked,
    )


def _said(row: asyncpg.Record) -> Said:
    body: dict[str, Any] = row["body"]
    counted = COUNTED.get(row["topic"])
    if counted is None:
        return Said(row["event_id"], row["key"], row["key"], None, row["type"])
    return Said(row["event_id"], row["key"], body.get(counted), body["version"], row["type"])


async def _copies(conn: Connection) -> list[Copy]:
    """The rows that differ."""
    found: list[Copy] = []
    for what, owner, id_, listeners in COPIES:
        for listener, table in listeners:
            rows = await conn.fetch(COPY.format(id=id_, owner=owner, listener=f"{listener}.{table}"))
            found += [Copy(what, listener, r["id"], r["owned"], r["kept"]) for r in rows]
    found += [Copy("load", "escalation", r["id"], r["owned"], r["counted"]) for r in await conn.fetch(LOADS)]
    for topic in TOPICS:
        if "console" in topic.listeners and topic.owner in ("escalation", "restitution", "notification"):
            rows = await conn.fetch(TIMELINE.format(service=topic.owner), topic.name)
            found += [Copy("timeline entry", "console", str(r["event_id"]), 1, None) for r in rows]
    return found


async def _money(conn: Connection, plan: Plan, record: Record) -> Money:
    granted = [_granted(row) for row in await conn.fetch(GRANTED)]
    return Money(
        granted=granted,
        legs=[Leg(*r) for r in await conn.fetch(LEGS)],
        visits={r["visit_id"]: (r["root_order_id"], r["miles"]) for r in await conn.fetch(VISITS)},
        codes=[(r["payout_id"], r["amount_minor"]) for r in await conn.fetch(CODES)],
        budgets={(r["location_id"], r["month"]): (r["reserved_minor"], r["posted_minor"]) for r in await conn.fetch(BUDGETS)},
        requested=Counter(done.by for done in record.done if done.what == "request"),
        roles={person["id"]: person["role"] for person in plan.group["staff"]},
    )


def _granted(row: asyncpg.Record) -> Granted:
    trips = tuple(Trip(UUID(trip["visit_id"]), _number(trip["miles"]), _number(trip["cents_per_mile"])) for trip in row["trips"])
    plain = {name: row[name] for name in ("restitution_id", "kind", "amount_minor", "status", "requested_by", "location_id", "month")}
    return Granted(**plain, approved_by=tuple(row["approved_by"]), trips=trips)


async def _timers(conn: Connection, record: Record, slack: timedelta, frozen_at: datetime) -> Timers:
    ended: list[Ended] = []
    waiting: dict[Key, Any] = {}
    parked: dict[Key, str] = {}
    for service in ALL_SERVICES:
        rows = await conn.fetch(ENDED.format(service=service))
        ended += [Ended(_key(service, r), r["outcome"], r["due_at"], r["fired_at"]) for r in rows]
        for r in await conn.fetch(WAITING.format(service=service)):
            key = _key(service, r)
            waiting[key] = None if r["parked_reason"] else r["due_at"]
            if r["parked_reason"]:
                parked[key] = r["parked_reason"]
    return Timers(
        set_at={_key(r["service"], r): r["set_at"] for r in await conn.fetch(SET_AT)},
        ended=ended,
        waiting=waiting,
        parked=parked,
        outages=[outage for blow in record.blows for outage in _outages(blow)],
        read_at=frozen_at,
        slack=slack,
    )


def _outages(blow: Blow) -> list[tuple[str, datetime, datetime]]:
    """Whose timers may wait, and while: from the kill until the service says that it is ready. Without the broker alone timers go on in
    time."""
    down: tuple[str, ...] = {"log": ALL_SERVICES, "broker": ()}.get(blow.target, (blow.target,))
    return [(service, blow.struck_at, blow.up_at) for service in down]


def _key(service: str, row: asyncpg.Record) -> Key:
    return service, row["kind"], row["subject"], row["name"], row["generation"]


async def _texts(conn: Connection, record: Record, provider: Provider, plan: Plan) -> Texts:
    plain = ("notice_id", "template", "case_id", "status", "left_at")
    told = [
        Told(**{name: r[name] for name in plain}, sid=r["provider_sid"], is_carried=r["carried_by"] is not None)
        for r in await conn.fetch(NOTICES)
    ]
    return Texts(
        accepted=[Accepted(text.sid, text.to, text.body, text.created_at, notice_of(text)) for text in provider.accepted],
        stops=record.stops,
        told={one.notice_id: one for one in told},
        cases=[r["case_id"] for r in await conn.fetch(CASES) if r["patient_ref"] in plan.phones],
    )


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
