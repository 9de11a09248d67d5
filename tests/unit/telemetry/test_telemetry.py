"""What telemetry lets out, and what it keeps in."""

import io
import json
import logging
import re
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
import structlog
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import Counter

from shared.telemetry import logs, metrics, traces

pytestmark = pytest.mark.unit


@pytest.fixture
def lines() -> Iterator[Any]:
    """Reads the JSON lines written since; puts the root logger back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    logs.configure(json=True, stream=out)
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)


def test_only_listed_fields_get_out_and_the_rest_is_counted(lines: Any) -> None:
    before = metrics.LOG_FIELDS_DROPPED._value.get()
    logs.get("relay").info("relay started", service="intake", epoch=3, patient_name="Ana Example", phone="+12125550143")
    (line,) = lines()
    assert {key: line[key] for key in ("event", "service", "epoch", "component", "level", "dropped")} == {
        "event": "relay started", "service": "intake", "epoch": 3, "component": "relay", "level": "info", "dropped": 2,
    }  # fmt: skip
    assert "Ana" not in json.dumps(line) and "2125550143" not in json.dumps(line)
    assert metrics.LOG_FIELDS_DROPPED._value.get() == before + 2


def test_an_exception_is_its_type_and_places_without_its_words(lines: Any) -> None:
    try:
        raise ValueError("duplicate key (phone)=(+12125550143)")
    except ValueError as error:
        logs.get("x").error("it failed", exc_info=error)
        logging.getLogger("asyncpg").exception("it failed there, too")
    for line in lines():
        assert line["error"] == "ValueError"
        assert line["trace"][-1].endswith("test_an_exception_is_its_type_and_places_without_its_words")
        assert "2125550143" not in json.dumps(line)


CANARY = ("Paula Canary", "+12125550143", "paula.canary@example.org", "my glasses hurt, says Canary")


@pytest.mark.parametrize("word", CANARY)
def test_what_a_person_wrote_gets_out_by_no_way(word: str, lines: Any) -> None:
    """Goal: nothing a patient gave us is ever in a log. Method: a canary on each way into a line, ours and a library's."""
    ours, library = logs.get("door", reason=word), logging.getLogger("some.library")
    ours.info("it came", reason=word, error=word, code=[word], state={"name": word}, name=word, detail=word, topic=word, token=(word,))
    ours.info("it came with a file", file=f"x/{word}", due_at=word)
    ours.bind(kind=word).warning("bound before")
    structlog.contextvars.bind_contextvars(patient=word, case_id=word)
    ours.warning("bound to the context")
    structlog.contextvars.clear_contextvars()
    library.warning("cannot reach %s", word)
    library.warning(f"cannot reach {word}")
    library.error("Task exception was never retrieved\nfuture: <Task exception=ValueError('%s')>", word, extra={"reason": word})
    try:
        try:
            raise KeyError(word)
        except KeyError as inner:
            raise asyncpg.UniqueViolationError(f"Key (phone)=({word}) already exists.") from inner
    except asyncpg.UniqueViolationError as error:
        error.add_note(word)
        ours.exception("it failed", reason=str(error))
        ours.error("it failed", exc_info=error, error=str(error), stack_info=True)
        library.exception("it failed there: %s", error)
        logging.getLogger("asyncio").error(f"it failed there: {error!r}", exc_info=(type(error), error, error.__traceback__))
    written = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines())
    assert len(lines()) == 11
    for part in (word, *word.split()):
        if part not in ("my", "says", "glasses", "hurt,"):
            assert part not in written, written


def test_a_library_is_quoted_as_its_code_has_it(lines: Any) -> None:
    logging.getLogger("some.library").warning("cannot text %s or %s", "+12125550143", "Paula Canary")
    logging.getLogger("some.library").warning("cannot text " + "Paula Canary")
    first, second = lines()
    assert first["event"] == "cannot text %s or %s"
    assert second["event"] == "said by a library"
    assert second["file"].startswith("telemetry/test_telemetry.py:")


