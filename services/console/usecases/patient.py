"""The patient's page behind a link: found by the hash of its secret; details after the last four digits of the phone.

Invariant: a link that is unknown and one that has expired answer alike; looking changes nothing; wrong answers are bounded per link.
"""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from services.console.domain import patient as words
from services.console.domain.patient import Story
from services.console.domain.queue import QueueRow
from services.console.store import queries, sessions
from services.console.usecases.desk import Desk, directory
from services.console.usecases.sign_in import hashed
from shared.kernel.clock import machine_now
from shared.kernel.errors import Rejected, Transient
from shared.reference import Location

TRIES_MAX = 5
TRIES_WINDOW = timedelta(hours=1)
VISIT = timedelta(minutes=30)
TOLD = ("offered", "accepted", "settled")

AskerOf = Callable[[str, UUID], Any]


@dataclass(frozen=True, slots=True)
class Gift:
    """What is given back, for its patient. `code` where it is there to be used."""

    kind: str
    amount_minor: int
    currency: str
    status: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Details:
    """What is shown after the second factor."""

    name: str | None
    handler: str | None
    gifts: list[Gift] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PatientPage:
    """The page. `details` None before the second factor, `can_prove` whether there is a number to ask for."""

    row: QueueRow
    place: Location | None
    story: Story
    zone: str
    can_prove: bool
    details: Details | None


async def patient_page(desk: Desk, token: str, visit: str | None, asker_of: AskerOf) -> PatientPage | None:
    """The page of a link; None for one that is unknown or expired. `visit` is the cookie of a browser that passed the second factor."""
    now = desk.now
    async with desk.engine.pool.acquire() as conn:
        case_id = await queries.link(conn, hashed(token), now)
        row = await queries.one(conn, case_id) if case_id else None
        if row is None:
            return None
        names = await directory(conn, [row.location_id], [row.owner_staff_id or ""])
        patient = (await queries.patients(conn, [row.patient_ref])).get(row.patient_ref or "")
        proven = visit is not None and await sessions.is_visit(conn, hashed(visit), hashed(token), machine_now())
        gifts = await queries.restitutions(conn, row.case_id) if proven else []
    details = None
    if proven:
        asker = asker_of(hashed(token)[:16], row.case_id)
        shown = [await _gift(desk, asker, gift) for gift in gifts if gift["status"] in TOLD]
        details = Details(desk.open(patient, "name"), names.person(row.owner_staff_id), shown)
    zone = names.zone(row.location_id)
    return PatientPage(
        row=row,
        place=names.places.get(row.location_id),
        story=words.tell(row, names.store(row.location_id), zone, now),
        zone=zone,
        can_prove=words.last_digits(desk.open(patient, "phone")) is not None,
        details=details,
    )


async def prove(desk: Desk, token: str, answer: str) -> str | None:
    """Try the last four digits: what the browser's cookie is to hold, or None for a wrong answer.

    Raises Rejected `not-found` for a link that is unknown or expired, `too-many-requests` once five wrong answers were given in an hour.
    """
    now, machine = desk.now, machine_now()
    async with desk.engine.pool.acquire() as conn:
        if await queries.link(conn, hashed(token), now) is None:
            raise Rejected("not-found", "This page is no longer here.")
        case_id = await sessions.take_try(conn, hashed(token), machine, machine - TRIES_WINDOW, TRIES_MAX)
        if case_id is None:
            raise Rejected("too-many-requests", "Too many wrong answers. Try again in an hour, or call the store.")
        row = await queries.one(conn, case_id)
        patient = (await queries.patients(conn, [row.patient_ref])).get(row.patient_ref or "") if row else None
        expected = words.last_digits(desk.open(patient, "phone"))
        if expected is None or not hmac.compare_digest(expected.encode(), answer.encode("utf-8", "surrogatepass")):
            return None
        visit = secrets.token_urlsafe(32)
        await sessions.forgive(conn, hashed(token))
        await sessions.open_visit(conn, hashed(visit), hashed(token), machine + VISIT)
    return visit


async def _gift(desk: Desk, asker: Any, gift: dict[str, Any]) -> Gift:
    code = None
    if gift["status"] == "settled":
        try:
            answer = await desk.services.get("restitution", f"/v1/restitutions/{gift['restitution_id']}/code", asker)
            code = str(answer["code"])
        except (Rejected, Transient, KeyError):
            code = None
    return Gift(gift["kind"], gift["amount_minor"], gift["currency"], gift["status"], code)
