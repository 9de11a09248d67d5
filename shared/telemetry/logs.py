"""Logs: one JSON object a line (or coloured lines on a terminal), with an allow-list of fields.

`get(name)` gives a logger; `configure` is called once at the door. Invariants, each for the reason that databases, parsers and libraries
quote what they were given: a field that is not in `FIELDS` never reaches the output; a field's value is one word (an id, a name of the
code, a number), anything longer is dropped; an exception is its type and its places in the code, without its message; the sentence is one
that stands in the code: ours by a contract test, a library's without the arguments it was formatted with. What is dropped is counted.
"""

import linecache
import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from datetime import datetime
from functools import lru_cache
from pathlib import PurePath
from types import TracebackType
from typing import Any, TextIO
from uuid import UUID

import structlog
from structlog.typing import Processor, WrappedLogger

from shared.telemetry.metrics import LOG_FIELDS_DROPPED
from shared.telemetry.traces import current_ids

# Ids, names of things in the code, counts and durations. No contact data, no words of people, no bodies.
FIELDS = frozenset(
    {
        "event", "level", "timestamp", "logger", "dropped", "error", "trace", "trace_id", "span_id",
        "service", "topic", "partition", "offset", "key_hash", "event_id", "event_type", "type", "source_kind", "reason", "code", "kind",
        "case_id", "reference", "incident_id", "restitution_id", "notice_id", "location_id", "region", "staff_id", "key_id", "role",
        "name", "generation", "version", "epoch", "position", "seq", "token", "attempt", "limit", "size", "count", "rate", "signal",
        "method", "route", "status", "problem_id", "path_template", "host", "port", "pid", "exit_code", "state", "action", "outcome",
        "seconds", "latency_ms", "age_seconds", "late_seconds", "retry_in", "due_at", "since", "until",
        "task", "gateway", "component", "file", "cause",
    }
)  # fmt: skip
_PLACES = 12
_SENTENCE_LIMIT = 200
_WORD = re.compile(r"[\w.:/<>,=\[\]{}%*-]{0,200}")
# A phone number or an e-mail address: not even as a word.
_CONTACT = re.compile(r"\+?\d{8,15}\b|[\w.+-]+@[\w-]+\.[\w.-]+")
_ID = re.compile(r"[0-9a-f-]{16,55}")
_DROPPED = "…"

Line = MutableMapping[str, Any]


def configure(*, level: str = "INFO", json: bool | None = None, stream: TextIO | None = None) -> None:
    """Route structlog and the standard library's loggers to `stream` (stderr by default) through the allow-list.

    `json=None` chooses lines for people on a terminal and JSON elsewhere. May be called again (tests do).
    """
    out = stream or sys.stderr
    as_json = not out.isatty() if json is None else json
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace,
        _flatten_exception,
        allow_listed,
    ]
    foreign: list[Processor] = [structlog.stdlib.add_logger_name, _as_in_the_code, *shared]
    last: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False) if as_json else structlog.dev.ConsoleRenderer(colors=out.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=foreign,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Chatty at INFO, and what they say there is told by our own metrics.
    for name in ("uvicorn", "uvicorn.error", "aiokafka", "httpx", "httpcore", "faststream"):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True
        logger.setLevel(max(logging.WARNING, logging.getLevelName(level) if isinstance(logging.getLevelName(level), int) else 0))


def get(name: str, **fields: Any) -> structlog.stdlib.BoundLogger:
    """A logger whose lines carry `component=name` and `fields`; `log.info("relay started", service="intake", epoch=3)`."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(f"amends.{name}", component=name, **fields)
    return logger


def allow_listed(_logger: WrappedLogger, _method: str, line: Line) -> Line:
    """Keep the fields of `FIELDS` whose values are words and numbers; drop and count the rest."""
    kept: Line = {}
    dropped = 0
    for field, value in line.items():
        if field in ("_record", "_from_structlog"):
            kept[field] = value
        elif field == "event":
            kept[field] = _CONTACT.sub(_DROPPED, str(value))[:_SENTENCE_LIMIT]
        elif field == "trace":
            kept[field] = [str(place)[:_SENTENCE_LIMIT] for place in value][-_PLACES:]
        elif field not in FIELDS:
            dropped += 1
        elif (word := _word(value)) is _DROPPED:
            kept[field], dropped = _DROPPED, dropped + 1
        else:
            kept[field] = word
    if dropped:
        LOG_FIELDS_DROPPED.inc(dropped)
        kept["dropped"] = dropped
    return kept


def _word(value: Any) -> Any:
    """The value where it is a number, an instant or one word; `_DROPPED` where it may hold what somebody wrote."""
    if isinstance(value, bool | int | float | None):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    text = value if isinstance(value, str) else str(value) if isinstance(value, UUID | PurePath) else _DROPPED
    is_id = isinstance(value, UUID) or _ID.fullmatch(text) is not None
    return text if is_id or (_WORD.fullmatch(text) and not _CONTACT.search(text)) else _DROPPED


def _as_in_the_code(_logger: WrappedLogger, _method: str, line: Line) -> Line:
    """A library's line: its first sentence as its code has it, else where in the code it was said."""
    record: logging.LogRecord = line["_record"]
    said = str(record.msg).partition("\n")[0]
    line["event"] = said if said and said in _source(record.pathname) else "said by a library"
    line["file"] = f"{'/'.join(record.pathname.split('/')[-2:])}:{record.lineno}"
    return line


@lru_cache(maxsize=64)
def _source(path: str) -> str:
    return "".join(linecache.getlines(path))


def _add_trace(_logger: WrappedLogger, _method: str, line: Line) -> Line:
    ids = current_ids()
    if ids is not None:
        line["trace_id"], line["span_id"] = ids
    return line


def _flatten_exception(_logger: WrappedLogger, _method: str, line: Line) -> Line:
    """`exc_info` as the exception's type and the places it passed, innermost last."""
    given = line.pop("exc_info", None)
    line.pop("exception", None)
    line.pop("stack_info", None)
    if not given:
        return line
    if isinstance(given, BaseException):
        error: BaseException | None = given
    else:
        error = given[1] if isinstance(given, tuple) else sys.exc_info()[1]
    if error is not None:
        line["error"] = type(error).__qualname__
        line["trace"] = places(error.__traceback__)
        if error.__cause__ is not None:
            line["cause"] = type(error.__cause__).__qualname__
    return line


def places(trace: TracebackType | None) -> list[str]:
    """The last places of a traceback as `file.py:12 function`, without the text of the lines."""
    frames = traceback.extract_tb(trace)[-_PLACES:]
    return [f"{'/'.join(frame.filename.split('/')[-3:])}:{frame.lineno} {frame.name}" for frame in frames]
