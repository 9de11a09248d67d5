"""Who is wired to whom in escalation."""

from functools import partial
from pathlib import Path

from services.escalation import api, handlers, timers, usecases
from services.escalation.domain.plan import Policies
from services.escalation.usecases import Desk
from shared.runtime import Host, Service

HERE = Path(__file__).parent
TABLES = ("severity", "sla", "pauses")


def build(host: Host) -> Service:
    """Escalation, ready to start."""
    engine = host.engine("escalation", schema=HERE / "schema")
    policies = Policies.load(*((HERE / "policy" / f"{name}.toml").read_text("utf-8") for name in TABLES))
    desk = Desk(engine=engine, vault=host.vault, policies=policies)
    return Service(
        engine=engine,
        desk=desk,
        subscribe=partial(handlers.subscribe, desk=desk),
        timers=timers.kinds(desk),
        routes=api.ROUTES,
        loops=(),
        before_locations=partial(usecases.hours_told, desk),
    )
