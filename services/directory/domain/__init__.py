"""What is right in a directory: the file format with its rules, what a change says, and the roster of the demo group. Pure."""

from services.directory.domain.change import (
    SCOPES,
    Change,
    Directory,
    Key,
    Overrides,
    Put,
    Shifts,
    add_override,
    change,
    drop_override,
    issue_key,
    revoke_key,
    say_key,
    say_location,
    say_staff,
)
from services.directory.domain.demo import demo_rosters
from services.directory.domain.document import ID, Document, Location, Region, Shift, Staff, moved, read, read_part, read_roster
from services.directory.domain.roster import Doubled, Override, doubled, duty_of, read_override, walls_around
from services.directory.domain.text import parse

__all__ = [
    "ID",
    "SCOPES",
    "Change",
    "Directory",
    "Document",
    "Doubled",
    "Key",
    "Location",
    "Override",
    "Overrides",
    "Put",
    "Region",
    "Shift",
    "Shifts",
    "Staff",
    "add_override",
    "change",
    "demo_rosters",
    "doubled",
    "drop_override",
    "duty_of",
    "issue_key",
    "moved",
    "parse",
    "read",
    "read_override",
    "read_part",
    "read_roster",
    "revoke_key",
    "say_key",
    "say_location",
    "say_staff",
    "walls_around",
]
