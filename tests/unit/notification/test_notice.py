"""A notice's life: forward only (behaviour 37), at most once (38); the words of every template (35)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

import services.notification
from services.notification.domain import hear, templates
from services.notification.domain import notice as rules
from services.notification.domain.notice import RANKS, Notice
from services.notification.domain.templates import Setting, compose, lint, local_day, local_time
from services.notification.domain.words import segment
from shared.contracts.cases import (
    CaseOpened,
    ClockResumed,
    EscalationStepped,
    PolicyRef,
    PromiseAtRisk,
    PromiseFulfilled,
    PromiseLapsed,
    PromiseMade,
    PromiseMoved,
    Target,
    TargetAtRisk,
)
from shared.contracts.incidents import Incident
from shared.contracts.restitutions import RestitutionOffered, RestitutionSettled
from shared.kernel.decision import Cancel, Schedule

pytestmark = pytest.mark.unit
WORDS = templates.load((Path(services.notification.__file__).parent / "policy" / "templates.toml").read_text())
NOW = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)
NOTICE = Notice(UUID(int=1), UUID(int=9), "patient", "receipt", "c", "patient:P-1", NOW, NOW)
SENDING = rules.leaving(NOTICE, 1, None).state


@given(st.lists(st.sampled_from(sorted(RANKS)), max_size=12))
def test_delivery_status_moves_forward_only_whatever_the_order(reports: list[str]) -> None:
    state = rules.accepted(SENDING, NOW).state
    told: list[str] = []
    for status in reports:
        decision = rules.reported(state, status, None, NOW)
        assert decision.state.rank >= state.rank
        state = decision.state
        told += [event.type_name for event in decision.events]
    assert len(told) == len(set(told))
    if {"delivered", "read"} & set(reports):
        assert state.status == "delivered"


def test_a_callback_settles_a_send_whose_answer_was_lost() -> None:
    decision = rules.reported(SENDING, "delivered", None, NOW)
    assert decision.state.status == "delivered"
    assert [e.type_name for e in decision.events] == ["amends.notice.sent", "amends.notice.delivered"]
    assert rules.accepted(decision.state, NOW).events == ()


def test_what_left_is_never_withheld_and_what_waits_is_with_its_timer() -> None:
    assert rules.withheld(SENDING, "acknowledged", NOW).is_empty
    taken = rules.withheld(NOTICE, "acknowledged", NOW)
    assert taken.state.status == "withheld" and taken.timers == (Cancel("notice", str(NOTICE.notice_id), "acknowledged"),)


def test_a_notice_that_waits_again_takes_a_new_generation_of_its_timer() -> None:
    held = rules.held(NOTICE, NOW + timedelta(hours=1), "cadence", NOW)
    (timer,) = held.timers
    assert isinstance(timer, Schedule) and timer.generation == 2 and timer.due_at == NOW + timedelta(hours=1)


def test_a_provider_that_cannot_be_reached_fails_after_a_bounded_number_of_tries() -> None:
    state = SENDING
    for _ in range(rules.TRIES_MAX - 1):
        state = rules.leaving(rules.again(state, NOW).state, 1, None).state
    assert rules.again(state, NOW).state.reason == "provider-unreachable"


SAMPLE = {
    "reference": "AM-7F3K-9X", "whose": "The regional manager for Elm Street North", "by": NOW.isoformat(), "amount": "$126.10",
    "what": "gas money", "words": "We will call you at four.", "store": "Elm Street North", "catalyst": "fit adjustment", "severity": "2",
    "level": "2", "milestone": "the call to the patient", "options": "1 AM-7F3K-9X, 2 AM-1234-56", "contact": ", call +12125550112",
    "promise": "your refund will be on its way", "done": "your refund is on its way", "promised_by": NOW.isoformat(),
    "was_by": NOW.isoformat(),
}  # fmt: skip
SETTING = Setting("Amends Optical", "America/New_York", "https://amends.example.org/p/" + "x" * 22, is_first=True)


@pytest.mark.parametrize("name", sorted(WORDS.templates))
def test_every_template_is_short_neutral_and_names_nobody(name: str) -> None:
    assert lint(WORDS, name, SAMPLE, SETTING, staff=["Ana Example"]) == []


def test_the_lint_bites() -> None:
    bad = replace(WORDS["receipt"], text="YOUR lenses, said Ana Example, cost {amount}!! " + "x" * 320)
    words = replace(WORDS, templates={**WORDS.templates, "bad": bad})
    assert len(lint(words, "bad", SAMPLE, SETTING, staff=["Ana Example"])) == 5


def test_a_first_text_says_who_is_texting_and_how_to_stop_and_is_at_most_two_parts() -> None:
    text = compose(WORDS, [("receipt", SAMPLE)], SETTING)
    assert text.startswith("Amends Optical: ") and text.endswith("Reply STOP to opt out.") and segment(text)[:2] == ("GSM-7", 2)
    assert "Mon 12:00 PM" in text


def test_an_amount_needs_consent_for_compensation() -> None:
    said = compose(WORDS, [("offer_settled", SAMPLE)], replace(SETTING, may_name_amounts=True))
    hinted = compose(WORDS, [("offer_settled", SAMPLE)], SETTING)
    assert "$126.10 gas money" in said and "$" not in hinted and SETTING.link is not None and SETTING.link in hinted


def test_what_waited_is_merged_under_one_opening_and_one_link() -> None:
    text = compose(WORDS, [("receipt", SAMPLE), ("acknowledged", SAMPLE)], SETTING)
    assert text.count("Amends Optical:") == 1 and text.count("/p/") == 1


def test_a_promise_that_was_overtaken_before_it_was_told_is_told_as_it_is_now() -> None:
    first, second = "2026-12-01T15:00:00Z", "2026-12-04T15:00:00Z"
    made = ("promised", {"reference": "R", "what": "remake", "promise": "it will be ready", "promised_by": first})
    moved = ("promise_moved", {"reference": "R", "what": "remake", "promise": "it will be ready", "promised_by": second, "was_by": first})
    early = ("promise_early", {"reference": "R", "what": "remake", "done": "it is ready", "promised_by": second})
    other = ("promised", {"reference": "R", "what": "refund", "promise": "your refund will be on its way", "promised_by": second})
    plain = replace(SETTING, link=None, is_first=False)

    def said(*parts: tuple[str, dict[str, str]]) -> str:
        return compose(WORDS, parts, plain).removeprefix("Amends Optical: ")

    assert said(made, moved) == "on your case R: it will be ready by Fri Dec 4 10:00 AM."
    assert said(made, moved, early) == said(moved, early) == "sooner than promised: on your case R it is ready."
    refund = "on your case R: your refund will be on its way by Fri Dec 4 10:00 AM."
    assert said(other, early) == f"{refund} sooner than promised: on your case R it is ready."


def test_times_are_the_stores() -> None:
    assert local_time(datetime(2026, 11, 24, 5, 30, tzinfo=UTC), "America/Phoenix") == "Mon 10:30 PM"
    assert local_time(datetime(2026, 11, 24, 5, 30, tzinfo=UTC), "America/New_York") == "Tue 12:30 AM"
    assert local_day(datetime(2026, 11, 24, 5, 30, tzinfo=UTC), "America/Phoenix") == "Mon Nov 23 10:30 PM"


INCIDENT = Incident(
    incident_id=UUID(int=5), incident_type="voice_of_patient", catalyst="late_order", location_id="store-12", patient_ref="P-1",
    occurred_at=NOW, reported_at=NOW, channel="web",
)  # fmt: skip
BASE: dict[str, object] = {
    "case_id": UUID(int=9), "reference": "AM-7F3K-9X", "at": NOW, "status": "open", "level": 0, "severity": 2, "catalyst": "late_order",
    "location_id": "store-12", "region": "north", "patient_ref": "P-1", "owner_staff_id": "ana", "incidents": 1, "opened_at": NOW,
    "policy": PolicyRef(name="sla", version=1), "targets": (Target(milestone="acknowledge", due_at=NOW),), "version": 3,
}  # fmt: skip


def test_an_opened_case_texts_the_patient_and_pages_who_is_named() -> None:
    event = CaseOpened.model_validate(BASE | {"incident": INCIDENT, "next_contact_by": NOW, "page": ("ana", "ana", "ben")})
    wishes = hear.on_case(event, "Elm Street", "store_manager", NOW)
    assert [(w.template, w.staff_id) for w in wishes] == [("receipt", None), ("page", "ana"), ("page", "ben")]
    assert wishes[0].facts["whose"] == "The manager of Elm Street" and wishes[0].is_answer


def test_without_a_patient_only_staff_hear() -> None:
    event = CaseOpened.model_validate(BASE | {"patient_ref": None, "incident": INCIDENT, "next_contact_by": NOW, "page": ("ana",)})
    assert [w.template for w in hear.on_case(event, "Elm Street", None, NOW)] == ["page"]


def test_a_step_pages_its_people_and_a_warning_goes_to_the_owner() -> None:
    step = EscalationStepped.model_validate(BASE | {"step": 2, "due_at": NOW, "page": ("rita",), "generation": 2})
    assert [(w.template, w.staff_id, w.generation) for w in hear.on_case(step, "Elm", None, NOW)] == [("page_again", "rita", 2)]
    risk = TargetAtRisk.model_validate(BASE | {"milestone": "contact", "percent": 50, "due_at": NOW, "page": ("ana",)})
    assert [(w.template, w.staff_id) for w in hear.on_case(risk, "Elm", None, NOW)] == [("warning", "ana")]


PROMISE: dict[str, object] = {"what": "remake", "promised_by": "2026-12-04T15:00:00Z", "number": 1}


def test_the_patient_hears_what_is_promised_that_it_moved_and_that_it_is_sooner_than_promised() -> None:
    made = PromiseMade.model_validate(BASE | PROMISE)
    moved = PromiseMoved.model_validate(BASE | PROMISE | {"was_by": "2026-12-01T15:00:00Z", "aim_by": NOW})
    done = [PromiseFulfilled.model_validate(BASE | PROMISE | {"outcome": outcome}) for outcome in ("early", "kept", "late")]
    wishes = [wish for event in (made, moved, *done) for wish in hear.on_case(event, "Elm", None, NOW)]
    assert {(wish.audience, wish.staff_id) for wish in wishes} == {("patient", None)}
    plain = replace(SETTING, link=None, is_first=False)
    assert [compose(WORDS, [(wish.template, wish.facts)], plain).removeprefix("Amends Optical: ") for wish in wishes] == [
        "on your case AM-7F3K-9X: it will be ready by Fri Dec 4 10:00 AM.",
        "we are sorry, it takes longer: on your case AM-7F3K-9X it will be ready by Fri Dec 4 10:00 AM instead of Tue Dec 1 10:00 AM.",
        "sooner than promised: on your case AM-7F3K-9X it is ready.",
        "as promised: on your case AM-7F3K-9X it is ready.",
        "later than we promised, and we are sorry for that: on your case AM-7F3K-9X it is ready.",
    ]


def test_a_call_that_was_made_is_not_texted_and_nobody_is_texted_without_a_patient() -> None:
    call = PromiseFulfilled.model_validate(BASE | PROMISE | {"what": "callback", "outcome": "early"})
    nobody = PromiseMade.model_validate(BASE | PROMISE | {"patient_ref": None})
    assert [hear.on_case(event, "Elm", None, NOW) for event in (call, nobody)] == [(), ()]


def test_the_owner_is_told_that_a_promise_is_at_risk_and_that_it_is_late() -> None:
    events = [event.model_validate(BASE | PROMISE | {"page": ("ana",)}) for event in (PromiseAtRisk, PromiseLapsed)]
    wishes = [wish for event in events for wish in hear.on_case(event, "Elm", None, NOW)]
    assert [(wish.template, wish.staff_id) for wish in wishes] == [("promise_at_risk", "ana"), ("promise_lapsed", "ana")]
    assert wishes[1].facts["what"] == "the remake"


def test_8_the_owner_is_told_of_a_pause_that_used_up_its_time_and_of_no_other() -> None:
    resumed = ClockResumed.model_validate(BASE | {"reason": "waiting_for_lab", "page": ("ana",), "status": "acknowledged"})
    assert [(w.template, w.staff_id) for w in hear.on_case(resumed, "Elm", None, NOW)] == [("clock_resumed", "ana")]
    by_hand = ClockResumed.model_validate(BASE | {"reason": "waiting_for_lab"})
    assert hear.on_case(by_hand, "Elm", None, NOW) == ()


def test_a_lower_version_of_a_case_changes_nothing() -> None:
    event = EscalationStepped.model_validate(BASE | {"step": 2, "due_at": NOW, "generation": 2})
    known = hear.copy_of(event, None)
    assert known is not None and known.generation == 2 and hear.copy_of(event, known) is None


def test_offer_and_settlement_are_one_text() -> None:
    case = hear.copy_of(EscalationStepped.model_validate(BASE | {"step": 2, "due_at": NOW}), None)
    assert case is not None
    given: dict[str, object] = {
        "restitution_id": UUID(int=6), "case_id": UUID(int=9), "at": NOW, "location_id": "store-12", "kind": "gas_money",
        "amount_minor": 2610, "currency": "USD", "status": "offered",
    }  # fmt: skip
    assert hear.on_restitution(RestitutionOffered.model_validate(given), case) == ()
    (wish,) = hear.on_restitution(RestitutionSettled.model_validate(given), case)
    assert wish.template == "offer_settled" and wish.facts["amount"] == "$26.10"
    (choice,) = hear.on_restitution(RestitutionOffered.model_validate(given | {"settles_at_once": False}), case)
    assert choice.template == "offered"
