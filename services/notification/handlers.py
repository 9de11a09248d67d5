"""What notification is told: cases, restitutions, patients. One call each."""

from functools import partial

from faststream.kafka import KafkaBroker

from services.notification import usecases
from services.notification.usecases import Desk
from shared.contracts.cases import CASES
from shared.contracts.patients import PATIENTS
from shared.contracts.restitutions import RESTITUTIONS, RestitutionOffered, RestitutionSettled
from shared.messaging import Batch, listen


def subscribe(broker: KafkaBroker, desk: Desk) -> None:
    """Register notification's subscribers."""

    @listen(broker, desk.engine, PATIENTS)
    async def on_patient(batch: Batch) -> None:
        await desk.engine.take(batch, partial(usecases.take_patients, desk))

    @listen(broker, desk.engine, CASES)
    async def on_case(batch: Batch) -> None:
        await desk.engine.take(batch, partial(usecases.take_cases, desk))

    @listen(broker, desk.engine, RESTITUTIONS, only=(RestitutionOffered, RestitutionSettled))
    async def on_restitution(batch: Batch) -> None:
        await desk.engine.take(batch, partial(usecases.take_restitutions, desk))
