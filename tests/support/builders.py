"""What a store's point-of-sale system sends, as CloudEvents of the JSON format, and the small group that the stories play in."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

Event = dict[str, Any]

WEEK: dict[str, list[list[str]]] = {day: [["09:00", "18:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat")}
# A Tuesday at ten in New York, an hour after the stores have opened.
MORNING = datetime(2026, 11, 17, 15, 0, tzinfo=UTC)

ELM, OAK, BAY = "elm-street", "oak-avenue", "bay-road"
# staff id → what they are; every story asks for people by these names.
LEE, MIA, ANA, TOM, BEN, RAJ, EVE, SAM, ADA = "lee", "mia", "ana", "tom", "ben", "raj", "eve", "sam", "ada"
PHONES = {
    LEE: "+12125550101", MIA: "+12125550102", ANA: "+12125550103", TOM: "+12125550104", RAJ: "+12125550105", EVE: "+12125550106",
    SAM: "+12125550107", ADA: "+12125550108", BEN: "+12125550109",
}  # fmt: skip

_numbers = count(1)
_patients = count(1)


def group() -> dict[str, Any]:
    """Two regions, three stores in New York, nine people; without rosters the associate of the store owns its cases."""

    def store(store_id: str, name: str, region: str, phone: str) -> dict[str, Any]:
        return {
            "id": store_id, "name": name, "region": region, "timezone": "America/New_York", "phone": phone, "country": "US",
            "subdivision": "NY", "weekly": WEEK,
        }  # fmt: skip

    def person(staff_id: str, name: str, role: str, locations: list[str], regions: list[str]) -> dict[str, Any]:
        return {"id": staff_id, "name": name, "role": role, "locations": locations, "regions": regions, "phone": PHONES[staff_id]}

    return {
        "regions": [{"id": "north", "name": "North"}, {"id": "south", "name": "South"}],
        "locations": [
            store(ELM, "Elm Street", "north", "+12125550112"),
            store(OAK, "Oak Avenue", "north", "+12125550113"),
            store(BAY, "Bay Road", "south", "+12125550114"),
        ],
        "staff": [
            person(LEE, "Lee Example", "associate", [ELM], []),
            person(MIA, "Mia Example", "associate", [OAK], []),
            person(ANA, "Ana Example", "store_manager", [ELM], []),
            person(TOM, "Tom Example", "store_manager", [OAK], []),
            person(BEN, "Ben Example", "store_manager", [BAY], []),
            person(RAJ, "Raj Example", "regional_manager", [], ["north"]),
            person(EVE, "Eve Example", "regional_manager", [], ["south"]),
            person(SAM, "Sam Example", "associate", [BAY], []),
            person(ADA, "Ada Example", "admin", [], []),
        ],
    }


class Patient:
    """A patient of the group with a reference and a number of their own, so that stories do not meet."""

    def __init__(self, name: str, *, payer: str = "commercial", consents: tuple[str, ...] = ("care", "compensation")) -> None:
        number = next(_patients)
        self.ref = f"P-{name.split()[0]}-{number}"
        self.name, self.payer, self.consents = name, payer, consents
        # 555-01xx has a hundred numbers an area; the areas below all lie in the zone of the stores.
        self.phone = f"+1{(646, 917, 347, 718, 929)[number // 100]}55501{number % 100:02}"

    @property
    def data(self) -> dict[str, Any]:
        """As `data.patient` of an event."""
        agreed = [
            {"purpose": purpose, "granted": True, "at": (MORNING - timedelta(days=30)).isoformat(), "source": "intake form"}
            for purpose in self.consents
        ]
        return {
            "ref": self.ref, "name": self.name, "phone": self.phone, "language": "en", "payer": self.payer, "consents": agreed,
        }  # fmt: skip


def event(type_name: str, at: datetime, *, source: str = "pos/elm-street", name: str | None = None, **data: Any) -> Event:
    """One CloudEvent; `name` is its id, a new one without it."""
    return {
        "specversion": "1.0", "id": name or f"e-{next(_numbers)}", "source": source, "type": f"amends.{type_name}",
        "time": at.isoformat().replace("+00:00", "Z"), "data": {key: value for key, value in data.items() if value is not None},
    }  # fmt: skip


def placed(patient: Patient, order: str, at: datetime, *, store: str = ELM, promised_at: datetime | None = None) -> Event:
    promised = promised_at.isoformat() if promised_at else None
    return event("pos.order.placed", at, location_id=store, patient=patient.data, order_id=order, promised_at=promised)


def visit(patient: Patient, order: str, at: datetime, *, store: str = ELM, miles: int | None = 9, reason: str = "problem") -> Event:
    return event(
        "pos.visit.checked_in", at, location_id=store, patient=patient.data, order_id=order, reason=reason, distance_miles=miles
    )  # fmt: skip


def complaint(patient: Patient, words: str, at: datetime, *, store: str = ELM, name: str | None = None) -> Event:
    return event(
        "complaint.submitted", at, name=name, location_id=store, patient=patient.data, channel="phone", text=words
    )  # fmt: skip


def three_trips(patient: Patient, order: str, *, now: datetime = MORNING, store: str = ELM, miles: int | None = 9) -> list[Event]:
    """The order, and three visits for it: two on earlier days, the third just now."""
    return [
        placed(patient, order, now - timedelta(days=30), store=store),
        visit(patient, order, now - timedelta(days=14), store=store, miles=miles),
        visit(patient, order, now - timedelta(days=7), store=store, miles=miles),
        visit(patient, order, now, store=store, miles=miles),
    ]
