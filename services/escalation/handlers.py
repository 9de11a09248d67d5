"""What escalation is told: incidents, patients, restitutions, notices. One call each."""

from functools import partial

from faststream.kafka import KafkaBroker

from services.escalation import usecases
from services.escalation.usecases import Desk
from shared.contracts.incidents import INCIDENTS
from shared.contracts.notices import NOTICES, NoticeDelivered, ReplyUnderstood
from shared.contracts.patients import PATIENTS
from shared.contracts.restitutions import RESTITUTIONS, RestitutionOffered
from shared.messaging import Batch, listen


def subscribe(broker: KafkaBroker, desk: Desk) -> None:
    """Register escalation's subscribers."""

    @listen(broker, desk.engine, PATIENTS)
    async def on_patient(batch: Batch) -> None:
        await desk.engine.take(batch, partial(usecases.take_patients, desk))

    @listen(broker, desk.engine, INCIDENTS)
    async def on_incident(batch: Batch) -> None:
        await desk.engine.take(batch, partial(usecases.take_incidents, desk))

    @listen(broker, desk.engine, RESTITUTIONS, only=(RestitutionOffered,))
    async def on_restitution(batch: Batch) -> None:
        await desk.engine.take(batch, partial(usecases.take_restitutions, desk))

    @listen(broker, desk.engine, NOTICES, only=(NoticeDelivered, ReplyUnderstood))
    async def on_notice(batch: Batch) -> None:
        await desk.engine.take(batch, partial(usecases.take_notices, desk))
