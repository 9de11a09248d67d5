"""When a location is open, what follows from it for deadlines, and who is on duty there.

Owns: opening hours in wall time (week, public holidays, closures, special days), the arithmetic of open time, and duty.
Called by: the domains of intake, escalation and notification, and `shared.reference`, which builds one `Calendar` and `Duty` a location.
Invariant: every instant in and out is aware and every instant out is UTC; intervals are half-open in one place (`days.Year`),
so "is open", "due" and "open seconds" cannot disagree; elapsed time is UTC time, whatever the clocks on the wall do.
"""

from shared.calendars.calendar import DAYS, Calendar
from shared.calendars.days import BadCalendar, NeverOpens, OutOfRange
from shared.calendars.duty import SHIFT_DAYS_MAX, Duty, Override, Shift, Stretch
from shared.calendars.opentime import (
    before,
    closing_of,
    due_at,
    last_closing,
    local_date,
    next_closing,
    next_opening,
    open_seconds,
)
from shared.calendars.public import public_holidays
from shared.calendars.wall import wall_to_utc

__all__ = [
    "DAYS",
    "SHIFT_DAYS_MAX",
    "BadCalendar",
    "Calendar",
    "Duty",
    "NeverOpens",
    "OutOfRange",
    "Override",
    "Shift",
    "Stretch",
    "before",
    "closing_of",
    "due_at",
    "last_closing",
    "local_date",
    "next_closing",
    "next_opening",
    "open_seconds",
    "public_holidays",
    "wall_to_utc",
]
