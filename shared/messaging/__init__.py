"""The engine: one batch, one transaction. One copy of it for all services.

The path of an event: `broker.listen` (FastStream) → `Engine.take` (consumer) → inbox → the use case → outbox → commit → relay → Kafka.
"""

from shared.messaging.broker import listen, make_broker
from shared.messaging.consumer import Batch, Engine
from shared.messaging.records import Record
from shared.messaging.transaction import Transaction

__all__ = ["Batch", "Engine", "Record", "Transaction", "listen", "make_broker"]
