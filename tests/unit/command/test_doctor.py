"""The checks of `amends doctor` that need no server: what they find, how bad it is, and that each fault says what to do."""

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.command import doctor
from services.command.doctor import outside, servers
from services.command.doctor.finding import Around, Finding, failed, ok
from services.command.place import Place
from services.restitution.__main__ import policies
from shared.contracts.flow import ALL_SERVICES, TOPICS
from shared.embedded.keys import keys_of
from shared.messaging.look import Cluster, TopicAsIs
from shared.settings import read

SID, TOKEN, NUMBER = "AC" + "0" * 32, "1" * 32, "+12025550100"
SMS = {"AMENDS_SMS__ACCOUNT_SID": SID, "AMENDS_SMS__AUTH_TOKEN": TOKEN, "AMENDS_SMS__FROM_NUMBER": NUMBER}


def around(environ: Mapping[str, str] | None = None, data: Path = Path("nowhere"), place: Place | None = None) -> Around:
    return Around(read(dict(environ or {}), with_keys=False), dict(environ or {}), data, place)


def levels(found: list[Finding]) -> list[tuple[str, str]]:
    assert all(bool(f.fix) == (f.level != "ok") and f.detail for f in found), found
    return [(f.about, f.level) for f in found]


def cluster(**changes: Any) -> Cluster:
    """All topics as they should be, but for the changes to those that start with the given name."""
    topics = {}
    for topic in TOPICS:
        as_is: dict[str, Any] = {
            "partitions": 1 if topic.is_single else 4, "replicas": 1, "leaderless": 0, "behind": 0, "is_compacted": topic.compacted,
        }  # fmt: skip
        topics[topic.name] = TopicAsIs(**as_is | changes.get(topic.name.split(".")[1], {}))
    return Cluster(1, topics)


# All but one topic on three brokers.
THRICE = {name.split(".")[1]: {"replicas": 3} for name in cluster().topics if "cases" not in name}


def test_topics_as_they_should_be_are_well() -> None:
    assert levels(servers._topics(cluster(), around())) == [("topics", "ok")]


@pytest.mark.parametrize(
    ("changes", "environ", "level", "word"),
    [
        ({"cases": {"leaderless": 2}}, {}, "failed", "no leader"),
        ({"cases": {"partitions": 2}}, {"AMENDS_KAFKA__PARTITIONS": "4"}, "warning", "2 partitions"),
        ({"access": {"partitions": 4}}, {}, "failed", "must have one"),
        ({"cases": {"behind": 1}}, {}, "warning", "behind"),
        ({"patients": {"is_compacted": False}}, {}, "failed", "cleanup.policy"),
        ({"cases": {"is_compacted": True}}, {}, "failed", "cleanup.policy"),
        (THRICE, {"AMENDS_KAFKA__REPLICATION_FACTOR": "3"}, "failed", "kept on 1"),
    ],
)  # fmt: skip
def test_a_topic_that_is_not_as_it_should_be_is_named(changes: Any, environ: dict[str, str], level: str, word: str) -> None:
    (found,) = servers._topics(cluster(**changes), around(environ))
    assert levels([found]) == [("topics", level)]
    assert word in found.detail and "amends." in found.detail


def test_a_topic_that_is_missing_is_made_by_migrate() -> None:
    whole = cluster()
    (found,) = servers._topics(Cluster(1, {k: v for k, v in whole.topics.items() if k != "amends.cases.v1"}), around())
    assert (found.level, "amends migrate" in found.fix) == ("failed", True)


@pytest.mark.parametrize(("seconds", "ahead"), [(0.5, 0.0), (30, 30), (-30, -30)])
def test_a_clock_that_may_be_the_same_is_not_ahead(seconds: float, ahead: float, monkeypatch: pytest.MonkeyPatch) -> None:
    before = datetime(2026, 11, 23, 17, tzinfo=UTC)
    monkeypatch.setattr(servers, "machine_now", lambda: before + timedelta(seconds=1))
    assert servers._ahead(before + timedelta(seconds=seconds), before, 0) == pytest.approx(ahead)


async def test_without_a_provider_texts_wait_and_that_is_told() -> None:
    own = {"AMENDS_KAFKA__BOOTSTRAP_SERVERS": "kafka:9092"}
    assert levels([*await outside.provider(around(own)), *await outside.address(around(own))]) == [
        ("provider", "warning"),
        ("address", "ok"),
    ]


