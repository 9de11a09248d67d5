"""What the directory is asked: `rows` (regions, locations, staff), `rosters` (shifts, overrides, who is on duty), `keys`.

All of it needs the scope `directory:write`, which administrators have; who may see a store may read its roster too.
"""

from services.directory.api import keys, rosters, rows

ROUTES = [*rows.ROUTES, *rosters.ROUTES, *keys.ROUTES]

__all__ = ["ROUTES"]