def test_words_and_numbers_get_out_whole(lines: Any) -> None:
    name = uuid.UUID("019add2e-7c00-7000-8000-000000000001")
    given = {"event_id": name, "topic": "amends.cases.v1", "offset": 12, "status": "open", "code": None, "late_seconds": 0.25}
    logs.get("x").info("said", **given, key_id="0af7651916cd43dd8448eb211c80319c", due_at=datetime(2026, 11, 23, 17, tzinfo=UTC))
    (line,) = lines()
    shown = given | {"event_id": str(name), "key_id": "0af7651916cd43dd8448eb211c80319c", "due_at": "2026-11-23T17:00:00+00:00"}
    assert {key: line[key] for key in shown} == shown and "dropped" not in line


def test_every_metric_is_in_the_catalogue_and_shown() -> None:
    members = [value for value in vars(metrics).values() if isinstance(value, Counter)]
    assert members
    names = [meaning.name for meaning in metrics.CATALOGUE]
    assert len(set(names)) == len(names)
    assert all(meaning.help.endswith(".") for meaning in metrics.CATALOGUE)
    text, table = metrics.exposition().decode(), metrics.catalogue_markdown()
    for name in names:
        assert f"# HELP {name} " in text
        assert f"`{name}`" in table


def test_a_trace_is_carried_from_door_to_door() -> None:
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert traces.current_traceparent() is None
    with traces.attached(given):
        assert traces.current_traceparent() == given
        assert traces.current_ids() == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    for nothing in (None, "", "rubbish", "00-zz-zz-01"):
        with traces.attached(nothing):
            assert traces.current_traceparent() is None


def test_nothing_is_exported_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert traces.exporter_of({}) is None
    assert traces.exporter_of({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example:4318"}) is None
    assert traces.exporter_of({"OTEL_TRACES_EXPORTER": "console"}) is not None
    with pytest.raises(traces.TracesMisconfigured, match="may be otlp, console or none"):
        traces.exporter_of({"OTEL_TRACES_EXPORTER": "jaeger"})
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(traces.TracesMisconfigured, match="not installed; install it"):
        traces.exporter_of({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example:4318"})


def test_off_no_span_is_made_and_a_request_has_its_ids_all_the_same() -> None:
    assert not traces.is_on()
    with traces.span("GET /x", traces.SERVER) as minted:
        assert not minted.is_recording()
        given = traces.current_traceparent()
        assert given is not None and given.endswith("-01")
        with traces.span("below") as below:
            assert below is minted
        with traces.detached():
            assert traces.current_traceparent() is None
    leg = traces.Leg("relay", given, traces.PRODUCER, {})
    assert leg.traceparent == given
    leg.end()


def test_on_each_stretch_of_the_way_is_below_the_one_before() -> None:
    exporter = InMemorySpanExporter()
    traces.switch_on("amends", SimpleSpanProcessor(exporter))
    try:
        with traces.span("GET /x", traces.SERVER):
            given = traces.current_traceparent()
        leg = traces.Leg("relay", given, traces.PRODUCER, {"amends.topic": "t"}, since=datetime(2026, 1, 1, tzinfo=UTC))
        leg.end()
        leg.end()
        assert traces.Leg("no trace", None, traces.CONSUMER, {}).traceparent is None
    finally:
        traces.switch_off()
    request, relay = exporter.get_finished_spans()
    assert relay.parent is not None and relay.parent.span_id == request.context.span_id
    assert relay.start_time == int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1e9)
    assert leg.traceparent is not None and leg.traceparent.startswith(f"00-{request.context.trace_id:032x}-{relay.context.span_id:016x}-")


@pytest.mark.parametrize("given", [None, "", "rubbish", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "x" * 10_000])
def test_a_foreign_trace_that_cannot_be_read_is_a_new_one(given: str | None) -> None:
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", traces.taken_up(given))
    known = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    assert traces.taken_up(known) == known
