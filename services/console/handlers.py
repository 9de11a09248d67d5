"""What the console is told: everything but incidents, which the cases that take them up tell of. One call each."""

from functools import partial

from faststream.kafka import KafkaBroker

from services.console import usecases
from services.console.usecases import Desk
from shared.contracts.cases import CASES
from shared.contracts.notices import NOTICES
from shared.contracts.patients import PATIENTS
from shared.contracts.restitutions import RESTITUTIONS
from shared.messaging import Batch, listen


def subscribe(broker: KafkaBroker, desk: Desk) -> None:
    """Register the console's subscribers."""

    @listen(broker, desk.engine, PATIENTS, is_hurried=False)
    async def on_patient(batch: Batch) -> None:
        await desk.engine.take(batch, partial(usecases.take_patients, desk))

    @listen(broker, desk.engine, CASES, is_hurried=False)
    async def on_case(batch: Batch) -> None:
        await desk.engine.take(batch, partial(usecases.take_cases, desk))

    @listen(broker, desk.engine, RESTITUTIONS, is_hurried=False)
    async def on_restitution(batch: Batch) -> None:
        await desk.engine.take(batch, partial(usecases.take_restitutions, desk))

    @listen(broker, desk.engine, NOTICES, is_hurried=False)
    async def on_notice(batch: Batch) -> None:
        await desk.engine.take(batch, partial(usecases.take_notices, desk))
