"""One trace from the store's request to the text in the provider's hands.

Goal: whoever has a trace id sees the whole way of an event, across transactions, the broker and timers. Method: spans are collected in
memory; the request brings a trace of its own, as an integration's would.
"""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.telemetry import traces
from tests.support.builders import ANA, LEE, Patient, three_trips
from tests.support.stack import BATCH, Amends

pytestmark = pytest.mark.e2e

TRACE = "0af7651916cd43dd8448eb211c80319c"
LATER = "7c6f1d2a9b3e4f508172635445362718"
OTHER = "4bf92f3577b34da6a3ce929d0e0e4736"
STORY = {"verbatim": "The left side slides down when I read.", "wished_outcome": "Glasses that stay on.", "read_back_confirmed": True}


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    traces.switch_on("amends", SimpleSpanProcessor(exporter))
    yield exporter
    traces.switch_off()


async def test_the_third_trip_is_one_trace_from_the_request_to_the_text(amends: Amends, spans: InMemorySpanExporter) -> None:
    tara = Patient("Tara Example")
    *earlier, third = three_trips(tara, "order-tara")
    await amends.send(*earlier)
    spans.clear()
    given = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "content-type": BATCH}
    answer = await amends.http.post("/v1/events", json=[third], headers=given)
    assert answer.status_code == 202, answer.text
    await amends.settle()
    case = await amends.case_of(tara.ref)

    ours = of_trace(spans, TRACE)
    names = [span.name for span in ours]
    for name in (
        "POST /v1/events",
        "intake relays amends.incident.reported",
        "escalation takes amends.incident.reported",
        "escalation relays amends.case.opened",
        "restitution takes amends.case.opened",
        "restitution relays amends.restitution.proposed",
        "notification takes amends.case.opened",
        "sms send",
        "notification relays amends.notice.sent",
        "console takes amends.notice.sent",
    ):
        assert name in names, names
    text = next(span for span in ours if span.name == "sms send")
    way = [span.name for span in upwards(text, ours)]
    assert way == [
        "sms send",
        "notification takes amends.case.opened",
        "escalation relays amends.case.opened",
        "escalation takes amends.incident.reported",
        "intake relays amends.incident.reported",
        "POST /v1/events",
    ]
    # What the provider says of it later belongs to the same trace, though its request brings none.
    assert "notification relays amends.notice.delivered" in names
    # Ids and names only.
    shown = "".join(f"{span.name}{dict(span.attributes or {})}{span.events}" for span in ours)
    assert tara.name not in shown and tara.phone not in shown
    assert case["id"]


async def test_the_payout_belongs_to_the_request_that_confirmed_the_story(amends: Amends, spans: InMemorySpanExporter) -> None:
    toni = Patient("Toni Example")
    await amends.send(*three_trips(toni, "order-toni"))
    case = await amends.case_of(toni.ref)
    await amends.do(f"/v1/cases/{case['id']}/acknowledge", by=LEE)
    spans.clear()
    given = {"traceparent": f"00-{OTHER}-b7ad6b7169203331-01"}
    told = await amends.people[ANA].post(f"/v1/cases/{case['id']}/story", json=STORY, headers=given)
    assert told.status_code == 200, told.text
    await amends.settle()
    names = [span.name for span in of_trace(spans, OTHER)]
    for name in ("restitution wakes for payout", "payout ask", "restitution relays amends.restitution.settled", "sms send"):
        assert name in names, names


async def test_what_a_deadline_does_later_belongs_to_the_request_that_led_to_it(amends: Amends, spans: InMemorySpanExporter) -> None:
    now = await amends.open_hours(hours=3)
    theo = Patient("Theo Example")
    given = {"traceparent": f"00-{LATER}-b7ad6b7169203331-01", "content-type": BATCH}
    answer = await amends.http.post("/v1/events", json=list(three_trips(theo, "order-theo", now=now)), headers=given)
    assert answer.status_code == 202, answer.text
    await amends.settle()
    spans.clear()
    await amends.advance(minutes=60)
    names = [span.name for span in of_trace(spans, LATER)]
    # A page that tells of several cases leaves in the trace of one of them, so the text itself may be another's.
    for name in (
        "escalation wakes for target",
        "escalation relays amends.case.target_breached",
        "notification relays amends.notice.queued",
    ):
        assert name in names, names


async def test_requests_that_share_a_transaction_keep_their_traces_apart(amends: Amends, spans: InMemorySpanExporter) -> None:
    """Goal: the group commit mixes no traces. Method: one batch of three patients in one request, one in another, at once."""
    import asyncio

    patients = [Patient(f"Tilo Example {n}") for n in range(6)]
    events = [three_trips(p, f"order-tilo-{n}") for n, p in enumerate(patients)]
    traced = [f"{n + 1:032x}" for n in range(len(patients))]
    await asyncio.gather(
        *(
            amends.http.post("/v1/events", json=some, headers={"traceparent": f"00-{name}-b7ad6b7169203331-01", "content-type": BATCH})
            for name, some in zip(traced, events, strict=True)
        )
    )
    await amends.settle()
    for name in traced:
        names = [span.name for span in of_trace(spans, name)]
        assert names.count("escalation takes amends.incident.reported") == 1, (name, names)
        assert names.count("intake relays amends.patient.changed") == 1, (name, names)


def of_trace(spans: InMemorySpanExporter, trace_id: str) -> list[ReadableSpan]:
    """The spans of a trace, in the order they ended."""
    return [span for span in spans.get_finished_spans() if f"{span.context.trace_id:032x}" == trace_id]


def upwards(span: ReadableSpan, spans: list[ReadableSpan]) -> Iterator[ReadableSpan]:
    """A span and those above it."""
    above = {found.context.span_id: found for found in spans}
    at: ReadableSpan | None = span
    while at is not None:
        yield at
        at = above.get(at.parent.span_id) if at.parent else None
