"""Traces: one request or one event from door to door, by W3C `traceparent`.

The context is attached by hand where it enters (an HTTP header, a Kafka header) and written where it leaves; FastStream's own middleware
would overwrite the header. Nothing is exported unless an `OTEL_…` variable asks for it; ids flow into logs and headers all the same.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()
Attribute = str | int | float | bool


class TracesMisconfigured(Exception):
    """The environment asks for an exporter that is not installed."""


def configure(name: str, environ: Mapping[str, str]) -> None:
    """Give spans their ids, and export them if `OTEL_TRACES_EXPORTER` (otlp, console) or `OTEL_EXPORTER_OTLP_ENDPOINT` says so.

    Called once at the door; a second call changes nothing. Raises TracesMisconfigured where the exporter's package is missing.
    """
    if isinstance(trace.get_tracer_provider(), TracerProvider):
        return
    provider = TracerProvider(resource=Resource.create({"service.name": environ.get("OTEL_SERVICE_NAME", name)}))
    exporter = _exporter(environ)
    if exporter is not None:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


def _exporter(environ: Mapping[str, str]) -> SpanExporter | None:
    wanted = environ.get("OTEL_TRACES_EXPORTER") or ("otlp" if environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") else "none")
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or wanted == "none":
        return None
    if wanted == "console":
        return ConsoleSpanExporter()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # type: ignore[import-not-found,unused-ignore]
            OTLPSpanExporter,
        )
    except ImportError as error:
        raise TracesMisconfigured("traces are to be exported, but opentelemetry-exporter-otlp-proto-http is not installed") from error
    exporter: SpanExporter = OTLPSpanExporter()
    return exporter


def current_traceparent() -> str | None:
    """The `traceparent` of the current span, to be written into a header; None outside of any trace."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent")


def current_ids() -> tuple[str, str] | None:
    """(trace id, span id) in hex for log lines, or None."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


@contextmanager
def attached(traceparent: str | None) -> Iterator[None]:
    """Within, the given trace is the current one. None, or a value that is no traceparent, leaves things as they are."""
    if not traceparent:
        yield
        return
    token = attach(_PROPAGATOR.extract({"traceparent": traceparent}))
    try:
        yield
    finally:
        detach(token)


@contextmanager
def span(name: str, *, server: bool = False, **attributes: Attribute) -> Iterator[Span]:
    """A span around a piece of work, below the current one; attributes are ids and names, never what people wrote."""
    kind = SpanKind.SERVER if server else SpanKind.INTERNAL
    with trace.get_tracer("amends").start_as_current_span(
        name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as current:
        yield current
