"""Our own style sheet and scripts; there are no others, and no page carries any inline."""

from typing import Any, Final

from litestar import Response, get

from services.console.api.render import PAGES
from shared.kernel.errors import Rejected
from shared.web import PUBLIC

FILES: Final = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "mark.svg": "image/svg+xml",
}


@get("/static/{name:str}", opt=PUBLIC, include_in_schema=False)
async def get_static(name: str) -> Response[Any]:
    """One of the files above."""
    if name not in FILES:
        raise Rejected("not-found", "There is nothing at this address.")
    return Response((PAGES / "static" / name).read_bytes(), media_type=FILES[name], headers={"cache-control": "no-cache"})
