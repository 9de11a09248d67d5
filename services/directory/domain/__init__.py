"""What is right in a directory: the file format with its rules, what a change says, and the roster of the demo group. Pure."""

from services.directory.domain.change import (
    SCOPES,
    Change,
    Directory,
    Key,
    Put,
    Shifts,
    change,
    issue_key,
    revoke_key,
    say_key,
    say_location,
    say_staff,
)
from services.directory.domain.demo import demo_rosters
from services.directory.domain.document import ID, Document, Location, Region, Shift, Staff, moved, read, read_part, read_roster
from services.directory.domain.text import parse

__all__ = [
    "ID",
    "SCOPES",
    "Change",
    "Directory",
    "Document",
    "Key",
    "Location",
    "Put",
    "Region",
    "Shift",
    "Shifts",
    "Staff",
    "change",
    "demo_rosters",
    "issue_key",
    "moved",
    "parse",
    "read",
    "read_part",
    "read_roster",
    "revoke_key",
    "say_key",
    "say_location",
    "say_staff",
]
