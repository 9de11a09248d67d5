"""R21: the checks of a storm bite. Each check is shown a storm that went well, and one with the very defect it is there for."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from shared.kernel.ids import uuid7_at
from tests.chaos.checks import CHECKS, Events, Money, Order, Seen, Texts, Timers, findings
from tests.chaos.checks.money import Granted, Leg, Trip
from tests.chaos.checks.order import Copy, Said
from tests.chaos.checks.texts import Accepted, Told
from tests.chaos.checks.timers import Ended, Key
from tests.chaos.record import Done, Stop

pytestmark = pytest.mark.unit

AT = datetime(2026, 11, 17, 15, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CASE, INCIDENT, GAS, REFUND, NOTICE, PAGE, ANSWER = (uuid7_at(AT + n * SECOND) for n in range(7))
FIRST, SECOND_TRIP, THIRD = (uuid7_at(AT - n * SECOND) for n in range(1, 4))
OPENED, ACKNOWLEDGED, TOLD = (uuid7_at(AT + timedelta(minutes=n)) for n in range(1, 4))
ENTRY, OTHER_ENTRY = uuid7_at(AT + timedelta(hours=1)), uuid7_at(AT + timedelta(hours=2))
NAME = ("pos/store-1", "e-1")
NUMBER = "+12015550101"
DUE: Key = ("notification", "notice", str(NOTICE), "send", 1)
LATER: Key = ("escalation", "target", str(CASE), "resolve", 1)
GONE: Key = ("intake", "order_late", "order-1", "promise", 1)
CASES, INCIDENTS, PATIENTS = "amends.cases.v1", "amends.incidents.v1", "amends.patients.v1"
LISTENERS = ("intake", "escalation", "restitution", "notification", "console")
TRIPS = tuple(Trip(visit, Decimal(9), Decimal("72.5")) for visit in (SECOND_TRIP, THIRD))


def legs(restitution: UUID, entry: UUID, amount: int, state: str, purpose: str = "grant") -> list[Leg]:
    sides = (("goodwill:store-1", -amount), (f"patient:{CASE}", amount))
    return [Leg(entry, restitution, purpose, account, side, state) for account, side in sides]


EVENTS = Events(
    acknowledged={NAME: 2},
    done=(Done("acknowledge", str(CASE), "associate-1"), Done("actions", str(CASE), "associate-1")),
    stored={NAME: 1},
    incidents={INCIDENT: CASE},
    attached={INCIDENT: CASE},
    happened={(str(CASE), "amends.case.acknowledged"): 1, (str(CASE), "amends.case.action_recorded"): 1},
)
ORDER = Order(
    said={
        CASES: (Said(OPENED, str(CASE), str(CASE), 1), Said(ACKNOWLEDGED, str(CASE), str(CASE), 2, "amends.case.acknowledged")),
        INCIDENTS: (Said(TOLD, "P-1", "P-1", None),),
    },
    arrived={CASES: ((str(CASE), OPENED), (str(CASE), ACKNOWLEDGED), (str(CASE), OPENED)), INCIDENTS: (("P-1", TOLD),)},
    taken={name: {OPENED: 1, ACKNOWLEDGED: 1, TOLD: 1} for name in LISTENERS} | {"intake": {OPENED: 1, TOLD: 1}},
    passed_over={("intake", CASES): {"amends.case.acknowledged"}},
)
MONEY = Money(
    granted=(
        Granted(GAS, "gas_money", 2610, "settled", "system", ("system",), TRIPS, "store-1", "2026-11"),
        Granted(REFUND, "store_credit", 4000, "approved", "associate-1", ("manager-1",), (), "store-1", "2026-11"),
    ),
    legs=(*legs(GAS, ENTRY, 2610, "posted"), *legs(REFUND, OTHER_ENTRY, 4000, "pending")),
    visits={FIRST: ("order-1", Decimal(9)), SECOND_TRIP: ("order-1", Decimal(9)), THIRD: ("order-1", Decimal(9))},
    codes=((GAS, 2610),),
    budgets={("store-1", "2026-11"): (4000, 2610)},
    requested={"associate-1": 1},
    roles={"associate-1": "associate", "manager-1": "store_manager"},
)
TIMERS = Timers(
    set_at={DUE: AT, LATER: AT, GONE: AT},
    ended=(Ended(DUE, "fired", AT, AT + 6 * SECOND), Ended(GONE, "cancelled", AT, AT)),
    waiting={LATER: AT + timedelta(hours=8)},
    outages=(("notification", AT - SECOND, AT + 5 * SECOND), ("escalation", AT, AT + 90 * SECOND)),
    read_at=AT + timedelta(minutes=5),
)
TEXTS = Texts(
    accepted=(
        Accepted("SM1", NUMBER, "Amends: we have your case AM-7F3K-9X. The team of Store 1 …", AT, NOTICE),
        Accepted("SM2", NUMBER, "you are opted out", AT + 9 * SECOND, ANSWER),
        # Had left us when STOP came.
        Accepted("SM3", NUMBER, "The team of Store 1 has taken on your case", AT + 8 * SECOND, PAGE),
    ),
    stops=(Stop(NUMBER, AT + 5 * SECOND, AT + 7 * SECOND),),
    told={
        NOTICE: Told(NOTICE, "receipt", CASE, "delivered", "SM1", AT),
        ANSWER: Told(ANSWER, "stopped", None, "sent", "SM2", AT + 8 * SECOND),
        PAGE: Told(PAGE, "acknowledged", CASE, "sent", "SM3", AT + 6 * SECOND),
    },
    cases=(CASE,),
)
GOOD = Seen(EVENTS, ORDER, MONEY, TIMERS, TEXTS)


class Defect(NamedTuple):
    """A storm with one thing wrong, and the check that must say so."""

    check: str
    part: str
    changes: dict[str, Any]


def granted(**changes: Any) -> tuple[Granted, ...]:
    """The gas money another, the store credit as it was."""
    return replace(MONEY.granted[0], **changes), MONEY.granted[1]


def other(**changes: Any) -> tuple[Granted, ...]:
    """The store credit another, the gas money as it was."""
    return MONEY.granted[0], replace(MONEY.granted[1], **changes)


def told(notice: UUID, **changes: Any) -> dict[UUID, Told]:
    return {**TEXTS.told, notice: replace(TEXTS.told[notice], **changes)}


CASES_SAID, ONE_TAKEN = ORDER.said[CASES], {**ORDER.taken["console"]}
FIRED = TIMERS.ended[0]
DEFECTS = [
    Defect("stored_once", "events", {"stored": {}}),
    Defect("stored_once", "events", {"stored": {NAME: 2}}),
    Defect("stored_once", "events", {"stored": {NAME: 1, ("pos/store-1", "e-2"): 1}}),
    Defect("none_refused", "events", {"refused": ("e-1: future-time",)}),
    Defect("every_incident_has_its_case", "events", {"attached": {}}),
    Defect("every_incident_has_its_case", "events", {"incidents": {INCIDENT: None}}),
    Defect("every_incident_has_its_case", "events", {"incidents": {}}),
    Defect("every_command_happened", "events", {"happened": {(str(CASE), "amends.case.action_recorded"): 1}}),
    Defect("every_command_happened", "events", {"done": (*EVENTS.done, EVENTS.done[1])}),
    Defect("versions_follow", "order", {"said": {CASES: CASES_SAID[::-1]}}),
    Defect("versions_follow", "order", {"said": {CASES: (CASES_SAID[0], replace(CASES_SAID[1], version=3))}}),
    Defect("versions_follow", "order", {"said": {CASES: (CASES_SAID[0], CASES_SAID[0])}}),
    Defect("broker_has_all_in_order", "order", {"arrived": {CASES: ORDER.arrived[CASES][1:], INCIDENTS: ORDER.arrived[INCIDENTS]}}),
    Defect("broker_has_all_in_order", "order", {"arrived": {CASES: ORDER.arrived[CASES]}}),
    Defect("broker_has_all_in_order", "order", {"arrived": {**ORDER.arrived, CASES: ORDER.arrived[CASES][1::-1]}}),
    Defect("each_taken_once", "order", {"taken": {**ORDER.taken, "console": ONE_TAKEN | {OPENED: 2}}}),
    Defect("each_taken_once", "order", {"taken": {**ORDER.taken, "restitution": {OPENED: 1}}}),
    Defect("none_taken_twice", "order", {"taken": {**ORDER.taken, "directory": {uuid7_at(AT): 2}}}),
    Defect("copies_agree", "order", {"copies": (Copy("case", "console", str(CASE), 2, 1),)}),
    Defect("copies_agree", "order", {"copies": (Copy("case", "restitution", str(CASE), 2, None),)}),
    Defect("nothing_is_parked", "order", {"parked": ("console: amends.cases.v1 failed (KeyError)",)}),
    Defect("entries_balance", "money", {"legs": MONEY.legs[1:]}),
    Defect("entries_balance", "money", {"legs": (replace(MONEY.legs[0], amount_minor=-2600), *MONEY.legs[1:])}),
    Defect("entries_balance", "money", {"legs": (replace(MONEY.legs[0], state="voided"), *MONEY.legs[1:])}),
    Defect("ledger_is_what_was_approved", "money", {"legs": MONEY.legs[:2]}),
    Defect("ledger_is_what_was_approved", "money", {"legs": (*MONEY.legs, *legs(GAS, uuid7_at(AT), 2610, "posted"))}),
    Defect("ledger_is_what_was_approved", "money", {"granted": MONEY.granted[:1]}),
    Defect("ledger_is_what_was_approved", "money", {"granted": other(status="declined")}),
    Defect("no_visit_paid_twice", "money", {"granted": (*MONEY.granted, replace(MONEY.granted[0], restitution_id=uuid7_at(AT)))}),
    Defect("no_visit_paid_twice", "money", {"visits": {THIRD: ("order-1", Decimal(9)), FIRST: ("order-1", Decimal(9))}}),
    Defect("no_visit_paid_twice", "money", {"granted": granted(trips=(*TRIPS, Trip(FIRST, Decimal(9), Decimal("72.5"))))}),
    Defect("gas_money_is_of_the_trips", "money", {"granted": granted(amount_minor=2611)}),
    Defect("gas_money_is_of_the_trips", "money", {"visits": {**MONEY.visits, THIRD: ("order-1", Decimal(8))}}),
    Defect("paid_once", "money", {"codes": ()}),
    Defect("paid_once", "money", {"codes": (*MONEY.codes, *MONEY.codes)}),
    Defect("paid_once", "money", {"codes": (*MONEY.codes, (REFUND, 4000))}),
    Defect("paid_once", "money", {"codes": (*MONEY.codes, (NOTICE, 4000))}),
    Defect("within_authority", "money", {"granted": granted(amount_minor=5_001)}),
    Defect("within_authority", "money", {"granted": other(approved_by=("associate-1",))}),
    Defect("within_authority", "money", {"granted": other(amount_minor=100_001, approved_by=("ada",)), "roles": {"ada": "admin"}}),
    Defect("within_authority", "money", {"granted": other(requested_by="manager-1")}),
    Defect("within_authority", "money", {"granted": other(approved_by=("nobody",))}),
    Defect("budgets_add_up", "money", {"budgets": {("store-1", "2026-11"): (4000, 5220)}}),
    Defect("budgets_add_up", "money", {"budgets": {}}),
    Defect("every_request_is_there", "money", {"requested": {"associate-1": 2}}),
    Defect("each_ended_once", "timers", {"ended": (*TIMERS.ended, FIRED)}),
    Defect("each_ended_once", "timers", {"waiting": {DUE: AT + timedelta(hours=1)}}),
    Defect("each_ended_once", "timers", {"waiting": {}}),
    Defect("each_ended_once", "timers", {"set_at": {LATER: AT}}),
    Defect("none_early", "timers", {"ended": (replace(FIRED, fired_at=AT - SECOND / 1000),)}),
    Defect("none_late", "timers", {"ended": (replace(FIRED, fired_at=AT + 8 * SECOND),)}),
    Defect("none_late", "timers", {"outages": (("escalation", AT, AT + 5 * SECOND),)}),
    Defect("none_left", "timers", {"waiting": {LATER: AT + timedelta(minutes=4)}}),
    Defect("none_left", "timers", {"parked": {GONE: "KeyError"}}),
    Defect("accepted_once", "texts", {"accepted": (*TEXTS.accepted, replace(TEXTS.accepted[0], sid="SM9"))}),
    Defect("accepted_once", "texts", {"accepted": (*TEXTS.accepted, replace(TEXTS.accepted[0], sid="SM9", notice_id=CASE))}),
    Defect("accepted_once", "texts", {"accepted": (*TEXTS.accepted, replace(TEXTS.accepted[0], sid="SM9", notice_id=PAGE))}),
    Defect("none_after_stop", "texts", {"told": told(PAGE, left_at=AT + 7.5 * SECOND)}),
    Defect("none_after_stop", "texts", {"told": told(ANSWER, template="offered")}),
    Defect("sent_is_accepted", "texts", {"accepted": TEXTS.accepted[1:]}),
    Defect("sent_is_accepted", "texts", {"told": told(NOTICE, sid="SM9")}),
    Defect("sent_is_accepted", "texts", {"told": told(NOTICE, sid="SM2")}),
    Defect("sent_is_accepted", "texts", {"told": told(NOTICE, status="queued")}),
    Defect("every_case_has_its_receipt", "texts", {"told": told(NOTICE, template="resolved")}),
    Defect("every_case_has_its_receipt", "texts", {"told": told(PAGE, template="receipt")}),
]


def names() -> Iterator[str]:
    """A readable name for each defect."""
    times: Counter[str] = Counter()
    for defect in DEFECTS:
        times[defect.check] += 1
        yield f"{defect.check}-{times[defect.check]}"


def test_a_storm_that_went_well_has_no_findings() -> None:
    assert findings(GOOD) == []


@pytest.mark.parametrize("defect", DEFECTS, ids=names())
def test_r21_a_planted_defect_is_caught_by_the_check_that_is_there_for_it(defect: Defect) -> None:
    part = getattr(GOOD, defect.part)
    damaged = replace(GOOD, **{defect.part: replace(part, **defect.changes)})
    assert defect.check in {finding.check for finding in findings(damaged)}


def test_r21_every_check_has_a_defect_planted_for_it() -> None:
    assert {defect.check for defect in DEFECTS} == {check.__name__ for _, check in CHECKS}


def test_what_a_storm_may_do_is_counted_and_not_found() -> None:
    """A text whose answer a kill hid, and one that had left before STOP came."""
    hidden = replace(TEXTS, told=told(NOTICE, status="uncertain", sid=None))
    assert (hidden.in_doubt, hidden.crossed) == (1, 1)
    assert findings(replace(GOOD, texts=hidden)) == []
