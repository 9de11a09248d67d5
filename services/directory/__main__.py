"""Who is wired to whom in the directory."""

from pathlib import Path

from services.directory import api, handlers
from services.directory.usecases import Desk
from shared.runtime import Host, Service

SCHEMA = Path(__file__).parent / "schema"


def build(host: Host) -> Service:
    """The directory, ready to start."""
    engine = host.engine("directory", schema=SCHEMA)
    return Service(engine=engine, desk=Desk(engine), subscribe=handlers.subscribe, timers={}, routes=api.ROUTES)
