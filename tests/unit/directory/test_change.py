"""What a change writes and says."""

from typing import Any

import pytest

from services.directory.domain import SCOPES, Directory, Document, Key, change, issue_key, read, revoke_key
from shared.contracts.directory import AccessChanged, LocationChanged, StaffChanged
from shared.kernel.decision import Decision
from shared.kernel.errors import Rejected
from shared.web.auth import SCOPES as KNOWN_TO_DOORS

pytestmark = pytest.mark.unit

GROUP: dict[str, Any] = {
    "regions": [{"id": "north", "name": "North"}, {"id": "west", "name": "West"}],
    "locations": [
        {"id": "store-7", "name": "Ocean Parade", "region": "west", "timezone": "America/Los_Angeles"},
        {"id": "store-12", "name": "Elm Street", "region": "north", "timezone": "America/New_York"},
    ],
    "staff": [{"id": "ana", "name": "Ana Example", "role": "store_manager", "locations": ["store-12"]}],
    "rosters": [{"location_id": "store-12", "staff_id": "ana", "from": "2026-11-23T09:00", "to": "2026-11-23T18:00"}],
}


def after(state: Directory, wanted: Document, cleared: tuple[str, ...] = ()) -> tuple[Directory, Decision[Any]]:
    """The decision, and the directory once it is stored."""
    decision = change(state, wanted, cleared)
    made = decision.state
    return Directory(
        version=made.version,
        regions={**state.regions, **{row.id: row for row in made.regions}},
        locations={**state.locations, **{put.row.id: put.row for put in made.locations}},
        staff={**state.staff, **{put.row.id: put.row for put in made.staff}},
        rosters={**state.rosters, **made.rosters},
    ), decision


def loaded() -> Directory:
    return after(Directory(0), read(GROUP))[0]


def test_a_first_load_says_every_location_and_person_whole_each_with_its_own_version() -> None:
    _, decision = after(Directory(40), read(GROUP))
    elm, ocean, ana = decision.events
    assert isinstance(elm, LocationChanged) and isinstance(ocean, LocationChanged) and isinstance(ana, StaffChanged)
    assert [event.version for event in decision.events] == [41, 42, 43] and decision.state.version == 43
    assert (elm.location_id, elm.region_name, elm.roster[0].staff_id, elm.roster[0].starts) == (
        "store-12", "North", "ana", "2026-11-23T09:00",
    )  # fmt: skip


def test_loading_twice_changes_nothing_and_says_nothing() -> None:
    state, again = after(loaded(), read(GROUP))
    assert again.is_empty
    assert not (again.state.regions or again.state.locations or again.state.staff or again.state.rosters)
    assert state.version == loaded().version


def test_a_renamed_region_says_its_locations_and_no_others() -> None:
    _, decision = after(loaded(), read({"regions": [{"id": "west", "name": "Far West"}]}))
    assert [(event.key, event.region_name) for event in decision.events] == [("store-7", "Far West")]


def test_a_new_region_says_nothing() -> None:
    _, decision = after(loaded(), read({"regions": [{"id": "south", "name": "South"}]}))
    assert decision.is_empty and [row.id for row in decision.state.regions] == ["south"]


def test_a_roster_replaces_that_location_s_whole_roster_and_says_the_location() -> None:
    shift = {"location_id": "store-12", "staff_id": "ana", "from": "2026-11-24T09:00", "to": "2026-11-24T18:00"}
    state, decision = after(loaded(), read({"rosters": [shift, shift]}))
    assert [event.key for event in decision.events] == ["store-12"]
    assert [shift.starts for shift in decision.events[0].roster] == ["2026-11-24T09:00"]
    emptied, decision = after(state, Document(), cleared=("store-12",))
    assert decision.events[0].roster == () and decision.events[0].version == state.version + 1
    assert after(emptied, Document(), cleared=("store-12",))[1].is_empty


