"""A roster out of somebody else's file: CSV and iCalendar, all of it or nothing, each fault with its line."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.directory.domain import Import, Shift, Staff, named_in, plan_import, read_sheet
from shared.kernel.errors import Rejected

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ZONE = "America/New_York"
PEOPLE = (
    Staff(id="ana", name="Ana Example", role="associate", locations=("store-12",), email="ana@example.org"),
    Staff(id="ben", name="Ben Example", role="associate", locations=("store-12",), email="ben@example.org"),
    Staff(id="kim-1", name="Kim Example", role="associate", locations=("store-12",)),
    Staff(id="kim-2", name="Kim Example", role="associate", locations=("store-3",)),
    Staff(id="lee-1", name="Lee Example", role="associate", locations=("store-3",)),
    Staff(id="lee-2", name="Lee Example", role="associate", locations=("store-3",)),
    Staff(id="zoe", name="Zoe Example", role="associate", locations=("store-12",), active=False),
)


def take(kind: Any, text: str | bytes, *there: Shift) -> Import:
    raw = text.encode() if isinstance(text, str) else text
    return plan_import("store-12", read_sheet(kind, raw, ZONE, NOW), PEOPLE, there)


def rows(taken: Import) -> list[tuple[str, str, str]]:
    return [(shift.staff_id, shift.starts, shift.ends) for shift in taken.roster]


def faults(kind: Any, text: str) -> dict[int, str]:
    with pytest.raises(Rejected) as refused:
        take(kind, text)
    assert refused.value.code == "invalid-data", refused.value
    return {error["line"]: error["detail"] for error in refused.value.facts["errors"]}


def shift(who: str, starts: str, ends: str) -> Shift:
    return Shift(location_id="store-12", staff_id=who, starts=starts, ends=ends)


def calendar(*lines: str) -> str:
    return "\r\n".join(("BEGIN:VCALENDAR", "VERSION:2.0", *lines, "END:VCALENDAR", ""))


def event(*lines: str, who: str = "ana") -> list[str]:
    named = [] if any(line.startswith(("SUMMARY", "ATTENDEE", "ORGANIZER")) for line in lines) else [f"SUMMARY:{who}"]
    return ["BEGIN:VEVENT", "UID:1", *named, *lines, "END:VEVENT"]


def of(*lines: str) -> list[tuple[str, str, str]]:
    """The shifts of one event."""
    return rows(take("calendar", calendar(*event(*lines))))


DAY = ("DTSTART:20261123T090000", "DTEND:20261123T180000")


def test_csv_by_id_or_by_email_in_any_order_of_columns() -> None:
    wanted = [("ana", "2026-11-23T09:00", "2026-11-23T13:00"), ("ben", "2026-11-23T13:00", "2026-11-23T18:00")]
    plain = "staff_id,from,to\nana,2026-11-23T09:00,2026-11-23T13:00\nben,2026-11-23 13:00,2026-11-23T18:00:00\n"
    other = (
        '\ufeffTo;"From";Note;EMAIL\r\n'
        "2026-11-23T13:00;2026-11-23T09:00;early;Ana@Example.org\r\n\r\n"
        "2026-11-23T18:00;2026-11-23T13:00;;ben@example.org"
    )
    assert rows(take("csv", plain)) == rows(take("csv", other)) == wanted


def test_every_faulty_line_is_told_with_its_number_and_nothing_is_taken() -> None:
    text = (
        "staff_id,from,to\n"
        "ana,2026-11-23T09:00,2026-11-23T13:00\n"
        "nobody,2026-11-23T09:00,2026-11-23T13:00\n"
        "ben,2026-11-23T14:00,2026-11-23T13:00\n"
        '\nben,yesterday,2026-11-23T13:00\n"ben",2026-11-23T09:00\nzoe,2026-11-23T09:00,2026-11-23T13:00\n'
        "lee example,2026-11-23T09:00,2026-11-23T13:00\n"
    )
    found = faults("csv", text)
    assert sorted(found) == [3, 4, 6, 7, 8, 9]
    assert found[3] == "there is nobody of that id, e-mail or name" and found[7] == "to is required"
    assert "ends after it begins" in found[4] and found[6].startswith("from must be wall time")
    assert found[8] == "zoe works here no longer" and "several people" in found[9]


@pytest.mark.parametrize(
    ("kind", "raw", "code"),
    [
        ("csv", b"\xff\xfe", "malformed-csv"),
        ("csv", b"", "malformed-csv"),
        ("csv", b"name,when\nana,now\n", "malformed-csv"),
        ("csv", b'staff_id,from,to\n"ana', "malformed-csv"),
        ("csv", b'staff_id,from,to\n"' + b"a" * 200_000, "malformed-csv"),
        ("csv", b"staff_id,from,to\n", "invalid-data"),
        ("csv", b"staff_id,from,to\n" + b"ana,2026-11-23T09:00,2026-11-23T13:00\n" * 5_001, "too-many-shifts"),
        ("csv", b"staff_id,from,to\na\x00b,2026-11-23T09:00,2026-11-23T13:00\n", "invalid-data"),
        ("calendar", b"\xff", "malformed-calendar"),
        ("calendar", b"", "invalid-data"),
        ("calendar", b"staff_id,from,to\n", "malformed-calendar"),
        ("calendar", b"BEGIN:VCALENDAR\n", "malformed-calendar"),
        ("calendar", b"BEGIN:VCALENDAR\nEND:VEVENT\n", "malformed-calendar"),
        ("calendar", b"BEGIN:VCALENDAR\nEND:VCALENDAR\nEND:VCALENDAR\n", "malformed-calendar"),
        ("calendar", b"BEGIN:VCALENDAR\nEND:VCALENDAR\n", "invalid-data"),
        ("calendar", b"BEGIN:VCALENDAR\n" + b"BEGIN:VEVENT\n" * 50_000, "malformed-calendar"),
        ("calendar", calendar("BEGIN:VEVENT", "DTSTART;:20261123", "END:VEVENT").encode(), "malformed-calendar"),
        ("calendar", calendar(*event(*DAY, "DTSTART:20261124T090000")).encode(), "malformed-calendar"),
        ("calendar", calendar(*event(*DAY, "DTSTART" + ";X=1" * 100_000 + ":1")).encode(), "malformed-calendar"),
        ("calendar", calendar(*event(*DAY, "SUMMARY:" + "\\" * 500_000)).encode(), "invalid-data"),
        ("calendar", calendar(*event(*DAY, "RRULE:FREQ=DAILY", who="a\x00b")).encode(), "invalid-data"),
        ("calendar", calendar(*event(*DAY, "RRULE:FREQ=DAILY")*40).encode(), "too-many-shifts"),
        ("calendar", calendar(*event("DTSTART:19700101T090000", "DURATION:PT9H", "RRULE:FREQ=DAILY")*40).encode(), "too-many-shifts"),
    ],
)  # fmt: skip
def test_whatever_is_sent_is_refused_by_its_code_and_in_bounded_time(kind: Any, raw: bytes, code: str) -> None:
    with pytest.raises(Rejected) as refused:
        take(kind, raw)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=SECONDLY", "FREQ=MINUTELY;COUNT=5", "FREQ=HOURLY", "FREQ=MONTHLY", "FREQ=YEARLY", "FREQ=NEVER", "", "COUNT=3",
        "FREQ=DAILY;COUNT=-1", "FREQ=DAILY;COUNT=99999999999999999999", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;INTERVAL=2147483647",
        "FREQ=WEEKLY;BYDAY=1MO", "FREQ=WEEKLY;BYDAY=XX", "FREQ=DAILY;BYHOUR=1,2,3", "FREQ=DAILY;INTERVAL=7;BYDAY=TU",
        "FREQ=WEEKLY;BYSETPOS=1", "FREQ=WEEKLY;WKST=XX", "FREQ=WEEKLY;UNTIL=soon", "FREQ=DAILY;COUNT=0",
    ],
)  # fmt: skip
def test_a_rule_that_is_none_of_a_roster_is_a_fault_of_its_line(rule: str) -> None:
    assert list(faults("calendar", calendar(*event(*DAY, f"RRULE:{rule}")))) == [8]


def test_times_are_of_their_zone_of_utc_or_the_stores_own() -> None:
    wanted = [("ana", "2026-11-23T09:00", "2026-11-23T18:00")]
    assert of(*DAY) == of("DTSTART:20261123T140000Z", "DTEND:20261123T230000Z") == wanted
    assert of("DTSTART;TZID=America/Chicago:20261123T080000", "DTEND;TZID=America/New_York:20261123T180000") == wanted
    assert of("DTSTART;TZID=Eastern Standard Time:20261123T090000", "DURATION:PT9H") == wanted
    assert of("DTSTART;VALUE=DATE:20261123") == [("ana", "2026-11-23T00:00", "2026-11-24T00:00")]
    assert of("DTSTART;VALUE=DATE:20261123", "DTEND;VALUE=DATE:20261125") == [("ana", "2026-11-23T00:00", "2026-11-25T00:00")]


def test_a_night_across_a_clock_change_ends_when_its_clock_says_so() -> None:
    night = ("DTSTART:20261031T220000", "DTEND:20261101T060000")
    assert of(*night) == [("ana", "2026-10-31T22:00", "2026-11-01T06:00")]
    weekly = of("DTSTART;TZID=America/Chicago:20261024T210000", "DTEND;TZID=America/Chicago:20261025T050000", "RRULE:FREQ=WEEKLY;COUNT=2")
    assert weekly == [("ana", "2026-10-24T22:00", "2026-10-25T06:00"), ("ana", "2026-10-31T22:00", "2026-11-01T06:00")]


def test_a_rule_ends_by_count_by_until_or_after_a_year() -> None:
    days = [day for _, day, _ in of(*DAY, "RRULE:FREQ=WEEKLY;BYDAY=MO,WE;COUNT=3")]
    assert days == ["2026-11-23T09:00", "2026-11-25T09:00", "2026-11-30T09:00"]
    for until in ("20261125", "20261125T140000Z", "20261125T235959"):
        assert len(of(*DAY, f"RRULE:FREQ=DAILY;UNTIL={until}")) == 3
    for endless in ("", ";UNTIL=99991231T235959Z", ";COUNT=5000"):
        found = of(*DAY, f"RRULE:FREQ=DAILY{endless}")
        assert (len(found), found[-1][1]) == (363, "2027-11-20T09:00")
    old = of("DTSTART:20250101T090000", "DTEND:20250101T180000", "RRULE:FREQ=WEEKLY")
    assert old[0][1] == "2026-10-21T09:00", "what recurred more than a month ago is history"


def test_exdate_and_a_single_event_that_stands_in_for_one_of_a_rule() -> None:
    rule = event(*DAY, "RRULE:FREQ=DAILY;COUNT=5", "EXDATE;VALUE=DATE:20261124", "EXDATE:20261125T140000Z,20261126T090000")
    moved = event("RECURRENCE-ID:20261127T090000", "DTSTART:20261127T120000", "DTEND:20261127T150000")
    taken = take("calendar", calendar(*rule, *moved))
    assert rows(taken) == [("ana", "2026-11-23T09:00", "2026-11-23T18:00"), ("ana", "2026-11-27T12:00", "2026-11-27T15:00")]
    called_off = take("calendar", calendar(*rule, *event("RECURRENCE-ID:20261127T090000", "STATUS:CANCELLED", *DAY)))
    assert (len(called_off.roster), called_off.left_out) == (1, 1)


def test_people_are_who_attends_or_the_summary_or_the_organizer() -> None:
    both = ("ATTENDEE;CN=Ana:mailto:ana@example.org", "ATTENDEE;PARTSTAT=ACCEPTED:MAILTO:Ben@example.org")
    assert [who for who, *_ in of(*DAY, *both, "SUMMARY:Morning", "ORGANIZER:mailto:boss@example.org")] == ["ana", "ben"]
    declined = ("ATTENDEE;PARTSTAT=DECLINED:mailto:ana@example.org", both[1], "ATTENDEE;CUTYPE=ROOM:mailto:room@example.org")
    assert [who for who, *_ in of(*DAY, *declined)] == ["ben"]
    assert [who for who, *_ in of(*DAY, "SUMMARY:ben example", "ORGANIZER:mailto:ana@example.org")] == ["ben"]
    assert [who for who, *_ in of(*DAY, "ORGANIZER:mailto:ana@example.org")] == ["ana"]
    assert [who for who, *_ in of(*DAY, "SUMMARY:Kim Example")] == ["kim-1"], "who works here goes before a namesake elsewhere"
    assert list(faults("calendar", calendar("BEGIN:VEVENT", *DAY, "END:VEVENT"))) == [3]


def test_faults_of_events_have_the_line_they_are_on_also_behind_folded_ones() -> None:
    good = event(*DAY, "DESCRIPTION:folded", " and folded", "\tagain")
    text = calendar(
        *good,
        *event("DTSTART:20261123T090000"),
        *event("DTSTART:20261123T180000", "DTEND:20261123T090000"),
        *event(*DAY, "RDATE:20261124T090000"),
    )
    assert {line: detail[:20] for line, detail in faults("calendar", text).items()} == {
        12: "the event has no DTE", 21: "the event ends after", 28: "RDATE is not read; w",
    }  # fmt: skip


def test_a_file_speaks_for_the_days_it_covers_and_a_second_time_changes_nothing() -> None:
    before, old, same, after = (
        shift("ben", "2026-11-22T09:00", "2026-11-22T18:00"),
        shift("ben", "2026-11-23T08:00", "2026-11-23T09:00"),
        shift("ana", "2026-11-24T09:00", "2026-11-24T18:00"),
        shift("ben", "2026-11-25T00:00", "2026-11-25T18:00"),
    )
    text = "staff_id,from,to\nana,2026-11-23T09:00,2026-11-23T18:00\nana,2026-11-24T09:00,2026-11-24T18:00\n"
    taken = take("csv", text, before, old, same, after)
    new = shift("ana", "2026-11-23T09:00", "2026-11-23T18:00")
    assert (taken.first, taken.last) == ("2026-11-23", "2026-11-24")
    assert (taken.added, taken.removed, taken.unchanged) == ((new,), (old,), 1)
    assert taken.roster == (before, new, same, after)
    again = take("csv", text, *taken.roster)
    assert (again.added, again.removed, again.unchanged, again.roster) == ((), (), 2, taken.roster)


def test_what_is_looked_up_is_what_the_file_names() -> None:
    sheet = read_sheet("csv", b"email,from,to\nAna@Example.org,x,y\na\x00b,x,y\n", ZONE, NOW)
    assert named_in(sheet) == {"ana@example.org"}
