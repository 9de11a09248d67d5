"""Public holidays by country and subdivision, from the `holidays` package.

Called by: `calendar`, for locations that observe them; pages that name the holiday.
Invariant: the package is imported at the first question (it costs a third of a second), and a year is asked once a process.
"""

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from types import MappingProxyType

from shared.calendars.wall import BadCalendar


def public_holidays(country: str, subdivision: str | None, year: int) -> Mapping[date, str]:
    """Date to name of the public holidays of a year, observed substitutes included (4 July 2026 is also kept on the 3rd).

    `country` is ISO 3166-1 alpha-2, `subdivision` the second half of ISO 3166-2 or None. BadCalendar when either is not known.
    A year outside what the package covers has none. Source: the `holidays` package, category public.
    """
    if not isinstance(country, str) or not isinstance(subdivision, str | None):
        raise BadCalendar("country and subdivision are codes in letters, such as US and NY", "/country")
    return _public_holidays(country, subdivision, year)


@lru_cache(maxsize=2048)
def _public_holidays(country: str, subdivision: str | None, year: int) -> Mapping[date, str]:
    import holidays

    try:
        found = holidays.country_holidays(country, subdiv=subdivision or None, years=year)
    except NotImplementedError as unknown:
        place = f"{country}-{subdivision}" if subdivision else country
        pointer = "/subdivision" if subdivision and _is_known(country) else "/country"
        raise BadCalendar(f"no public holidays are known for {place!r}", pointer) from unknown
    return MappingProxyType({day: name for day, name in sorted(found.items()) if day.year == year})


def _is_known(country: str) -> bool:
    import holidays

    return country in holidays.list_supported_countries(include_aliases=True)
