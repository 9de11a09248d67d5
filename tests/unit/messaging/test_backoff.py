"""How long the consumer waits before it asks again for what is away."""

import asyncio
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from shared.contracts.incidents import INCIDENTS
from shared.kernel.clock import MachineClock
from shared.kernel.errors import Transient
from shared.messaging import Batch, Engine, Record, Transaction

pytestmark = pytest.mark.unit


class Enough(Exception):
    """The test has seen what it wanted."""


class Away:
    """A pool whose database does not answer."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def acquire(self, **how: Any) -> NoReturn:
        raise self.error


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(), Transient("the vault is away", retry_in=3600)], ids=["database", "its own wish"]
)
async def test_an_outage_of_any_length_is_over_two_seconds_after_its_end(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: the wait for what is away grows, and stays within two seconds however long it lasts and whatever it asks for itself. Method:
    twenty tries, whose waits are written down instead of waited for."""
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 20:
            raise Enough

    async def nothing(tx: Transaction, facts: object) -> None:
        pytest.fail("there is no transaction to work in")

    monkeypatch.setattr("shared.messaging.consumer.asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": wait}))
    pool: Any = Away(error)
    engine = Engine("escalation", pool, MachineClock())
    with pytest.raises(Enough):
        await engine.take(Batch([Record(INCIDENTS, 0, 0, b"P-1", b"{}", ())]), nothing)
    assert 0 < waits[0] <= waits[-1] == max(waits) == 2.0
