"""What restitution is told: cases and notices. One call each."""

from functools import partial

from faststream.kafka import KafkaBroker

from services.restitution import usecases
from services.restitution.usecases import Desk
from shared.contracts.cases import CASES
from shared.contracts.notices import NOTICES
from shared.messaging import Batch, listen


def subscribe(broker: KafkaBroker, desk: Desk) -> None:
    """Register restitution's subscribers."""

    @listen(broker, desk.engine, CASES)
    async def on_case(batch: Batch) -> None:
        await desk.engine.take(batch, partial(usecases.take_cases, desk))

    @listen(broker, desk.engine, NOTICES, only=())
    async def on_notice(batch: Batch) -> None:
        await desk.engine.take(batch, partial(usecases.take_notices, desk))
