"""What intake is told: POS events of integrations on Kafka, cases, notices. One call each."""

from functools import partial

from faststream.kafka import KafkaBroker

from services.intake import usecases
from services.intake.usecases import Desk
from shared.contracts.cases import CASES, CaseOpened, IncidentAttached
from shared.contracts.flow import INGRESS
from shared.contracts.notices import NOTICES
from shared.messaging import Batch, listen


def subscribe(broker: KafkaBroker, desk: Desk) -> None:
    """Register intake's subscribers."""

    @listen(broker, desk.engine, INGRESS)
    async def on_ingress(batch: Batch) -> None:
        await desk.engine.take(batch, partial(usecases.take_ingress, desk), foreign=True)

    @listen(broker, desk.engine, CASES, only=(CaseOpened, IncidentAttached), is_hurried=False)
    async def on_case(batch: Batch) -> None:
        await desk.engine.take(batch, partial(usecases.take_cases, desk))

    @listen(broker, desk.engine, NOTICES, only=())
    async def on_notice(batch: Batch) -> None:
        await desk.engine.take(batch, partial(usecases.take_notices, desk))
