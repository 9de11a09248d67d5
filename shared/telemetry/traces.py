"""Traces: one request or one event from door to door, by W3C `traceparent`.

The context is attached by hand where it enters (an HTTP header, a Kafka header, a timer's row) and written where it leaves; FastStream's
own middleware would overwrite the header. Two modes. Off (nothing asked for): no span is ever made, a request's ids are minted once and
flow into logs, outbox, timers and headers all the same. On (an `OTEL_…` variable asks for it): each stretch of the way is a span below
the one before. Invariant: attributes are ids and names, never what people wrote, and an exception is not recorded with its words.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

SERVER, CLIENT, PRODUCER, CONSUMER = SpanKind.SERVER, SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER
_PROPAGATOR = TraceContextTextMapPropagator()
_IDS = RandomIdGenerator()
Attribute = str | int | float | bool

_provider: TracerProvider | None = None
_tracer: Tracer | None = None


class TracesMisconfigured(Exception):
    """The environment asks for an exporter that is not installed."""


class Traced(Protocol):
    """What has a trace of its own: a fact, a due timer, an arrival, a row."""

    @property
    def traceparent(self) -> str | None: ...


def configure(name: str, environ: Mapping[str, str]) -> None:
    """Make spans and export them if `OTEL_TRACES_EXPORTER` (otlp, console) or `OTEL_EXPORTER_OTLP_ENDPOINT` says so; else do nothing.

    Called once at the door; a second call changes nothing. Raises TracesMisconfigured where the exporter's package is missing.
    """
    if _provider is not None:
        return
    exporter = exporter_of(environ)
    if exporter is not None:
        switch_on(environ.get("OTEL_SERVICE_NAME", name), BatchSpanProcessor(exporter))


def switch_on(name: str, processor: SpanProcessor) -> None:
    """From now on spans are made and handed to `processor`; `OTEL_TRACES_SAMPLER` thins them out."""
    global _provider, _tracer
    _provider = TracerProvider(resource=Resource.create({"service.name": name}))
    _provider.add_span_processor(processor)
    _tracer = _provider.get_tracer("amends")


def switch_off() -> None:
    """Hand out what is finished and make no further spans."""
    global _provider, _tracer
    if _provider is not None:
        _provider.shutdown()
    _provider = _tracer = None


def is_on() -> bool:
    """Whether spans are made at all; what costs something per event asks this first."""
    return _tracer is not None


def exporter_of(environ: Mapping[str, str]) -> SpanExporter | None:
    """The exporter that is asked for, None for none. Raises TracesMisconfigured, whose message says what to do."""
    wanted = environ.get("OTEL_TRACES_EXPORTER") or ("otlp" if environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") else "none")
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or wanted == "none":
        return None
    if wanted == "console":
        return ConsoleSpanExporter()
    if wanted != "otlp":
        raise TracesMisconfigured(f"OTEL_TRACES_EXPORTER is {wanted[:40]!r}; it may be otlp, console or none.")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # type: ignore[import-not-found,unused-ignore]
            OTLPSpanExporter,
        )
    except ImportError as error:
        raise TracesMisconfigured(
            "Traces are to be exported, but opentelemetry-exporter-otlp-proto-http is not installed;"
            " install it beside Amends, or unset OTEL_EXPORTER_OTLP_ENDPOINT."
        ) from error
    exporter: SpanExporter = OTLPSpanExporter()
    return exporter


def current_traceparent() -> str | None:
    """The `traceparent` of the current span, to be written into a header; None outside of any trace."""
    return _text(trace.get_current_span())


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
    token = attach(_context(traceparent))
    try:
        yield
    finally:
        detach(token)


@contextmanager
def detached() -> Iterator[None]:
    """Within, there is no trace: work that a request happens to start for others too is not that request's."""
    token = attach(Context())
    try:
        yield
    finally:
        detach(token)


@contextmanager
def span(name: str, kind: SpanKind = SpanKind.INTERNAL, **attributes: Attribute) -> Iterator[Span]:
    """A span around a piece of work, below the current one. Off, it stands for the current one, and a `SERVER` mints a trace's first."""
    if _tracer is not None:
        with _tracer.start_as_current_span(
            name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as current:
            yield current
        return
    current = trace.get_current_span()
    if kind is not SERVER or current.get_span_context().is_valid:
        yield current
        return
    token = attach(trace.set_span_in_context(minted := _minted()))
    try:
        yield minted
    finally:
        detach(token)


class Leg:
    """A stretch of one event's way that is not a block of code: it starts here, ends with `end`. Nothing while traces are off."""

    __slots__ = ("_span", "traceparent")
    traceparent: str | None
    _span: Span | None

    def __init__(
        self, name: str, traceparent: str | None, kind: SpanKind, attributes: Mapping[str, Attribute], *, since: datetime | None = None
    ) -> None:
        """Below `traceparent`, from `since` (now where None); the leg's own `traceparent` is what goes on from it."""
        self.traceparent, self._span = traceparent, None
        if _tracer is None or traceparent is None:
            return
        started = None if since is None else int(since.timestamp() * 1_000_000_000)
        self._span = _tracer.start_span(name, _context(traceparent), kind, attributes, start_time=started)
        self.traceparent = _text(self._span)

    def end(self, *_: Any) -> None:
        """Arrived; calling it twice does no harm."""
        if self._span is not None and self._span.is_recording():
            self._span.end()


def taken_up(given: str | None) -> str:
    """The `traceparent` of a foreign sender as it is carried on; a new trace's first where there is none that can be read."""
    known = trace.get_current_span(_context(given)) if given else _minted()
    return _text(known) or _text(_minted()) or ""


def _minted() -> Span:
    # Sampled, so that a process that exports goes on with it; this one makes no span of it.
    context = SpanContext(_IDS.generate_trace_id(), _IDS.generate_span_id(), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return NonRecordingSpan(context)


def _context(traceparent: str) -> Context:
    return _PROPAGATOR.extract({"traceparent": traceparent}, Context())


def _text(span: Span) -> str | None:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}" if context.is_valid else None
