"""The engine's bed, with a loop of timers on it."""

from tests.integration.engine.conftest import bed, made, quiet_logs

__all__ = ["bed", "made", "quiet_logs"]
