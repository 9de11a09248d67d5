"""What is known of a patient, in whatever order it was said."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain import Patient, hear, household_of, payer_class_of
from services.intake.domain.patients import GROUPS_WORD, is_settled, is_told, said_again
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


CONSENTS = st.builds(
    lambda purpose, granted, days, source: {"purpose": purpose, "granted": granted, "at": START + timedelta(days=days), "source": source},
    st.sampled_from(["care", "survey"]), st.booleans(), st.integers(-2, 4), st.sampled_from(["form", GROUPS_WORD]),
)  # fmt: skip
WORDS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["Ana Example", "Bo Example"]),
        "phone": st.sampled_from(["+12125550101", "+12125550102"]),
        "payer": st.sampled_from(["va", "self"]),
        "consents": st.lists(CONSENTS, max_size=2),
    },
)
PLACES = st.sampled_from(["store-12", "store-7"])


@given(st.lists(st.tuples(st.integers(0, 3), WORDS, PLACES), min_size=1, max_size=5), st.integers(0, 4), PLACES)
def test_what_is_known_again_without_opening_is_what_hearing_it_would_have_made(
    before: list[tuple[int, dict[str, Any], str]], days: int, place: str
) -> None:
    """Goal: the short way never differs from the long one. Method: any history, then its last words once more, at any time and store."""
    patient = NEW
    for day, words, location in before:
        read = PatientData.model_validate({"ref": "P-1", **words})
        patient = hear(patient, read, START + timedelta(days=day), location, read.phone)
    at = START + timedelta(days=days)
    kept = {name: time.isoformat() for name, time in patient.said.items()}
    moved = said_again(read, at, place, patient.location_id, kept)
    if moved is not None and is_settled(patient, read, read.phone):
        times = {**patient.said, **{name: datetime.fromisoformat(time) for name, time in moved.items()}}
        assert hear(patient, read, at, place, read.phone) == replace(patient, said=times)


def test_the_same_words_again_need_no_opening_and_an_older_or_another_store_does() -> None:
    read = PatientData.model_validate({"ref": "P-1", "name": "Ana Example"})
    once = said(NEW, 1, name="Ana Example")
    kept = {name: time.isoformat() for name, time in once.said.items()}
    later = START + timedelta(days=2)
    assert is_settled(once, read, None)
    assert said_again(read, later, "store-12", "store-12", kept) == {"name": later.isoformat(), "location_id": later.isoformat()}
    assert said_again(read, START, "store-12", "store-12", kept) is None
    assert said_again(read, later, "store-7", "store-12", kept) is None
    assert not is_settled(said(once, 2, name="Ana Other"), read, None)
