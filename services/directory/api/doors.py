"""What the doors of the directory share: who may, ids in addresses, cursors."""

import re
from typing import Annotated, Any, Final

from litestar.params import QueryParameter

from services.directory.domain import ID
from shared.kernel.errors import Rejected
from shared.web import read_cursor, requires

GUARDS: Final = [requires("directory:write")]
Limit = Annotated[int, QueryParameter(ge=1, le=200)]
View = dict[str, Any]


def id_of(text: str, code: str) -> str:
    """What the address names; nothing has a name that is no id. Raises Rejected with the code."""
    if not re.match(ID, text):
        raise Rejected(code)
    return text


def after_of(cursor: str | None) -> str:
    """The id that a page begins after."""
    parts = read_cursor(cursor, str)
    return parts[0] if parts else ""
