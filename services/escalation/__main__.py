"""Who is wired to whom in escalation."""

from datetime import timedelta
from functools import partial
from pathlib import Path

from services.escalation import api, handlers, timers, usecases
from services.escalation.domain.plan import POLICIES, Policies
from services.escalation.usecases import Desk
from shared.runtime import Host, Service

HERE = Path(__file__).parent


def build(host: Host) -> Service:
    """Escalation, ready to start."""
    engine = host.engine("escalation", schema=HERE / "schema")
    texts = {name: [file.read_text("utf-8") for file in sorted((HERE / "policy" / name).glob("*.toml"))] for name in POLICIES}
    # Where it is still yesterday, the policy of yesterday is asked for.
    policies = Policies.load(texts, (engine.clock.now() - timedelta(days=1)).date())
    desk = Desk(engine=engine, vault=host.vault, policies=policies)
    notes: dict[str, str] = {}
    return Service(
        engine=engine,
        desk=desk,
        subscribe=partial(handlers.subscribe, desk=desk),
        timers=timers.kinds(desk),
        routes=api.ROUTES,
        loops=(partial(usecases.watch_unowned, desk, notes),),
        notes=notes,
        measure=partial(usecases.measure, desk),
        timer_check=usecases.check_timers,
        timer_cases=usecases.timer_cases,
        before_locations=partial(usecases.hours_told, desk),
    )
