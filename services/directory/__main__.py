"""Who is wired to whom in the directory."""

from functools import partial
from pathlib import Path

from services.directory import api, handlers
from services.directory.usecases import Desk, say_again
from shared.runtime import Host, Service

SCHEMA = Path(__file__).parent / "schema"


def build(host: Host) -> Service:
    """The directory, ready to start."""
    engine = host.engine("directory", schema=SCHEMA)
    desk = Desk(engine)
    return Service(engine=engine, desk=desk, subscribe=handlers.subscribe, timers={}, routes=api.ROUTES, say_again=partial(say_again, desk))
