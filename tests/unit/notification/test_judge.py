"""When a text may leave: window, cadence, consent, the case's state. Behaviours 33 to 35, in virtual time."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

import services.notification
from services.notification.domain import templates
from services.notification.domain.judge import ConsentWord, Go, Recipient, Told, Wait, Withhold, crowding, current, judge, may_merge
from services.notification.domain.notice import Notice
from services.notification.domain.window import Rules, Window, free_at, opens_at, zones_of

pytestmark = pytest.mark.unit
WORDS = templates.load((Path(services.notification.__file__).parent / "policy" / "templates.toml").read_text())
NY, LA = "America/New_York", "America/Los_Angeles"
NOON = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)  # Monday, noon in New York, nine in Los Angeles
NIGHT = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)  # 23:00 in New York


def notice(template: str = "receipt", **changes: object) -> Notice:
    made = Notice(UUID(int=1), UUID(int=9), "patient", template, "c", "patient:P-1", NOON, NOON, patient_ref="P-1", number_index="n")
    return replace(made, **changes)  # type: ignore[arg-type]


def to(**changes: object) -> Recipient:
    return replace(Recipient("+12125550101", consents=frozenset({"care"}), zones=(NY,)), **changes)  # type: ignore[arg-type]


def verdict(n: Notice, r: Recipient, now: datetime = NOON, status: str | None = "open") -> object:
    return judge(n, WORDS[n.template], status, r, Rules(), now)


def test_by_day_with_consent_it_leaves() -> None:
    assert verdict(notice(), to()) == Go()


def test_at_night_it_waits_for_nine_in_the_stores_zone() -> None:
    late = notice(queued_at=NIGHT)
    assert verdict(late, to(), NIGHT) == Wait(datetime(2026, 11, 24, 14, 0, tzinfo=UTC), "texting-window")


def test_a_promised_time_that_came_while_its_text_waited_for_the_morning_is_not_told_any_more() -> None:
    promised = notice("promised", queued_at=NIGHT, facts={"promised_by": (NIGHT + timedelta(hours=10, minutes=30)).isoformat()})
    assert verdict(promised, to(), NIGHT) == Wait(NIGHT + timedelta(hours=10), "texting-window")
    assert verdict(promised, to(), NIGHT + timedelta(hours=10)) == Go()
    assert verdict(promised, to(), NIGHT + timedelta(hours=10, minutes=30)) == Withhold("stale")


def test_both_zones_must_be_in_the_window() -> None:
    early = NOON - timedelta(hours=2)
    assert verdict(notice(queued_at=early), to(zones=(NY, LA)), early) == Wait(NOON, "texting-window")


def test_a_receipt_to_the_patients_own_message_does_not_wait_for_a_quarter_of_an_hour() -> None:
    own = notice(queued_at=NIGHT, is_answer=True)
    assert verdict(own, to(), NIGHT + timedelta(minutes=15)) == Go()
    assert isinstance(verdict(own, to(), NIGHT + timedelta(minutes=16)), Wait)


def test_a_window_that_is_empty_lets_nothing_out() -> None:
    rules = Rules(Window(time(20), time(9)))
    assert judge(notice(), WORDS["receipt"], "open", to(), rules, NOON) == Wait(NOON + timedelta(hours=1), "no-window")


def test_opted_out_hears_only_the_confirmation() -> None:
    stopped = to(has_opted_out=True)
    assert verdict(notice(), stopped) == Withhold("opted-out")
    assert verdict(notice("stopped", case_id=None), stopped, NIGHT) == Go()
    assert verdict(notice("page", audience="staff"), stopped) == Withhold("opted-out")


def test_refused_care_no_phone_and_a_case_that_moved_on_are_withheld_with_the_reason() -> None:
    assert verdict(notice(), to(refusals=frozenset({"care"}))) == Withhold("no-consent")
    assert verdict(notice(), to(number=None)) == Withhold("no-phone")
    assert verdict(notice(), to(), status="resolved") == Withhold("case-resolved")
    assert verdict(notice("page", audience="staff"), to(), status="acknowledged") == Withhold("case-acknowledged")
    assert verdict(notice(), to(), NOON + timedelta(hours=25)) == Withhold("stale")


def test_staff_pages_know_neither_window_nor_cap() -> None:
    busy = to(sent_at=tuple(NIGHT - timedelta(hours=h) for h in range(9)))
    assert verdict(notice("page", audience="staff", queued_at=NIGHT), busy, NIGHT) == Go()


def test_three_a_day_and_six_a_week_with_consent_one_and_three_without() -> None:
    today = tuple(NOON - timedelta(hours=h) for h in (1, 2, 3))
    assert verdict(notice(), to(sent_at=today[:2])) == Go()
    held = verdict(notice(), to(sent_at=today))
    assert isinstance(held, Wait) and held.until == datetime(2026, 11, 24, 14, 0, tzinfo=UTC)
    assert isinstance(verdict(notice(), to(consents=frozenset(), sent_at=today[:1])), Wait)
    week = tuple(NOON - timedelta(days=d, hours=1) for d in range(1, 7))
    assert isinstance(verdict(notice(), to(sent_at=week)), Wait)


def test_answers_do_not_count_and_are_not_counted() -> None:
    today = tuple(NOON - timedelta(hours=h) for h in (1, 2, 3))
    assert verdict(notice(is_answer=True), to(sent_at=today)) == Go()


@given(st.lists(st.integers(0, 7 * 24 * 60), max_size=12))
def test_what_leaves_at_the_free_instant_never_breaks_a_count(minutes_ago: list[int]) -> None:
    sent = [NOON - timedelta(minutes=m) for m in minutes_ago]
    at = free_at(NOON, sent, Rules(), has_consent=True)
    assert at >= NOON
    assert sum(s > at - timedelta(days=1) for s in sent) <= 2
    assert sum(s > at - timedelta(days=7) for s in sent) <= 5


@given(st.integers(0, 366 * 24 * 60), st.sampled_from([(NY,), (LA,), (NY, LA), ("Pacific/Honolulu", NY), ("Europe/Berlin",)]))
def test_an_opening_is_inside_the_window_everywhere_and_not_before_now(minutes: int, zones: tuple[str, ...]) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    from zoneinfo import ZoneInfo

    at = opens_at(now, zones, Window())
    assert at is not None and at >= now
    for zone in zones:
        assert time(9) <= at.astimezone(ZoneInfo(zone)).time() < time(20)


def test_the_numbers_own_zone_counts_beside_the_stores() -> None:
    assert zones_of("+12125550101", LA) == (LA, NY)
    assert zones_of("+18005550101", LA) == (LA,)


def test_the_newest_word_on_consent_counts_and_a_refusal_wins_a_tie() -> None:
    def word(purpose: str, granted: bool, minutes: int) -> ConsentWord:
        return ConsentWord("P-1", purpose, granted, NOON + timedelta(minutes=minutes), "form", "intake")

    assert current([word("care", False, 0), word("care", True, 1), word("survey", True, 5), word("survey", False, 5)]) == (
        frozenset({"care"}),
        frozenset({"survey"}),
    )


def test_what_waited_becomes_one_text_but_typed_words_go_alone() -> None:
    first, second = notice(), notice("acknowledged", notice_id=UUID(int=2))
    typed = notice("typed", notice_id=UUID(int=3), typed_by="staff:ana")
    other = notice("receipt", notice_id=UUID(int=4), case_id=UUID(int=8))
    assert [[n.notice_id.int for n in group] for group in may_merge([first, second, typed, other])] == [[1, 2], [3], [4]]


def page(template: str = "page_again", **changes: object) -> Notice:
    return notice(template, audience="staff", staff_id="ana", patient_ref=None, **changes)


def test_18_a_page_waits_for_the_minute_after_one_about_another_case_and_only_then() -> None:
    other, own = Told(NOON, UUID(int=8), "page"), Told(NOON, UUID(int=9), "page")
    warned = Told(NOON, UUID(int=8), "warning")
    later = NOON + timedelta(seconds=20)

    def waits(n: Notice, *told: Told) -> bool:
        return verdict(n, Recipient("+12125550101", sent_at=crowding(n, told)), later) != Go()

    assert verdict(page(), Recipient("+12125550101", sent_at=(NOON,)), later) == Wait(NOON + timedelta(seconds=60), "storm")
    assert verdict(page(), Recipient("+12125550101", sent_at=(NOON,)), NOON + timedelta(seconds=60)) == Go()
    assert waits(page(), other)
    assert not waits(page(), own), "the next word on the same case is no crowd"
    assert not waits(page(), warned), "a warning delays no call for help"
    assert waits(page("warning"), warned) and waits(page("warning"), other)


def test_18_an_owner_hears_of_three_new_cases_one_by_one_unless_they_are_a_storm() -> None:
    two, three = (Recipient("+12125550101", sent_at=(NOON,) * n) for n in (2, 3))
    assert verdict(page("page"), two) == Go() and verdict(page("page"), three) != Go()
    assert verdict(page("page", storm_id=UUID(int=3), storm_size=4), replace(two, sent_at=(NOON,))) != Go()
    assert verdict(page("ack_list"), three) == Go()
