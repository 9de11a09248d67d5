"""The page of rosters: where open hours of the next two weeks have nobody on duty."""

from typing import Any, Final

from litestar import Response, get

from services.console import usecases
from services.console.api.doors import AnyRequest, must_sign_in, viewer_of
from services.console.api.queue import frame
from services.console.api.render import html
from services.console.domain.rosters import most_alone_first
from services.console.usecases import Desk
from services.console.usecases.rosters import DAYS
from shared.web import PUBLIC

HOME: Final = "/operations/rosters"


@get(HOME, opt=PUBLIC, include_in_schema=False)
async def show_rosters(request: AnyRequest, desk: Desk) -> Response[Any]:
    """Gaps in the rosters of the stores that the viewer sees, or of one region of theirs."""
    viewer = viewer_of(request)
    if viewer is None:
        return must_sign_in(request)
    region = request.query_params.get("region", "")
    found = await usecases.covers(desk, viewer.principal, region)
    return html(
        "rosters.html",
        **frame(desk, viewer),
        alone=most_alone_first(found.covers),
        rosterless=[cover for cover in found.covers if not cover.has_roster],
        kept=sum(cover.has_roster and not cover.gaps for cover in found.covers),
        regions=found.regions,
        chosen=region,
        more=found.more,
        days=DAYS,
    )
