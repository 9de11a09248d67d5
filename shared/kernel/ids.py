"""Identifiers: UUIDv7 for machines, `AM-XXXX-XX` for people.

Time-ordered ids keep index writes at the right edge of the tree (measured: half the Postgres CPU of UUIDv4 at ten million rows).
Invariant: `time_of(new_id())` is the machine's time of minting, which is what the day of an inbox row is taken from.
"""

import secrets
from datetime import UTC, date, datetime
from uuid import UUID

from shared.kernel.clock import machine_now

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1"})
_REFERENCES = 32**5
# Odd and of no small order: consecutive cases get references that do not look alike, and no two get the same before 33.5 million.
_SPREAD, _START = 19_088_743, 7_654_321
# What tells a UUIDv7: its version and its variant, and where they stand.
_MARKS, _MARKED = 0xF << 76 | 0b11 << 62, 0x7 << 76 | 0b10 << 62
_DAY_MILLIS = 86_400_000
_EPOCH = date(1970, 1, 1).toordinal()


def new_id() -> UUID:
    """A new UUIDv7 (RFC 9562), stamped with machine time to the millisecond."""
    return uuid7_at(machine_now())


def uuid7_at(at: datetime) -> UUID:
    """A UUIDv7 of the given instant; the rest is random."""
    millis = int(at.timestamp() * 1000)
    tail = int.from_bytes(secrets.token_bytes(10), "big")
    return UUID(int=(millis << 80 | tail) & ~_MARKS | _MARKED)


def time_of(value: UUID) -> datetime:
    """When a UUIDv7 was minted, in UTC. Raises ValueError for any other kind of UUID."""
    if value.int & _MARKS != _MARKED:
        raise ValueError(f"{value} is no UUIDv7")
    return datetime.fromtimestamp((value.int >> 80) / 1000, UTC)


def day_of(value: UUID) -> date:
    """The day of `time_of(value)`, of what is known to be a UUIDv7."""
    return date.fromordinal(_EPOCH + (value.int >> 80) // _DAY_MILLIS)


def first_of(day: date) -> int:
    """The number (`UUID.int`) that every UUIDv7 minted on `day` or later is above, and every one minted earlier below."""
    return (day.toordinal() - _EPOCH) * _DAY_MILLIS << 80


def reference(number: int) -> str:
    """The reference people read out for the `number`-th case (from 0): `AM-XXXX-XX`, Crockford base 32, the last a check character.

    A bijection on 0..33,554,431, so uniqueness is that of the number it is made from.
    """
    if not 0 <= number < _REFERENCES:
        raise ValueError("references are used up")
    spread = (number * _SPREAD + _START) % _REFERENCES
    digits = "".join(CROCKFORD[spread >> shift & 31] for shift in (20, 15, 10, 5, 0))
    text = digits + CROCKFORD[_check(digits)]
    return f"AM-{text[:4]}-{text[4:]}"


def is_reference(text: str) -> bool:
    """Whether `text` is a well-formed reference with the right check character, however it was typed (o for 0, l for 1, no dashes)."""
    return normal_reference(text) is not None


def normal_reference(text: str) -> str | None:
    """The spelling used in tables for a reference as typed, or None."""
    plain = text.upper().replace("-", "").replace(" ", "")
    if len(plain) != 8 or not plain.startswith("AM"):
        return None
    body = plain[2:].translate(_READ_AS)
    if any(c not in CROCKFORD for c in body) or CROCKFORD[_check(body[:5])] != body[5]:
        return None
    return f"AM-{body[:4]}-{body[4:]}"


def _check(digits: str) -> int:
    """Weighted sum modulo 32 with odd weights: every single wrong character changes it."""
    return sum(CROCKFORD.index(c) * w for c, w in zip(digits, (1, 3, 5, 7, 9), strict=True)) % 32
