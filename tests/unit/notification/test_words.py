"""Segments, plain spelling and the meaning of answers, against published vectors and the law's list of words."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notification.domain import plain, reads_as, segment
from services.notification.domain.replies import Question, understand_patient, understand_staff
from services.notification.domain.window import e164
from shared.kernel.ids import reference

pytestmark = pytest.mark.unit
VECTORS = Path(__file__).parents[2] / "vectors"


def test_segments_agree_with_the_providers_own_calculator() -> None:
    for vector in json.loads((VECTORS / "sms_segments.json").read_text())["vectors"]:
        encoding, segments, units = segment(vector["body"])
        bits = units * (7 if encoding == "GSM-7" else 16)
        assert (encoding, segments, bits) == (vector["encoding"], vector["segments"], vector["bits_message"]), vector["name"]
        assert segment(plain(vector["body"]))[:2] == (vector["smart_encoding"], vector["smart_segments"]), vector["name"]


@pytest.mark.parametrize("char", list("^{}\\[]~|€\f"))
def test_an_extension_character_costs_two_and_never_straddles_parts(char: str) -> None:
    assert segment(char) == ("GSM-7", 1, 2)
    assert segment(char * 153)[1] == 3


def test_plain_spells_quotes_dashes_and_spaces_and_leaves_letters() -> None:
    assert plain("“It’s ready” – soon…\u00a0¡Señor!") == '"It\'s ready" - soon... ¡Señor!'


@given(st.text())
def test_plain_is_done_after_once_and_segments_are_positive(text: str) -> None:
    assert plain(plain(text)) == plain(text)
    encoding, segments, units = segment(text)
    assert segments >= 1 and units <= segments * (160 if encoding == "GSM-7" else 70)


STOPS = [
    "stop", "STOP", " Stop. ", "“STOP!!”", "quit", "End", "revoke", "opt out", "Opt-Out", "OPTOUT", "cancel", "unsubscribe", "stopall",
    "please stop texting me", "Stop, thank you", "remove me", "ＳＴＯＰ", "stop\u200b", "STOP\n", "Don't text me", "Don’t text me",
]  # fmt: skip
NO_STOPS = [
    "Did the lab stop my order?", "don't stop", "I want to cancel my appointment", "the end of the week", "stop by at 5?", "", "...",
    "yes", "I will stop in tomorrow", "can you cancel order 12", "unstoppable",
]  # fmt: skip


@pytest.mark.parametrize("text", STOPS)
def test_an_opt_out_is_heard_whatever_its_punctuation(text: str) -> None:
    assert reads_as(text) == "stop"


@pytest.mark.parametrize("text", NO_STOPS)
def test_a_sentence_that_contains_a_keyword_is_shown_to_a_person(text: str) -> None:
    assert reads_as(text) is None


def test_start_and_help_and_a_bare_yes() -> None:
    assert [reads_as(t) for t in ("start", "UNSTOP", "help?", "Info", "YES")] == ["start", "start", "help", "help", None]


def test_ack_answers_the_only_open_page_else_asks_which() -> None:
    assert understand_staff("ack", ["a"], None).case_id == "a"
    assert understand_staff("Yes!", [], None).kind == "nothing-open"
    which = understand_staff("ACK", ["b", "a"], None)
    assert which.kind == "choice" and which.ask == ("b", "a") and which.case_id is None
    assert understand_staff("2", ["b", "a"], Question("acknowledge", which.ask)).case_id == "a"
    assert understand_staff("2", ["b"], Question("acknowledge", which.ask)).kind == "nothing-open"
    assert understand_staff("on my way", ["b"], None).kind == "message"


def test_40_ack_with_a_number_or_a_reference_picks_and_nobody_guesses() -> None:
    first, second = reference(1), reference(2)
    references = {first: "a", second: "b"}
    asked = Question("acknowledge", ("b", "a"))

    def said(text: str, pages: list[str], question: Question | None) -> tuple[str, str | None]:
        found = understand_staff(text, pages, question, references)
        return found.kind, found.case_id

    assert said("ACK 2", ["b", "a"], asked) == said("2", ["b", "a"], asked) == ("acknowledge", "a")
    assert said(f"ack {first.lower()}", ["b", "a"], None) == said(f"yes {first}!", ["b", "a"], None) == ("acknowledge", "a")
    assert said(second, ["b", "a"], asked) == ("acknowledge", "b"), "a bare reference answers the question"
    assert said(second, ["b", "a"], None) == ("message", None), "without a question it is words"
    assert said("ACK 2", ["b", "a"], None) == ("choice", None), "a number without a list is not guessed"
    assert said("ACK 7", ["b", "a"], asked) == ("choice", None)
    assert said(f"ACK {reference(3)}", ["b", "a"], None) == ("choice", None), "a case that this number was not paged for"
    assert said(f"ACK {reference(3)}", [], None) == ("nothing-open", None)
    assert said("ACK 1", ["a"], None) == said("YES", ["a"], None) == ("acknowledge", "a")
    assert said("yes, I called them", ["a"], None) == ("message", None)


def test_a_patients_answer_goes_to_the_case_last_texted_and_is_never_guessed() -> None:
    assert understand_patient("hi", ["a", "b"], "b", None).case_id == "b"
    assert understand_patient("hi", ["a", "b"], None, None).ask == ("a", "b")
    assert understand_patient("hi", ["a"], None, None).case_id == "a"
    assert understand_patient("hi", [], "closed", None).case_id == "closed"
    assert understand_patient("hi", ["a", "b"], "closed", None).kind == "choice"
    assert understand_patient("1", ["a", "b"], None, Question("message", ("b", "a"))).case_id == "b"


def test_numbers_read_as_libphonenumber_reads_them() -> None:
    for vector in json.loads((VECTORS / "phone_numbers.json").read_text())["vectors"]:
        if vector["extension"] is None:
            assert e164(vector["raw"], vector["region"]) == vector["e164"], vector["tag"]
