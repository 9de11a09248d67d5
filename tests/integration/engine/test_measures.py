"""The gauges of the engine on a real PostgreSQL: what lies in the tables is what they say."""

from datetime import timedelta

from prometheus_client import Gauge

from shared.kernel.decision import Decision, Schedule
from shared.kernel.errors import Poison, Unready
from shared.messaging.measures import measure
from shared.telemetry import metrics
from shared.timers import Loop
from tests.integration.engine.bed import NAME, NOON, Bed, incident, raises, record


def shown(gauge: Gauge, *labels: str) -> float:
    return float(gauge.labels(NAME, *labels)._value.get())


async def test_what_is_parked_and_what_waits_is_counted(bed: Bed) -> None:
    bed.troubles = {"bad": raises(Poison("nonsense")), "early": raises(Unready("a row"))}
    await bed.take(record("P-1", "bad"), record("P-2", "early"), record("P-3", "good"))
    await measure(bed.engine)
    assert (shown(metrics.EVENTS_PARKED_NOW), shown(metrics.EVENTS_WAITING)) == (2, 1)


async def test_the_relays_lag_is_the_age_of_the_oldest_row_that_is_not_out(bed: Bed) -> None:
    """Method: rows that nobody relays, made old; then the position is put behind them."""
    await bed.as_owner("update relay_position set since = pg_current_snapshot(), upto = null")
    await measure(bed.engine)
    assert shown(metrics.RELAY_LAG_SECONDS) == 0
    await bed.say(incident("P-1", "a"), incident("P-1", "b"))
    await bed.as_owner("update outbox set created_at = created_at - interval '1 hour' where seq = (select min(seq) from outbox)")
    await measure(bed.engine)
    assert 3600 <= shown(metrics.RELAY_LAG_SECONDS) < 3700
    await bed.as_owner("update relay_position set since = pg_current_snapshot(), upto = null")
    await measure(bed.engine)
    assert shown(metrics.RELAY_LAG_SECONDS) == 0


async def test_a_transaction_that_stays_open_is_seen_from_another(bed: Bed) -> None:
    async with bed.engine.transaction() as tx:
        await tx.conn.execute("insert into effects (ce_id, key, word) values (gen_random_uuid(), 'k', 'w')")
        await measure(bed.engine)
        assert shown(metrics.OLDEST_TRANSACTION_SECONDS) > 0
        assert shown(metrics.POOL_CONNECTIONS, "busy") >= 1
    await measure(bed.engine)
    assert shown(metrics.OLDEST_TRANSACTION_SECONDS) == 0


async def test_overdue_and_parked_timers_are_told_apart(bed: Bed) -> None:
    bed.clock.jump_to(NOON + timedelta(hours=2))
    loop = Loop(bed.engine, {})
    later = bed.clock.now() + timedelta(minutes=5)
    async with bed.engine.transaction() as tx:
        timers = [Schedule("deadline", f"S-{n}", "a", 0, NOON + timedelta(hours=n)) for n in range(2)]
        tx.apply(Decision(None, (), (*timers, Schedule("deadline", "S-9", "a", 0, later), Schedule("deadline", "S-8", "a", 0, None))))
    await loop.measure()
    assert (shown(metrics.TIMERS_OVERDUE), shown(metrics.TIMERS_PARKED_NOW)) == (2, 0)
    assert 7200 <= shown(metrics.TIMERS_OVERDUE_SECONDS) < 7260
    await loop.once()
    await loop.measure()
    assert (shown(metrics.TIMERS_OVERDUE), shown(metrics.TIMERS_PARKED_NOW), shown(metrics.TIMERS_OVERDUE_SECONDS)) == (0, 2, 0)


async def test_a_timer_keeps_the_trace_of_what_set_it(bed: Bed) -> None:
    from shared.telemetry.traces import attached

    first, second = (f"00-{n:032x}-b7ad6b7169203331-01" for n in (1, 2))

    async def set_it(given: str | None, minutes: int = 0) -> str:
        with attached(given):
            async with bed.engine.transaction() as tx:
                tx.apply(Decision(None, (), (Schedule("deadline", "S", "a", 0, NOON + timedelta(minutes=minutes)),)))
        return str(await bed.pool.fetchval("select traceparent from timers"))

    assert await set_it(None) == "None"
    assert await set_it(first, 1) == first
    # Moved by what has no trace of its own, it keeps the one it had; moved by another, it is the other's.
    assert await set_it(None, 2) == first
    assert await set_it(second, 3) == second
