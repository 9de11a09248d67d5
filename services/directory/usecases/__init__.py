"""What can be done to the directory: `change` (rows and files), `rosters` (shifts, overrides, who is on duty), `keys`."""

from services.directory.usecases.change import DEMO_GROUP, Desk, Loaded, demo_group, load, put_location, put_region, put_staff, say_again
from services.directory.usecases.keys import create_key, revoke_key
from services.directory.usecases.rosters import (
    Moment,
    Span,
    drop_override,
    duty_at,
    duty_between,
    import_roster,
    overrides_of,
    put_override,
    put_roster,
    reached,
    roster_of,
)

__all__ = [
    "DEMO_GROUP",
    "Desk",
    "Loaded",
    "Moment",
    "Span",
    "create_key",
    "demo_group",
    "drop_override",
    "duty_at",
    "duty_between",
    "import_roster",
    "load",
    "overrides_of",
    "put_location",
    "put_override",
    "put_region",
    "put_roster",
    "put_staff",
    "reached",
    "revoke_key",
    "roster_of",
    "say_again",
]
