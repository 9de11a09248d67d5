"""What an operator sees at `/metrics` of a running Amends."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.builders import Patient, three_trips
from tests.support.eventually import eventually
from tests.support.stack import Amends

pytestmark = pytest.mark.e2e

Shown = dict[str, list[tuple[dict[str, str], float]]]


async def shown(amends: Amends) -> Shown:
    text = (await amends.http.get("/metrics")).text
    return {
        sample.name: [(s.labels, s.value) for s in family.samples if s.name == sample.name]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(found: Shown, name: str, **labels: str) -> float:
    return sum(value for given, value in found.get(name, ()) if labels.items() <= given.items())


async def test_the_work_shows_as_it_stands(amends: Amends) -> None:
    before = await shown(amends)
    mona = Patient("Mona Example")
    await amends.send(*three_trips(mona, "order-mona"))
    case = await amends.case_of(mona.ref)

    async def seen() -> Shown | None:
        now = await shown(amends)
        return now if total(now, "amends_restitutions_now", status="approved") else None

    now = await eventually(seen, within_seconds=30)
    assert now is not None
    assert total(now, "amends_cases_open", severity=str(case["severity"])) >= 1
    assert total(now, "amends_events_said_total", type="amends.case.opened") > total(
        before, "amends_events_said_total", type="amends.case.opened"
    )
    assert total(now, "amends_sends_total", gateway="sms", outcome="accepted") > total(
        before, "amends_sends_total", gateway="sms", outcome="accepted"
    )
    assert total(now, "amends_http_requests_total", route="/v1/events", status="202") >= 1
    assert total(now, "amends_database_up") == 6
    assert total(now, "amends_pool_connections_max") > 6
    assert total(now, "amends_mileage_days_left") > 30
    assert total(now, "amends_subscribers_dead") == 0
    assert total(now, "amends_relay_lag_seconds") < 60
    text = (await amends.http.get("/metrics")).text
    for word in (mona.ref, mona.phone, mona.name, case["id"], case["reference"], case["location_id"]):
        assert word not in text
