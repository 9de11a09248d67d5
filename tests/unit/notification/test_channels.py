"""A page by other channels than text: who is told by what, what an e-mail says, and when a text takes its place."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import services.notification
from services.notification.domain import notice as rules
from services.notification.domain.hear import on_case
from services.notification.domain.notice import Notice
from services.notification.domain.templates import Setting, compose, letter, load
from shared.contracts.cases import EscalationStepped, PolicyRef, Storm
from shared.kernel.ids import new_id

pytestmark = pytest.mark.unit

NOON = datetime(2026, 11, 23, 17, tzinfo=UTC)
WORDS = load((Path(services.notification.__file__).parent / "policy" / "templates.toml").read_text())
FACTS = {
    "reference": "AM-7F3K-9X", "store": "Elm Street", "catalyst": "late order", "severity": "2", "level": "2", "by": NOON.isoformat(),
}  # fmt: skip


def stepped(**changes: Any) -> EscalationStepped:
    base: dict[str, Any] = {
        "case_id": new_id(), "reference": "AM-7F3K-9X", "at": NOON, "status": "open", "level": 2, "severity": 2, "catalyst": "late_order",
        "location_id": "elm", "region": "north", "patient_ref": "P-1", "incidents": 1, "opened_at": NOON, "version": 2,
        "policy": PolicyRef(name="sla", version=1), "targets": (), "step": 1, "due_at": NOON, "page": ("ana", "ben"),
    }  # fmt: skip
    return EscalationStepped.model_validate(base | changes)


def page(**changes: Any) -> Notice:
    made = Notice(
        new_id(), new_id(), "staff", "page_again", "cause", "staff:ana:email", NOON, NOON, staff_id="ana", facts=FACTS, channel="email"
    )
    return replace(made, **changes)


def test_each_person_is_told_by_each_channel_once_and_a_webhook_waits_for_no_storm() -> None:
    storm = Storm(storm_id=new_id(), pages={"ana": 3})
    wishes = on_case(stepped(how=("text", "email", "webhook", "email"), storm=storm), "Elm Street", None, NOON)
    assert [(w.staff_id, w.channel, w.storm is not None) for w in wishes] == [
        ("ana", "text", True),
        ("ana", "email", True),
        ("ana", "webhook", False),
        ("ben", "text", False),
        ("ben", "email", False),
        ("ben", "webhook", False),
    ]


def test_what_was_said_before_there_were_channels_is_a_text() -> None:
    assert {wish.channel for wish in on_case(stepped(), "Elm Street", None, NOON)} == {"text"}


def test_an_e_mail_has_a_subject_and_a_link_in_the_place_of_how_to_answer() -> None:
    text = compose(WORDS, [("page_again", FACTS)], Setting("Amends", "America/New_York"))
    subject, _, body = letter(WORDS, text, ["AM-7F3K-9X"], "https://x.example").partition("\n")
    assert subject == "Case AM-7F3K-9X needs you" and "Reply ACK" not in body
    assert body.endswith("Look at it and take it on: https://x.example/cases/AM-7F3K-9X")
    assert letter(WORDS, "2 cases need you.", ["a", "b"], "https://x.example").endswith("https://x.example/")


@pytest.mark.parametrize(
    ("changes", "is_text"),
    [
        ({"status": "failed", "reason": "provider-550"}, True),
        ({"status": "uncertain"}, True),
        ({"status": "withheld", "reason": "no-email"}, True),
        ({"status": "withheld", "reason": "acknowledged"}, False),
        ({"status": "sent"}, False),
        ({"status": "failed", "channel": "text"}, False),
        ({"status": "withheld", "reason": "no-webhook", "channel": "webhook"}, True),
    ],
)
def test_a_text_takes_the_place_of_what_did_not_get_there_and_of_nothing_else(changes: dict[str, Any], is_text: bool) -> None:
    assert rules.needs_text(page(**changes)) is is_text


def test_the_text_has_the_key_of_the_one_that_the_ladder_may_have_asked_for_and_says_what_failed() -> None:
    text = rules.instead(page(), new_id(), "index", NOON)
    assert (text.cause, text.template, text.recipient, text.channel) == ("cause", "page_again", "staff:ana", "text")
    said = compose(WORDS, [(text.template, text.facts)], Setting("Amends", "America/New_York"))
    assert said.endswith("Reply ACK to take it. (E-mail did not work.)")


def test_another_channel_is_given_up_sooner_than_a_text() -> None:
    def tries(notice: Notice) -> int:
        count = 0
        while notice.status in ("queued", "sending"):
            notice, count = rules.again(replace(notice, status="sending"), NOON + timedelta(seconds=count)).state, count + 1
        return count

    assert (tries(page()), tries(page(channel="text"))) == (rules.OTHER_TRIES_MAX, rules.TRIES_MAX)
