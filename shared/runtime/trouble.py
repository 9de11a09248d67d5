"""What stands in the way of a start, as one sentence that names the way out.

Called by the doors that start something: the embedded stack, `amends serve`, `amends migrate`. A fault that people can do nothing about is
a bug of ours and stays what it is.
"""

from typing import Final

from aiokafka.errors import KafkaError

from shared.db import DATABASE_DOWN, REFUSED, NewerSchema, OlderSchema
from shared.messaging.broker import BrokerLostItsMemory
from shared.messaging.counter import CounterBehind
from shared.runtime.refill import CannotRefill
from shared.web.app import PortTaken

WAY_OUT: Final = "check AMENDS_POSTGRES__DSN and AMENDS_KAFKA__BOOTSTRAP_SERVERS"
AWAY: Final = (*DATABASE_DOWN, KafkaError)


def sentence_of(error: BaseException) -> str | None:
    """The sentence, or None for a bug of ours."""
    if isinstance(error, NewerSchema | OlderSchema | PortTaken | BrokerLostItsMemory | CannotRefill | CounterBehind):
        said = str(error)
        return f"{said[:1].upper()}{said[1:]}."
    if isinstance(error, REFUSED):
        return f"PostgreSQL refuses us ({error}); check AMENDS_POSTGRES__DSN and the services' own DSNs."
    if isinstance(error, AWAY):
        return f"A server does not answer ({str(error) or type(error).__name__}); {WAY_OUT}."
    return None