def test_a_changed_location_keeps_its_roster() -> None:
    changed = {"locations": [{**GROUP["locations"][1], "name": "Elm & Third"}]}
    _, decision = after(loaded(), read(changed))
    assert len(decision.events) == 1 and len(decision.events[0].roster) == 1 and not decision.state.rosters


@pytest.mark.parametrize(
    ("document", "code", "pointer"),
    [
        ({"locations": [{**GROUP["locations"][0], "region": "east"}]}, "unknown-region", "/locations/0/region"),
        ({"staff": [{**GROUP["staff"][0], "locations": ["store-12", "store-99"]}]}, "unknown-location", "/staff/0/locations/1"),
        ({"staff": [{**GROUP["staff"][0], "regions": ["east"]}]}, "unknown-region", "/staff/0/regions/0"),
        ({"rosters": [{**GROUP["rosters"][0], "staff_id": "bob"}]}, "unknown-staff", "/rosters/0/staff_id"),
        ({"rosters": [{**GROUP["rosters"][0], "location_id": "store-99"}]}, "unknown-location", "/rosters/0/location_id"),
        ({"regions": [GROUP["regions"][0], GROUP["regions"][0]]}, "invalid-data", "/regions/1/id"),
    ],
)
def test_what_leads_nowhere_or_stands_twice_is_refused(document: dict[str, Any], code: str, pointer: str) -> None:
    with pytest.raises(Rejected) as refused:
        change(loaded(), read(document))
    assert (refused.value.code, refused.value.pointer) == (code, pointer)


def test_faults_of_two_kinds_are_told_together() -> None:
    document = {"locations": [{**GROUP["locations"][0], "region": "east"}], "rosters": [{**GROUP["rosters"][0], "staff_id": "bob"}]}
    with pytest.raises(Rejected) as refused:
        change(loaded(), read(document))
    assert refused.value.code == "invalid-data" and len(refused.value.facts["errors"]) == 2


def test_a_roster_has_an_upper_length() -> None:
    shifts = [{**GROUP["rosters"][0], "to": f"2027-01-{1 + n % 28:02}T{n // 28 % 24:02}:{n // 672:02}"} for n in range(5001)]
    with pytest.raises(Rejected) as refused:
        change(loaded(), read({"rosters": shifts}))
    assert "5001 shifts" in refused.value.detail


KEY = Key("a1b2", " Till ", "0" * 64, ("events:write", "cases:read", "events:write"))


def test_a_key_is_said_by_its_hash_and_stays_as_a_row_when_revoked() -> None:
    issued = issue_key(7, KEY, [])
    (said,) = issued.events
    assert isinstance(said, AccessChanged)
    assert (said.version, said.name, said.scopes, said.revoked) == (8, "Till", ("cases:read", "events:write"), False)
    revoked = revoke_key(8, issued.state)
    assert revoked.events[0].revoked and revoked.events[0].version == 9
    assert revoke_key(9, revoked.state).is_empty
    with pytest.raises(Rejected, match="no such key"):
        revoke_key(9, None)


@pytest.mark.parametrize(
    ("key", "code", "pointer"),
    [
        (Key("a", "n", "h", ("events:write", "everything")), "invalid-data", "/scopes/1"),
        (Key("a", "n", "h"), "invalid-data", "/scopes"),
        (Key("a", " ", "h", ("cases:read",)), "invalid-data", "/name"),
        (Key("a", "n", "h", (), "bob"), "unknown-staff", "/staff_id"),
    ],
)
def test_a_key_that_opens_nothing_or_something_unknown_is_refused(key: Key, code: str, pointer: str) -> None:
    with pytest.raises(Rejected) as refused:
        issue_key(0, key, ["ana"])
    assert (refused.value.code, refused.value.pointer) == (code, pointer)


def test_the_scopes_that_are_given_out_are_those_the_doors_ask_for() -> None:
    assert set(SCOPES) == KNOWN_TO_DOORS