async def test_embedded_texts_go_to_the_phone() -> None:
    assert levels([*await outside.provider(around()), *await outside.address(around())]) == [("provider", "ok"), ("address", "ok")]


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({"AMENDS_SMS__ACCOUNT_SID": SID}, "AMENDS_SMS__AUTH_TOKEN, AMENDS_SMS__FROM_NUMBER missing"),
        (SMS | {"AMENDS_SMS__ACCOUNT_SID": "me"}, "form"),
        (SMS | {"AMENDS_SMS__AUTH_TOKEN": "changeme"}, "form"),
        (SMS | {"AMENDS_SMS__BASE_URL": "http://127.0.0.1:1"}, "does not answer"),
    ],
)
async def test_a_provider_that_cannot_text_is_told(environ: dict[str, str], word: str) -> None:
    (found,) = await outside.provider(around(environ))
    assert levels([found]) == [("provider", "failed")]
    assert word in found.detail
    assert TOKEN not in str(found) and "changeme" not in str(found)


@pytest.mark.parametrize(
    ("url", "word"),
    [(None, "missing"), ("http://localhost:8080", "from here alone"), ("https://10.0.0.7", "from here alone"), ("https://amends", "alone")],
)
async def test_an_address_nobody_outside_reaches_is_told(url: str | None, word: str) -> None:
    (found,) = await outside.address(around(SMS | ({"AMENDS_HTTP__PUBLIC_URL": url} if url else {})))
    assert levels([found]) == [("address", "failed")] and word in found.detail


@pytest.mark.parametrize(("today", "level"), [("2026-01-05", "ok"), ("last-20", "warning"), ("last+1", "failed")])
async def test_the_end_of_the_mileage_rates_is_told_in_time(today: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    last = policies().rates_end()
    assert last is not None
    days = {"last-20": -20, "last+1": 1}.get(today)
    now = datetime.fromisoformat(today) if days is None else datetime.combine(last + timedelta(days=days), datetime.min.time())
    monkeypatch.setattr(outside, "machine_now", lambda: now.replace(tzinfo=UTC))
    assert levels(await outside.mileage(around())) == [("mileage", level)]


async def test_traces_that_cannot_leave_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert levels(await outside.exporter(around())) == [("traces", "ok")]
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    for environ in ({"OTEL_TRACES_EXPORTER": "jaeger"}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example:4318"}):
        assert levels(await outside.exporter(Around(read({}), environ, Path("nowhere"), None))) == [("traces", "failed")]


async def test_keys_that_are_no_keys_or_open_to_others_are_told(tmp_path: Path) -> None:
    assert levels(await outside.keys(around(data=tmp_path))) == [("vault keys", "ok")]
    assert not os.listdir(tmp_path), "looking makes no keys"  # noqa: PTH208 - the path is synchronous
    keys_of(tmp_path)
    assert levels(await outside.keys(around(data=tmp_path))) == [("vault keys", "ok")]
    (tmp_path / "keys.json").chmod(0o644)
    assert levels(await outside.keys(around(data=tmp_path))) == [("vault keys", "failed")]
    own = {"AMENDS_KAFKA__BOOTSTRAP_SERVERS": "kafka:9092", "AMENDS_VAULT__MASTER_KEY": "c2hvcnQ=", "AMENDS_VAULT__INDEX_KEY": "c2hvcnQ="}
    (found,) = await outside.keys(around(own))
    assert levels([found]) == [("vault keys", "failed")] and "c2hvcnQ=" not in str(found)


async def test_servers_that_are_away_are_findings_not_faults() -> None:
    """Goal: doctor itself never breaks on what it examines. Method: every check against servers that are not there."""
    nowhere = "127.0.0.1:1"
    dsn, url = f"postgresql://nobody@{nowhere}/none", f"http://{nowhere}"
    gone = Place(dict.fromkeys(ALL_SERVICES, dsn), dict.fromkeys(ALL_SERVICES, url), nowhere)
    here = around({}, place=gone)
    for check in doctor.CHECKS:
        if check not in (outside.provider, outside.address, outside.exporter, outside.mileage, outside.keys):
            found = await doctor.carried_out(check, here)
            assert {f.level for f in found} == {"failed"}, check.__name__
            levels(found)


async def test_a_check_of_ones_own_is_carried_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def mine(_: Around) -> list[Finding]:
        return [ok("mine", "seen")]

    monkeypatch.setattr(doctor, "CHECKS", (mine,))
    monkeypatch.setattr(doctor, "read", lambda: read({}))
    found = await doctor.examine(tmp_path)
    assert [(f.about, f.level) for f in found] == [("settings", "ok"), ("running", "failed"), ("mine", "ok")]
    assert "amends up" in found[1].fix


def test_what_several_checks_stumble_over_is_told_once_in_its_place() -> None:
    def away(about: str) -> Finding:
        return failed(about, "no answer", "Start it.")

    told = doctor._once([ok("a", "well"), away("b"), ok("c", "well"), away("d"), failed("e", "no answer", "Look.")])
    assert [f.about for f in told] == ["a", "b", "c", "e"]
