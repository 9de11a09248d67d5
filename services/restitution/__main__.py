"""Who is wired to whom in restitution."""

from functools import partial
from pathlib import Path

from services.restitution import api, handlers, store, timers, usecases
from services.restitution.domain import Policies
from services.restitution.domain.policies import NAMES
from services.restitution.gateway import CodeGateway
from services.restitution.usecases import Desk
from shared.runtime import Host, Service

HERE = Path(__file__).parent


def policies() -> Policies:
    """The tables as shipped. PolicyError where one has a gap or an overlap."""
    return Policies.load({name: (HERE / "policy" / f"{name}.toml").read_text("utf-8") for name in NAMES})


def build(host: Host) -> Service:
    """Restitution, ready to start."""
    engine = host.engine("restitution", schema=HERE / "schema")
    gateway = CodeGateway(partial(store.issue_code, engine.pool), partial(store.find_code, engine.pool))
    desk = Desk(engine=engine, policies=policies(), gateway=gateway, vault=host.vault)
    return Service(
        engine=engine,
        desk=desk,
        subscribe=partial(handlers.subscribe, desk=desk),
        timers=timers.kinds(desk),
        routes=api.ROUTES,
        loops=(),
        timer_check=usecases.check_timers,
        timer_cases=usecases.timer_cases,
        measure=partial(usecases.measure, desk),
    )
