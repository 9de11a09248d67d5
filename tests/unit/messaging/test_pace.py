"""How a listener's next fetch is held after a batch."""

from types import SimpleNamespace

import pytest

from shared.messaging import broker


@pytest.mark.parametrize(("came", "is_hurried", "held"), [(1, True, 1), (2, True, broker.GATHER_BYTES), (1, False, broker.GATHER_BYTES)])
async def test_who_is_not_hurried_gathers_after_a_single_event_too(came: int, is_hurried: bool, held: int) -> None:
    fetcher = SimpleNamespace(_fetch_min_bytes=0, _fetch_max_wait_ms=0)
    consumer = SimpleNamespace(assignment=lambda: {"one"}, _fetcher=fetcher)
    relaxing = broker._pace(SimpleNamespace(consumer=consumer), came, 25, is_hurried=is_hurried)
    relaxing.cancel()
    assert fetcher._fetch_min_bytes == held
