"""Owns the real PostgreSQL and the real Kafka that Amends brings along, as child processes of its own.

Started by the stack and by the tests. What must stay true: one folder has one keeper at a time (a locked file says
which), a leftover of a killed keeper is stopped before anything new starts on its folder, and no other process is
ever touched: a process is ours when its own working folder or command line says so, not because a file names its pid.
"""

from shared.embedded.kafka import EmbeddedKafka
from shared.embedded.postgres import EmbeddedPostgres
from shared.embedded.processes import EmbeddedError

__all__ = ["EmbeddedError", "EmbeddedKafka", "EmbeddedPostgres"]
