"""Measurements run on the loop that the product runs on, and end with one summary of all their figures."""

from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping

import pytest
import uvloop

from tests.bench.figures import summary


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Callable[[], AbstractEventLoop]]:
    """Every measurement here."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The summary, last of all."""
    if lines := summary():
        terminalreporter.write_sep("=", "figures")
        for line in lines:
            terminalreporter.write_line(line)
