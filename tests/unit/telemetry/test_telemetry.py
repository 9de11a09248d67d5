"""What telemetry lets out, and what it keeps in."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
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
    assert "Ana" not in json.dumps(line) and "555" not in json.dumps(line)
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


def test_contact_data_in_a_sentence_is_masked(lines: Any) -> None:
    logging.getLogger("some.library").warning("cannot text +12125550143 or ana@example.org")
    (line,) = lines()
    assert line["event"] == "cannot text … or …"


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


def test_nothing_is_exported_unless_asked_for() -> None:
    assert traces._exporter({}) is None
    assert traces._exporter({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example:4318"}) is None
    assert traces._exporter({"OTEL_TRACES_EXPORTER": "console"}) is not None
    with pytest.raises(traces.TracesMisconfigured, match="not installed"):
        traces._exporter({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example:4318"})
