"""The directory: which stores there are, who works there and when, and which keys may ask.

Owns regions, locations with their opening hours, staff, rosters and API keys. Hears only itself (its own API checks keys against a local
copy like everybody's). Says `amends.locations.v1` (a location whole: zone, hours, roster), `amends.staff.v1` and `amends.access.v1`, all
compacted: the latest event of a key is the whole row.
Invariant: one sequence of versions runs over the whole directory, in commit order; every event has a version of its own, so a listener that
has heard a version of a topic has heard everything before it, and what did not change is not said.
"""
