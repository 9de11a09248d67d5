"""Lists and versions: pages with an opaque cursor, ETag and If-Match.

Called by the `api` rooms. Invariant: a cursor that was not made here is a 400 `bad-cursor`, never a query with odd values; a change that
names a version which is no longer the current one is a 412 and changes nothing.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from shared.kernel.errors import Rejected

PAGE_LIMIT = 200
_CURSOR_LIMIT = 512
_ETAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e]*)"')
T = TypeVar("T")
CursorPart = str | int | UUID | datetime | None


def etag(version: int | str) -> str:
    """The ETag of a version: `etag(7) == '"7"'`."""
    return f'"{version}"'


def check_etag(if_match: str | None, version: int | str) -> None:
    """Hold an optional If-Match header (a list of ETags, or `*`) against the current version.

    Raises Rejected `changed-meanwhile` (412) where none fits, `invalid-header` (400) where it is no list of ETags.
    """
    if if_match is None or if_match.strip() == "*":
        return
    given = [part.strip() for part in if_match.split(",")]
    matches = [_ETAG.fullmatch(part) for part in given]
    if not given or not all(matches):
        raise Rejected("invalid-header", "If-Match takes quoted ETags.", pointer="/header/if-match")
    if str(version) not in [match[1] for match in matches if match]:
        raise Rejected("changed-meanwhile", "It changed since you read it; read it again.", headers={"etag": etag(version)})


def cursor_of(*parts: CursorPart) -> str:
    """An opaque cursor that holds the sort key of the last row of a page."""
    plain = [part.isoformat() if isinstance(part, datetime) else str(part) if isinstance(part, UUID) else part for part in parts]
    return base64.urlsafe_b64encode(json.dumps(plain, separators=(",", ":")).encode()).rstrip(b"=").decode()


def read_cursor(cursor: str | None, *kinds: type) -> tuple[Any, ...] | None:
    """The parts of a cursor as `kinds` (str, int, UUID, datetime with its zone), or None for the first page.

    Raises Rejected `bad-cursor` (400) for one that was not made by `cursor_of` with such parts.
    """
    if cursor is None:
        return None
    try:
        if len(cursor) > _CURSOR_LIMIT:
            raise ValueError("too long")
        parts = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if not isinstance(parts, list) or len(parts) != len(kinds):
            raise ValueError("not such parts")
        return tuple(_part(kind, part) for kind, part in zip(kinds, parts, strict=True))
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error):
        raise Rejected("bad-cursor", "This cursor was not given out here.", pointer="/query/cursor") from None


def _part(kind: type, part: object) -> CursorPart:
    if kind is int:
        if isinstance(part, bool) or not isinstance(part, int) or abs(part) >= 2**63:
            raise ValueError("no bigint")
        return part
    if not isinstance(part, str) or "\x00" in part:
        raise ValueError("no text")
    part.encode("utf-8")
    if kind is UUID:
        return UUID(part)
    if kind is datetime:
        at = datetime.fromisoformat(part)
        if at.tzinfo is None:
            raise ValueError("no zone")
        return at
    return part


def page(rows: Sequence[T], limit: int, view: Callable[[T], Any], key: Callable[[T], tuple[CursorPart, ...]]) -> Mapping[str, Any]:
    """`{"items": [...], "next_cursor": ...}` from up to `limit + 1` rows: the extra one only tells that there is a next page."""
    shown = rows[:limit]
    more = len(rows) > limit and bool(shown)
    return {"items": [view(row) for row in shown], "next_cursor": cursor_of(*key(shown[-1])) if more else None}
