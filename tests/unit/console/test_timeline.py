"""Events in the words of a store manager."""

from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from services.console.domain.phrases import CATALYSTS, INCIDENTS, ROOT_CAUSES, phone
from services.console.domain.timeline import ALL_TYPES, Entry, Line, Reading, actor, amount, people_in, read
from shared.contracts import cases, incidents, ingress, notices, restitutions

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
READING = Reading({"ana": "Ana Example", "lee": "Lee Example"}, "America/New_York")


def told(type_name: str, /, **data: Any) -> Line:
    return read(Entry("e", "c", NOW, type_name, data), READING)


def test_every_event_that_can_concern_a_case_has_a_sentence() -> None:
    events = (*cases.EVENTS, *restitutions.EVENTS, *notices.EVENTS)
    assert {event.type_name for event in events} == ALL_TYPES


def test_every_code_of_the_contract_has_a_phrase() -> None:
    assert set(get_args(ingress.Catalyst)) == set(CATALYSTS)
    assert set(get_args(incidents.IncidentType)) == set(INCIDENTS)
    assert set(get_args(cases.RootCause)) == set(ROOT_CAUSES)


@pytest.mark.parametrize("kind", sorted(ALL_TYPES))
def test_a_sentence_is_made_even_of_an_event_that_tells_next_to_nothing(kind: str) -> None:
    line = told(kind)
    assert line.text.endswith(".")
    assert "None" not in line.text
    assert "_" not in line.text


def test_the_opening_says_what_happened_who_owns_it_and_what_was_promised() -> None:
    line = told(
        "amends.case.opened",
        incident={"incident_type": "repeat_visit", "repeat_count": 3},
        owner_staff_id="lee",
        page=["lee"],
        next_contact_by="2026-11-23T16:00:00Z",
    )
    assert line.text == (
        "The patient came back for the third time for the same order. The case was opened. Lee Example owns it and was told at once."
        " A person is to be in touch by Mon 23 Nov, 11:00 am."
    )


def test_a_breach_of_the_acknowledgement_says_how_far_it_climbed_and_who_was_told() -> None:
    line = told("amends.case.target_breached", milestone="acknowledge", due_at="2026-11-23T14:15:00+00:00", level=1, page=["ana", "lee"])
    assert line.text == (
        "Acknowledge: the deadline of Mon 23 Nov, 9:15 am passed. It went up to the store manager. Ana Example and Lee Example were told."
    )
    assert line.tone == "bad"


@pytest.mark.parametrize(
    ("kind", "data", "text", "tone"),
    [
        ("promise_made", {}, "The remake was promised to the patient by Fri 4 Dec, 10:00 am.", "plain"),
        (
            "promise_moved",
            {"was_by": "2026-12-01T15:00:00Z"},
            "The remake is promised by Fri 4 Dec, 10:00 am now, instead of Tue 1 Dec, 10:00 am.",
            "warn",
        ),
        ("promise_fulfilled", {"outcome": "early"}, "The remake, promised by Fri 4 Dec, 10:00 am: done, sooner than promised.", "good"),
        ("promise_fulfilled", {"outcome": "late"}, "The remake, promised by Fri 4 Dec, 10:00 am: done, but late.", "warn"),
        (
            "promise_at_risk",
            {"page": ["ana"]},
            "The remake, promised by Fri 4 Dec, 10:00 am, is not done yet. Ana Example was warned.",
            "warn",
        ),
        ("promise_lapsed", {"page": ["ana"]}, "The remake was promised by Fri 4 Dec, 10:00 am and is late. Ana Example was told.", "bad"),
    ],
)
def test_a_promise_is_told_from_its_making_to_its_end(kind: str, data: dict[str, object], text: str, tone: str) -> None:
    line = told(f"amends.case.{kind}", what="remake", promised_by="2026-12-04T15:00:00Z", **data)
    assert (line.text, line.tone) == (text, tone)


def test_money_is_told_with_its_amount_and_its_reason() -> None:
    gift = {"kind": "gas_money", "amount_minor": 2610, "currency": "USD"}
    referred = told("amends.restitution.referred", **gift, needs={"role": "compliance"}, reason="the payer is a federal programme")
    assert referred.text == "Gas money of $26.10 waits for approval by compliance: the payer is a federal programme."
    assert told("amends.restitution.approved", **gift).text == "Gas money of $26.10 was approved by rule."
    assert told("amends.restitution.approved", **gift, by="staff:ana").who == "Ana Example"


def test_an_event_of_a_newer_version_is_read_out_instead_of_breaking_the_page() -> None:
    assert told("amends.case.handed_to_the_moon").text == "Handed to the moon."


@pytest.mark.parametrize(
    ("by", "expected"),
    [(None, ("system", None)), ("staff:ana", ("staff", "ana")), ("ana", ("staff", "ana")), ("key:0193", ("key", None))],
)
def test_who_did_it_is_a_person_a_machine_or_the_system(by: str | None, expected: tuple[str, str | None]) -> None:
    assert actor(by) == expected


def test_everybody_whom_a_sentence_names_is_looked_up() -> None:
    entry = Entry("e", "c", NOW, "amends.case.assigned", {"by": "staff:ana", "owner_staff_id": "lee", "was": "mia", "page": ["tom"]})
    assert people_in([entry]) == {"ana", "lee", "mia", "tom"}


def test_amounts_and_numbers_are_written_as_people_write_them() -> None:
    assert [amount(2610, "USD"), amount(0, "USD"), amount(1050, "EUR")] == ["$26.10", "", "10.50 EUR"]
    assert [phone("+12125550112"), phone("+442079460000"), phone(None)] == ["+1 212 555 0112", "+442079460000", ""]
