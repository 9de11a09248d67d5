"""Who is wired to whom in intake."""

from functools import partial
from pathlib import Path

from services.intake import api, handlers, timers, usecases
from services.intake.domain import Rules
from services.intake.usecases import Desk, say_again
from shared.runtime import Host, Service

HERE = Path(__file__).parent


def build(host: Host) -> Service:
    """Intake, ready to start."""
    engine = host.engine("intake", schema=HERE / "schema")
    desk = Desk(engine=engine, vault=host.vault, rules=Rules.read((HERE / "policy" / "incidents.toml").read_text("utf-8")))
    return Service(
        engine=engine,
        desk=desk,
        subscribe=partial(handlers.subscribe, desk=desk),
        timers=timers.kinds(desk),
        routes=api.ROUTES,
        timer_check=usecases.check_timers,
        say_again=partial(say_again, engine),
    )
