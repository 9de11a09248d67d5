"""Who a set of notices goes to, read in a handful of queries whatever their number. Called when they are queued and when they wake."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from services.notification import store
from services.notification.domain.hear import CaseCopy
from services.notification.domain.judge import GATHERS, ConsentWord, Recipient, Told, crowding, current
from services.notification.domain.notice import Notice
from services.notification.domain.window import WEEK, zones_of
from services.notification.store.people import Conversation, Patient
from services.notification.usecases.desk import Desk
from shared import reference
from shared.db import Connection
from shared.kernel.errors import Unready

UTC_ZONE = "UTC"


@dataclass(frozen=True)
class Directory:
    """Everything known about the people and stores of a batch."""

    desk: Desk
    cases: Mapping[UUID, CaseCopy]
    locations: Mapping[str, reference.Location]
    staff: Mapping[str, reference.Staff]
    patients: dict[str, Patient]
    consents: Mapping[str, Sequence[ConsentWord]]
    conversations: Mapping[str, Conversation]
    sent: Mapping[str, Sequence[datetime]]
    paged: Mapping[str, Sequence[Told]]

    def location(self, location_id: str) -> reference.Location:
        """The store. Raises Unready where the directory has not told of it yet."""
        if location_id not in self.locations:
            raise Unready(f"location {location_id}")
        return self.locations[location_id]

    def number(self, notice: Notice) -> str | None:
        """The number in E.164, the address or the URL. Raises Unready for a person another topic has not told of yet."""
        if notice.audience == "staff" and notice.staff_id is not None:
            if notice.staff_id not in self.staff:
                raise Unready(f"staff {notice.staff_id}")
            return self._of_staff(notice, self.staff[notice.staff_id])
        if notice.patient_ref is None:
            return None
        if notice.patient_ref not in self.patients:
            raise Unready(f"patient {notice.patient_ref}")
        return self.desk.number_of(self.patients[notice.patient_ref])

    def _of_staff(self, notice: Notice, person: reference.Staff) -> str | None:
        if notice.channel == "email":
            return person.email if self.desk.mail is not None else None
        if notice.channel == "webhook":
            case = self.cases.get(notice.case_id) if notice.case_id is not None else None
            return self.desk.webhooks.url_for(case.region) if self.desk.webhooks is not None and case is not None else None
        return person.phone

    def recipient(self, notice: Notice, number: str | None) -> Recipient:
        """What the judge needs to know about who it goes to."""
        if number is None:
            return Recipient(None)
        conversation = self.conversations.get(self.desk.index(number))
        has_opted_out = conversation is not None and conversation.opted_out_at is not None
        if notice.audience == "staff" or notice.patient_ref is None:
            return Recipient(number, has_opted_out, sent_at=crowding(notice, self.paged.get(self.desk.index(number), ())))
        agreed, refused = current(self.consents.get(notice.patient_ref, ()))
        store_zone, state = self.zone_and_state(notice)
        sent_at = tuple(self.sent.get(notice.patient_ref, ()))
        return Recipient(number, has_opted_out, agreed, refused, zones_of(number, store_zone), state, sent_at)

    def may_name_amounts(self, notice: Notice) -> bool:
        """Whether the patient of a notice agreed to hear of compensation."""
        return "compensation" in current(self.consents.get(notice.patient_ref or "", ()))[0]

    def zone_and_state(self, notice: Notice) -> tuple[str, str | None]:
        """The zone and the US state of the store a notice is about."""
        case = self.cases.get(notice.case_id) if notice.case_id is not None else None
        location = self.locations.get(case.location_id) if case is not None else None
        return (location.timezone, location.subdivision) if location is not None else (UTC_ZONE, None)


async def look_up(
    desk: Desk,
    conn: Connection,
    cases: Mapping[UUID, CaseCopy],
    staff_ids: Sequence[str],
    patient_refs: Sequence[str | None],
    now: datetime,
) -> Directory:
    """Read what is known of these people and of the stores of `cases`."""
    owners = [case.owner_staff_id for case in cases.values() if case.owner_staff_id]
    patients = await store.people.patients(conn, patient_refs)
    staff = await reference.staff(conn, sorted({*staff_ids, *owners}))
    numbers = [desk.index(number) for person in staff.values() for number in (person.phone, person.email) if number]
    indexes = [p.phone_index for p in patients.values() if p.phone_index] + numbers
    return Directory(
        desk,
        cases,
        await reference.locations(conn, sorted({case.location_id for case in cases.values()})),
        staff,
        patients,
        await store.people.consents(conn, patient_refs),
        await store.people.conversations(conn, indexes),
        await store.notices.counted(conn, sorted(patients), now - WEEK),
        await store.notices.paged_at(conn, numbers, now - GATHERS),
    )


async def left_by_now(known: Directory, conn: Connection, waiting: Sequence[Notice], now: datetime) -> Directory:
    """`known`, with what left to the people of these notices read again."""
    patients = sorted({n.patient_ref for n in waiting if n.patient_ref is not None})
    staff = sorted({n.number_index for n in waiting if n.audience == "staff" and n.number_index is not None})
    sent = await store.notices.counted(conn, patients, now - WEEK)
    return replace(known, sent=sent, paged=await store.notices.paged_at(conn, staff, now - GATHERS))
