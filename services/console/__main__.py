"""Who is wired to whom in the console."""

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from services.console import api, handlers
from services.console.gateway import HttpServices
from services.console.usecases import Desk
from shared.kernel.clock import machine_now
from shared.runtime import Host, Service
from shared.settings import SignIn
from shared.web.auth import mint_assertion

HERE = Path(__file__).parent
AUDIENCE = "amends"
OPEN = "whoever reaches the page may sign in as anybody of the directory; that is for trying it out, never for real patients"


def build(host: Host) -> Service:
    """The console, ready to start. Raises ValueError where it cannot vouch for people."""
    engine = host.engine("console", schema=HERE / "schema")
    key = host.signing_key
    if key is None:
        raise ValueError("set AMENDS_SIGN_IN__ASSERTION_PRIVATE_KEY: the console signs for the people who use it")

    def sign(asker: Any) -> str:
        return mint_assertion(key, asker, AUDIENCE, machine_now())

    sign_in: SignIn = host.settings.sign_in
    services = HttpServices(host.service_urls, sign)
    desk = Desk(
        engine=engine,
        vault=host.vault,
        services=services,
        has_demo_people=host.has_demo_people,
        is_demo=host.is_demo,
        is_https=host.public_url.startswith("https://"),
        idle=timedelta(seconds=sign_in.session_idle_seconds),
        longest=timedelta(seconds=sign_in.session_max_seconds),
    )
    return Service(
        engine=engine,
        desk=desk,
        subscribe=partial(handlers.subscribe, desk=desk),
        timers={},
        routes=api.ROUTES,
        sessions=api.session_hook(desk),
        closing=[services.close],
        notes={"sign-in": OPEN} if host.has_demo_people else {},
    )
