"""The queue: one row per case, the case as its newest event tells it, and what is due first."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from shared.contracts.cases import CaseEvent, CaseOpened, Target

OWED: Final = ("running", "paused", "breached")
# Where nothing is due: behind everything that is.
NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
_FIRST: Final = {"acknowledge": 0, "contact": 1}


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A case as the queue keeps it. `urgent_at` is what it is sorted by: the due time shown first, `NEVER` where nothing is due."""

    case_id: UUID
    version: int
    reference: str
    status: str
    level: int
    severity: int
    catalyst: str
    location_id: str
    region: str
    patient_ref: str | None
    root_order_id: str | None
    owner_staff_id: str | None
    incidents: int
    opened_at: datetime
    changed_at: datetime
    story_confirmed: bool
    policy: str
    next_milestone: str | None
    next_due_at: datetime | None
    urgent_at: datetime
    breached: int
    targets: list[dict[str, Any]]
    contact_by: datetime | None = None
    promises: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_live(self) -> bool:
        """Somebody has to do something."""
        return self.status in ("open", "acknowledged")


def shown_first(targets: Sequence[Target]) -> Target | None:
    """The target to show: who takes it, then when a person is in touch (even where a later kind is nearer), then the nearest."""
    owed = [target for target in targets if target.state in OWED]
    return min(owed, key=lambda t: (_FIRST.get(t.milestone, 2), t.due_at or NEVER), default=None)


def row_of(event: CaseEvent) -> QueueRow:
    """The row after an event: each carries the whole case. `contact_by` is told by the opening alone and kept by the store."""
    first = shown_first(event.targets) if event.status in ("open", "acknowledged") else None
    due = first.due_at if first else None
    return QueueRow(
        case_id=event.case_id,
        version=event.version,
        reference=event.reference,
        status=event.status,
        level=event.level,
        severity=event.severity,
        catalyst=event.catalyst,
        location_id=event.location_id,
        region=event.region,
        patient_ref=event.patient_ref,
        root_order_id=event.root_order_id,
        owner_staff_id=event.owner_staff_id,
        incidents=event.incidents,
        opened_at=event.opened_at,
        changed_at=event.at,
        story_confirmed=event.story_confirmed,
        policy=f"{event.policy.name} {event.policy.version}",
        next_milestone=first.milestone if first else None,
        next_due_at=due,
        urgent_at=due or NEVER,
        breached=sum((target.state in ("breached", "met_late")) + target.missed for target in event.targets),
        targets=[target.model_dump(mode="json") for target in event.targets],
        contact_by=event.next_contact_by if isinstance(event, CaseOpened) else None,
        promises=[promise.model_dump(mode="json") for promise in event.promises],
    )


def newest(events: Sequence[CaseEvent]) -> list[QueueRow]:
    """One row per case of a batch, from the highest version; the promise of an opening in the same batch is kept."""
    rows: dict[UUID, QueueRow] = {}
    promised: dict[UUID, datetime] = {}
    for event in events:
        if isinstance(event, CaseOpened):
            promised[event.case_id] = event.next_contact_by
        if event.case_id not in rows or rows[event.case_id].version < event.version:
            rows[event.case_id] = row_of(event)
    return [_with_promise(row, promised.get(row.case_id)) for _, row in sorted(rows.items())]


def _with_promise(row: QueueRow, contact_by: datetime | None) -> QueueRow:
    return replace(row, contact_by=contact_by) if contact_by not in (None, row.contact_by) else row
