"""What is known of a patient, in whatever order it was said."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from services.intake.domain import Patient, hear, household_of, payer_class_of
from services.intake.domain.patients import GROUPS_WORD, is_told
from shared.contracts.ingress import PatientData

pytestmark = pytest.mark.unit

START = datetime(2026, 11, 2, 15, tzinfo=UTC)
NEW = Patient("P-1", "store-12")


def said(patient: Patient, days: int = 0, **data: Any) -> Patient:
    read = PatientData.model_validate({"ref": "P-1", **data})
    return hear(patient, read, START + timedelta(days=days), "store-12", read.phone)


@pytest.mark.parametrize("payer", ["medicare", "medicaid", "tricare", "va", "chip", "other_federal"])
def test_every_federal_programme_is_one_class(payer: str) -> None:
    assert payer_class_of(payer) == "federal"


def test_other_payers() -> None:
    assert [payer_class_of(payer) for payer in ("commercial", "self", "unknown", None)] == ["commercial", "self", "unknown", "unknown"]


def test_what_is_not_said_stays_and_the_newer_word_holds() -> None:
    patient = said(said(NEW, 1, name="Ana Example", phone="+12125550143"), 2, name="Ana Sample")
    assert (patient.name, patient.phone) == ("Ana Sample", "+12125550143")
    assert said(patient, 0, name="Older Name").name == "Ana Sample"


def test_the_end_is_the_same_in_whatever_order_it_was_said() -> None:
    words: list[tuple[int, dict[str, Any]]] = [
        (0, {"name": "A", "phone": "+12125550101"}),
        (1, {"name": "B", "consents": [{"purpose": "care", "granted": False, "at": START, "source": "form"}]}),
        (2, {"phone": "+12125550102", "payer": "va"}),
    ]
    ends = set()
    for order in permutations(words):
        patient = NEW
        for days, data in order:
            patient = said(patient, days, **data)
        ends.add((patient.name, patient.phone, patient.payer, patient.consents, tuple(sorted(patient.said.items()))))
    assert len(ends) == 1


def test_a_number_is_consent_for_care_by_the_groups_word_and_for_nothing_else() -> None:
    (consent,) = said(NEW, phone="+12125550143").consents
    assert (consent.purpose, consent.granted, consent.source) == ("care", True, GROUPS_WORD)
    assert said(NEW, name="No Number").consents == ()


def test_a_recorded_no_beats_the_groups_word() -> None:
    refused = [{"purpose": "care", "granted": False, "at": START - timedelta(days=9), "source": "intake form"}]
    both = said(NEW, phone="+12125550143", consents=refused)
    assert [consent.granted for consent in both.consents] == [False]
    assert [consent.granted for consent in said(both, 5, phone="+12125550144").consents] == [False]


def test_the_same_words_again_are_no_news() -> None:
    once = said(NEW, 1, name="Ana Example", phone="+12125550143")
    assert is_told(NEW, once)
    kept = replace(once, version=1)
    assert not is_told(kept, said(kept, 2, name="Ana Example", phone="+12125550143"))
    assert is_told(kept, said(kept, 2, name="Ana Other"))


def test_a_household_shares_a_number_else_a_family_name_at_a_postal_code() -> None:
    assert household_of(said(NEW, phone="+12125550143", name="A B")) == household_of(said(NEW, phone="+12125550143"))
    assert household_of(said(NEW, name="Ana Example", postal_code="10 001")) == household_of(
        said(NEW, name="Bo EXAMPLE", postal_code="10001")
    )
    assert household_of(said(NEW, name="Ana Example")) is None
